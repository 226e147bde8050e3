"""The command line, thin over the Python API.

Exit codes: 0 done; 1 an error of the user's, or a check that failed; 2 wrong usage; 130 interrupted.
"""

from typing import Any

import click

from lenette.cli import catalogue, evidence, exports, lessons, records, runs, studies, training
from lenette.errors import LenetteError


class Lenette(click.Group):
    """A group whose commands print the user's errors without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LenetteError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt as stopped:
            for run in stopped.args:
                click.echo(f"\ninterrupted; the run is saved. Go on with: lenette resume {run}", err=True)
            raise click.exceptions.Exit(130) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            raise click.ClickException(f"{error.filename or 'the disk'}: {error.strerror or error}") from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=Lenette, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lenette")
def main() -> None:
    """Train, prove and ship image classifiers small enough to understand."""


for module in (training, runs, records, exports, evidence, studies, catalogue, lessons):
    for command in module.COMMANDS:
        main.add_command(command)
