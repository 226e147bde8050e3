"""The command line, thin over the Python API.

Exit codes: 0 done; 1 an error of the user's, or a check that failed; 2 wrong usage; 130 interrupted.
"""

from typing import Any

import click

from lenette.cli import catalogue, doctor, evidence, exports, lessons, new, records, runs, studies, training
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


COMMONEST = """\
lenette trains, proves and ships image classifiers small enough to understand.

  lenette demo                            train 7,596 parameters on MNIST, and see the report
  lenette new homework                    a folder with a network, a recipe and a notebook of your own
  lenette train ladder_7k_step --lr 0.1   train: every field of a recipe is an option
  lenette runs                            what was trained, and what it came to
  lenette predict ladder_7k seven.png     which digit a picture shows, by a run's network

All commands: lenette --help. What works on this machine: lenette doctor."""


@click.group(cls=Lenette, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lenette")
@click.pass_context
def main(context: click.Context) -> None:
    """Train, prove and ship image classifiers small enough to understand."""
    if context.invoked_subcommand is None:
        click.echo(COMMONEST)


for module in (training, runs, records, exports, evidence, studies, catalogue, lessons, new, doctor):
    for command in module.COMMANDS:
        main.add_command(command)
