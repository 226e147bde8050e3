"""The command line as a whole: help, typing errors, exit codes, and that it answers at once."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from lenette import recipes
from lenette.cli import main
from tests.cli.conftest import TRAIN


def commands(group, *path):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


COMMANDS = dict(commands(main))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_helps(path, cli):
    text = cli(*path, "--help").stdout
    assert text.startswith(f"Usage: main {' '.join(path)} ")
    assert COMMANDS[path].get_short_help_str(40)
    assert cli(*path, "-h").stdout == text
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.type.name == "choice", parameter.name
            assert parameter.opts[0] in text


def test_every_field_of_a_recipe_is_an_option_of_train(cli):
    text = cli("train", "--help").stdout
    for name in recipes.Recipe.__dataclass_fields__:
        assert f"--{name.replace('_', '-')} " in text.replace(",", " ")
    for group in ("Options:", "What to train:", "Training:", "Augmentation:", "Budget:", "Words of the record:"):
        assert f"\n{group}\n" in text


def test_every_default_of_a_field_is_in_the_help(cli):
    for command in ("train", "prove"):
        text = " ".join(cli(command, "--help").stdout.split())
        for name, default in (("epochs", 10), ("batch-size", 128), ("lr", 0.05), ("schedule", "onecycle")):
            assert f"[default: {default}]" in text.partition(f"--{name} ")[2].partition(" --")[0]
        assert "default with cosine: 0.0, linear: 0.0, sgdr: 0.0, onecycle: 4e-06" in text
        assert "[with schedule step] [required there]" in text
        assert "RECIPE is one of: a shipped name" in text


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--learning-rate", "--lr"),
        ("--learning_rate", "--lr"),
        ("--batchsize", "--batch-size"),
        ("--wd", "--weight-decay"),
    ],
)
def test_what_others_call_a_field_names_the_right_one(given, meant, cli):
    for command in ("train", "prove"):
        assert f"Did you mean '{meant}'?" in cli.error(command, "lenet5", given, "1", code=2)


def test_version(cli):
    from importlib.metadata import version

    assert version("lenette") in cli("--version").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["trian"], 2, "No such command 'trian'"),
        (["data", "fecth", "mnist"], 2, "No such command 'fecth'"),
        (["train"], 2, "Missing argument 'RECIPE'"),
        (["train", "lenet5", "--epoch", "3"], 2, "--epochs"),
        (["train", "lenet5", "--epochs", "three"], 2, "'three' is not a valid integer"),
        (["train", "lenet5", "--optimizer", "sdg"], 2, "'sdg' is not one of 'sgd', 'adam', 'adamw'"),
        (["train", "lenet5", "--threads", "0"], 2, "0 is not in the range x>=1"),
        (["train", "lenet5", "--milestones", "3;4"], 2, "'3;4' is no list of whole numbers such as 8,12"),
        (["train", "lenet"], 1, "unknown recipe 'lenet'; did you mean 'lenet5'?"),
        (["train", "missing.toml"], 1, "can't read the recipe missing.toml"),
        (["train", "lenet5", "--lr", "-1"], 1, "field 'lr' = -1.0: must be at least 0"),
        (["train", "lenet5", "--lr", "nan"], 1, "field 'lr' = nan"),
        (["train", "lenet5", "--epochs", "0"], 1, "field 'epochs' = 0: must be at least 1"),
        (["train", "lenet5", "--gamma", "0.5"], 1, "field 'gamma' = 0.5 is not used where schedule = 'constant'"),
        (["train", "lenet5", "--schedule", "step"], 1, "field 'step_epochs' is missing"),
        (["train", "lenet5", "--fold", "1"], 1, "field 'fold' = 1 is not used where protocol = 'course'"),
        ([*TRAIN, "--model", "lenet6"], 1, "unknown model 'lenet6'; did you mean 'lenet5'?"),
        ([*TRAIN, "--model", "nets.py:mine"], 1, "there is no file 'nets.py'"),
        ([*TRAIN, "--model", "os:getcwd"], 1, "module 'os' has no source file"),
        ([*TRAIN, "--engine", "refrence"], 1, "unknown engine 'refrence'; did you mean 'reference'?"),
        ([*TRAIN, "--device", "gpu"], 1, "unknown device 'gpu'"),
        ([*TRAIN, "--crop-size", "29"], 1, "field 'crop_size' = 29: the images have (28, 28) pixels"),
        ([*TRAIN, "--max-parameters", "100"], 1, "exceeds the budget: 79,510 against max_parameters = 100"),
        (["train", "lenet5", "--dataset", "mnits"], 1, "unknown data set 'mnits'; did you mean 'mnist'?"),
        (["train", "lenet5"], 1, "data set 'mnist' (train) was not found. Three ways out"),
        (["resume", "digist"], 1, "no run 'digist'"),
        (["show", "x"], 1, "lists the 0 that it holds"),
        (["report", "x"], 1, "no run 'x'"),
        (["evaluate", "x"], 1, "no run 'x'"),
        (["predict", "x", "1.png"], 1, "no run 'x'"),
        (["predict", "x"], 2, "Missing argument 'IMAGES...'"),
        (["summary", "ladder7k"], 1, "unknown model 'ladder7k'; did you mean 'ladder_7k'?"),
        (["summary", "lenet5", "--size", "9"], 1, "smallest that fits is 16x16"),
        (["summary", "lenet5", "--classes", "0"], 1, "num_classes = 0"),
        (["data", "verify", "mnits"], 1, "'mnits'; did you mean 'mnist'?"),
        (["data", "fetch", "mnits"], 1, "'mnits'; did you mean 'mnist'?"),
        (["data", "import", "mnist", "nowhere"], 1, "nowhere"),
        (["demo", "--recipe", "lenet"], 2, "'lenet' is not one of"),
        (["backprop", "--variant", "book"], 2, "'book' is not one of"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_typing_error_gets_one_clear_message(arguments, code, message, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in cli.error(*arguments, code=code)
    assert list(tmp_path.iterdir()) == []


LIGHT = """
import sys
from lenette.cli import main
try:
    main(sys.argv[1:], prog_name="lenette")
finally:
    heavy = {"torch", "numpy", "scipy", "sklearn", "matplotlib", "PIL", "jinja2", "rich", "safetensors"}
    print("HEAVY", sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_imports_nothing_slow(arguments):
    done = subprocess.run([sys.executable, "-c", LIGHT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: lenette")
    assert done.stderr.strip() == "HEAVY []"


def test_the_installed_command_in_a_pipe_that_closes():
    lenette = Path(sys.executable).with_name("lenette")
    with subprocess.Popen([lenette, "train", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        message = process.stderr.read()
    assert b"Traceback" not in message
    assert json.loads(subprocess.check_output([lenette, "recipes", "--json"]))[0]["name"] == "deep_19k"
