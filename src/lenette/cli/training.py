"""lenette train, resume, demo."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from lenette.cli.common import (
    data_option,
    device_option,
    display,
    echo_json,
    engine_option,
    json_option,
    run_code_option,
    store_option,
)
from lenette.cli.fields import FIELDS, RECIPE, RecipeCommand, recipe_options
from lenette.errors import DataError
from lenette.progress import Progress
from lenette.recipes import names

if TYPE_CHECKING:  # it loads PyTorch
    from lenette.runs import Run

run_options = [
    click.option("--seed", type=int, default=0, show_default=True, help="decides all that is random"),
    engine_option,
    device_option,
    click.option("--threads", type=click.IntRange(min=1), help="CPU threads (else as many as torch takes)"),
    data_option,
    store_option,
]


def with_run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what `train` takes beside the recipe."""
    for option in reversed(run_options):
        command = option(command)
    return command


@click.command(cls=RecipeCommand, epilog=f"{RECIPE} {FIELDS}")
@click.argument("recipe")
@with_run_options
@click.option("--again", is_flag=True, help="train even if this run exists; the old one is kept beside it")
@run_code_option
@json_option
@recipe_options
def train(recipe: str, run_code: bool, as_json: bool, again: bool, store: Path, **options: Any) -> None:
    """Train RECIPE, every field of which is an option.

    A run that exists already is found, not made again; one that was cut off
    goes on.
    """
    from lenette import engines, runs, training

    trained = False

    def listen(told: Progress) -> None:
        nonlocal trained
        trained = True
        progress(told)

    def say(choice: engines.Choice) -> None:
        click.echo(engines.words(choice), err=True)

    asked = runs.load_recipe(recipe, store, run_code)
    with display(as_json) as progress:
        run = training.train(asked, again=again, progress=listen, chosen=say, store=store, **options)
    if not trained:
        click.echo("this run exists already and was found; --again makes it anew", err=True)
    conclude(run, as_json)


@click.command()
@click.argument("run")
@run_code_option
@store_option
@json_option
def resume(run: str, run_code: bool, store: Path, as_json: bool) -> None:
    """Go on with RUN where it was cut off."""
    from lenette import runs, training

    found = runs.find(run, store, run_code)
    with display(as_json) as progress:
        training.resume(found, progress)
    conclude(found, as_json)


@click.command()
@click.option("--recipe", default="ladder_7k_step", show_default=True, type=click.Choice(names()), help="what to train")
@click.option("--epochs", type=int, help="fewer epochs than the recipe's")
@data_option
@store_option
def demo(recipe: str, epochs: int | None, folder: Path | None, store: Path) -> None:
    """Train a network on MNIST and write its report; on scikit-learn's digits where MNIST can't be had."""
    from lenette import data, training

    changes: dict[str, Any] = {"epochs": epochs}
    if not all(data.find("mnist", part, folder) for part in ("train", "test")):
        click.echo("MNIST is not on this machine; trying its mirrors ...")
        try:
            data.fetch("mnist", folder)
        except DataError as unreachable:
            changes["dataset"] = "optdigits"
            click.echo(f"{unreachable}\n\n{NOT_MNIST}\n")
    note = "NOT MNIST" if "dataset" in changes else ""
    with display(as_json=False) as progress:
        run = training.train(
            recipe, folder=folder, store=store, progress=lambda told: progress(replace(told, note=note)), **changes
        )
    conclude(run, as_json=False)


NOT_MNIST = (
    "*** THIS IS NOT MNIST. MNIST is neither on this machine nor can it be fetched, so the demo runs on ***\n"
    "*** scikit-learn's handwritten digits (1,797 images of 8x8). Its figures say nothing about MNIST.   ***"
)


def conclude(run: "Run", as_json: bool) -> None:
    """Write the report; print what the run came to."""
    from lenette import report

    path = report.write(run)
    if as_json:
        echo_json(report.facts(run))
        return
    click.echo("\n".join(report.lines(run)))
    click.echo(f"report: {path}")


COMMANDS = [train, resume, demo]
