"""lenette recipes, recipe, models, summary, data."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lenette.cli.common import data_option, echo_json, json_option, run_code_option, store_option, table
from lenette.cli.fields import RECIPE

if TYPE_CHECKING:  # it loads PyTorch
    from lenette.engines import Choice


@click.command()
@json_option
def recipes(as_json: bool) -> None:
    """List the shipped recipes."""
    from lenette.recipes import load, names

    shipped = [load(name) for name in names()]
    if as_json:
        echo_json([recipe.values() for recipe in shipped])
        return
    rows = [
        {
            "recipe": recipe.name,
            "model": recipe.model,
            "epochs": recipe.epochs,
            "claimed test": f"{recipe.claim_test_accuracy:.2%} ({recipe.claim_statistic})"
            if recipe.claim_test_accuracy
            else "none",
            "document": recipe.document,
            "title": recipe.title,
        }
        for recipe in shipped
    ]
    click.echo(table(rows))


@click.command(epilog=RECIPE)
@click.argument("recipe")
@run_code_option
@store_option
def recipe(recipe: str, run_code: bool, store: Path) -> None:
    """Print RECIPE as TOML, to change and to train: lenette recipe ladder_7k > mine.toml.

    Its name, title, document and claims are left out: they are not those of what you make of it. Paths are as seen from
    the current folder, which is where such a file belongs.
    """
    from lenette import models, runs
    from lenette.recipes import Recipe
    from lenette.recipes.recipe import NUMBERS

    found = Recipe(**runs.load_recipe(recipe, store, run_code).values(*NUMBERS, "budget"))
    if models.is_file(found.model):
        path, _, function = found.model.rpartition(":")
        found = found.but(model=f"{os.path.relpath(Path(path).expanduser())}:{function}")
    click.echo(found.to_toml(), nl=False)


@click.command()
@json_option
def models(as_json: bool) -> None:
    """List the networks, with the parameters they have for ten classes of 28x28 grey images."""
    from lenette.models import MODELS, build, count_parameters

    rows = [
        {"model": name, "parameters": count_parameters(build(name)), "what": (function.__doc__ or "").split("\n")[0]}
        for name, function in MODELS.items()
    ]
    if as_json:
        echo_json(rows)
    else:
        click.echo(table(rows))


@click.command()
@click.argument("model")
@click.option("--classes", type=int, default=10, show_default=True, help="number of classes")
@click.option("--channels", type=int, default=1, show_default=True, help="channels of the images")
@click.option("--size", type=int, default=28, show_default=True, help="height and width of the images in pixels")
@json_option
def summary(model: str, classes: int, channels: int, size: int, as_json: bool) -> None:
    """Show the layers of MODEL (a shipped network, or file.py:function): shapes, parameters, work, receptive fields.

    The last line says which engine would train it here, and why.
    """
    from lenette.models import build, format_summary
    from lenette.models import summary as summarise

    network = build(model, classes, channels, size)
    found = summarise(network, (channels, size, size))
    engine = None if found["error"] else _engine(network, model, classes, (channels, size, size))
    if as_json:
        echo_json(found | {"engine": engine and {"name": engine.name, "device": engine.device, "why": engine.reason}})
    else:
        click.echo(format_summary(found))
        if engine is not None:
            click.echo(_engine_words(engine))
    if found["error"]:
        raise click.exceptions.Exit(1)


def _engine(network: Any, model: str, classes: int, shape: tuple[int, int, int]) -> "Choice":
    """Return the engine that would train the network on images [C, H, W] of that shape."""
    import torch

    from lenette import engines
    from lenette.data import Dataset
    from lenette.recipes import Recipe

    names, ones = tuple(map(str, range(classes))), (1.0,) * shape[0]
    images, labels = torch.zeros((classes, *shape), dtype=torch.uint8), torch.arange(classes)
    some = Dataset("some", "train", images, labels, names, ones, ones)
    return engines.choose("auto", "auto", None, network, Recipe(model=model), some)


def _engine_words(engine: "Choice") -> str:
    from lenette import engines

    words = engines.words(engine)
    return words if ": " in words.removeprefix("engine: ") else f"{words}: {engine.reason}"


@click.group()
def data() -> None:
    """List, fetch, import and verify data sets."""


@data.command("list")
@data_option
@json_option
def list_(folder: Path | None, as_json: bool) -> None:
    """List the data sets, and where each one lies."""
    from lenette.data import list_datasets

    rows = list_datasets(folder)
    if as_json:
        echo_json(rows)
        return
    for row in rows:
        sizes = ", ".join(f"{size:,} {part}" for part, size in row["sizes"].items())
        click.echo(f"{row['name']}: {row['description']}")
        click.echo(f"  {len(row['classes'])} classes; {sizes}; licence {row['licence']}")
        click.echo(f"  {row['folder'] or 'missing: lenette data fetch ' + row['name']}")


@data.command()
@click.argument("name")
@data_option
def fetch(name: str, folder: Path | None) -> None:
    """Download NAME from its mirrors, checked by its digest."""
    from lenette.data import fetch as fetch_files

    said: set[str] = set()

    def progress(record: dict[str, Any]) -> None:
        if record["url"] not in said:
            said.add(record["url"])
            click.echo(record["url"])
        if sys.stdout.isatty():
            total = f" of {record['total'] / 1e6:.1f}" if record["total"] else ""
            click.echo(f"\r  {record['bytes'] / 1e6:.1f}{total} MB", nl=record["bytes"] == record["total"])

    click.echo(f"{name} lies in {fetch_files(name, folder, progress)}")


@data.command("import")
@click.argument("name")
@click.argument("source", type=click.Path(path_type=Path))
@data_option
def import_(name: str, source: Path, folder: Path | None) -> None:
    """Take NAME from the files in SOURCE, for machines without a network."""
    from lenette.data import import_folder

    click.echo(f"{name} lies in {import_folder(name, source, folder)}")


@data.command()
@click.argument("name")
@data_option
@json_option
def verify(name: str, folder: Path | None, as_json: bool) -> None:
    """Check the files of NAME against their digests."""
    from lenette.data import verify

    rows = verify(name, folder)
    if as_json:
        echo_json(rows)
    else:
        for row in rows:
            click.echo(f"{row['status']:9} {row['file']}  {row['path'] or ''}")
            if row["fault"]:
                click.echo(f"          {row['fault']}")
    if any(row["status"] != "ok" for row in rows):
        raise click.exceptions.Exit(1)


COMMANDS = [recipes, recipe, models, summary, data]
