import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lenette import runs
from lenette.cli import main


class Cli:
    """The command line in this process: each call returns its result, and a traceback is a failure."""

    def __call__(self, *arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    def json(self, *arguments, code=0):
        """Return what the command prints as JSON, which knows neither NaN nor infinity."""
        return json.loads(self(*arguments, "--json", code=code).stdout, parse_constant=pytest.fail)

    def error(self, *arguments, code=1):
        """Return the message of a command that the user has to mend: one line on stderr, or usage and one line."""
        result = self(*arguments, code=code)
        assert result.stdout == ""
        assert result.stderr.count("Error:") == 1
        return result.stderr.partition("Error: ")[2].strip()


@pytest.fixture(scope="session")
def cli():
    return Cli()


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    """A store with one sealed run on optdigits, of which `digits` begins the name."""
    return tmp_path_factory.mktemp("cli") / "runs"


TRAIN = ("train", "sigmoid_mlp", "--dataset", "optdigits", "--protocol", "sealed", "--threads", 1)


@pytest.fixture(scope="session")
def trained(cli, store):
    """What `train` printed for the run in the store."""
    return cli(*TRAIN, "--lr", 0.5, "--epochs", 2, "--name", "digits", "--store", store)


@pytest.fixture
def run(trained, store):
    return runs.find("digits", store)
