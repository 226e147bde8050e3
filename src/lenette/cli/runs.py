"""lenette runs: the list, what sets the runs apart, and the end of some."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lenette.cli.common import echo_json, json_option, store_option, table
from lenette.errors import LenetteError

if TYPE_CHECKING:  # it loads PyTorch
    from lenette.recipes import Recipe
    from lenette.runs import Run

SHOWN_APART = ("dataset", "epochs")  # in columns of their own
SORTS = ("created", "run", "data", "accuracy", "seconds", "parameters", "status")


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--where", multiple=True, metavar="FIELD=VALUE", help="of these alone, e.g. lr=0.1 or dataset=mnist; repeatable"
)
@click.option("--status", help="of these alone: done, cut, diverged, interrupted, running or damaged")
@click.option(
    "--sort", type=click.Choice(SORTS), default="created", show_default=True, help="the highest, or last, last"
)
@click.option("--delete", is_flag=True, help="delete the runs that are listed, after asking; never one in training")
@click.option("--yes", is_flag=True, help="with --delete, don't ask")
@store_option
@json_option
def runs(
    names: tuple[str, ...],
    where: tuple[str, ...],
    status: str | None,
    sort: str,
    delete: bool,
    yes: bool,
    store: Path,
    as_json: bool,
) -> None:
    """List the runs, the oldest first: those whose names begin with a NAME, where any is given.

    `changed` is what sets a run apart from the shipped recipe of its name, or from the defaults.
    """
    from lenette.runs import in_store
    from lenette.studies import grid

    wanted = grid.parse(where)
    rows, faults = [], []
    for run in in_store(store):
        try:
            recipe = run.recipe
            row = _row(run, recipe)
        except LenetteError as error:
            faults.append({"run": run.id, "status": "damaged", "fault": str(error)})
        else:
            if all(getattr(recipe, name) in values for name, values in wanted.items()):
                rows.append(row)
    rows = [row for row in rows if _is_asked_for(row, names, status)]
    faults = [row for row in faults if not where and _is_asked_for(row, names, status)]
    rows.sort(key=lambda row: (row[sort] is not None, row[sort]))
    if as_json:
        echo_json(rows + faults)
    elif rows or not faults:
        what = "no such run" if names or where or status else "no runs"
        click.echo(
            table([_shown(row) for row in rows]) or f"{what} in {store}: make one with `lenette train ladder_7k_step`"
        )
    for each in faults if not as_json else []:
        click.echo(f"{each['run']}  damaged: {each['fault']}", err=True)
    if delete:
        _delete([store / row["run"] for row in rows + faults], yes)


def _is_asked_for(row: dict[str, Any], names: tuple[str, ...], status: str | None) -> bool:
    return status in (None, row["status"]) and (not names or any(row["run"].startswith(name) for name in names))


def _row(run: "Run", recipe: "Recipe") -> dict[str, Any]:
    from lenette.recipes import changed

    about = run.about
    last = next(reversed(run.metrics), None)
    part = run.part or "train"
    return {
        "run": run.id,
        "data": recipe.dataset,
        "seed": about.seed,
        "changed": {name: value for name, value in changed(recipe).items() if name not in SHOWN_APART},
        "status": run.status,
        "epochs": f"{last.epoch if last else 0}/{recipe.epochs}",
        "accuracy": getattr(last, f"{part}_accuracy", None),
        "part": part,
        "parameters": about.parameters,
        "seconds": round(last.train_seconds if last else 0.0, 1),
        "engine": about.engine,
        "created": about.created,
    }


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row as the terminal shows it."""
    from lenette.report.words import value

    accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.2%} ({row['part']})"
    changed = ", ".join(f"{name} {value(there)}" for name, there in row["changed"].items())
    kept = {name: row[name] for name in row if name not in ("part", "seed")}
    created = row["created"][:16].replace("T", " ")
    return kept | {"data": Path(row["data"]).name, "changed": changed, "accuracy": accuracy, "created": created}


def _delete(folders: list[Path], yes: bool) -> None:
    """Delete the runs, each on its own, after asking."""
    from lenette.errors import RunError
    from lenette.runs import Run
    from lenette.text import count

    if not folders:
        return
    if not yes and not sys.stdin.isatty():
        raise RunError("nobody is there to say yes to a deletion: add --yes")
    if not yes:
        click.confirm(f"Delete {count(len(folders), 'run')}?", abort=True, err=True)
    faults = []
    for folder in folders:
        try:
            Run(folder).delete()
            click.echo(f"deleted {folder.name}", err=True)
        except RunError as error:
            faults.append(str(error))
    if faults:
        raise RunError("; ".join(faults))


COMMANDS = [runs]
