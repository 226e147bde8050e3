"""lenette study, sweep."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lenette.cli.common import Numbers, echo_json, json_option, table
from lenette.cli.many import display, run_options, saying_how_to_go_on

LONG_SECONDS = 600
VARIED = {"learning_rate": ["lr"], "batch_size": ["batch_size"]}  # the field that each question sets itself


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every study takes."""
    for option in reversed(
        [
            click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="of each cell"),
            click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="change the recipe first"),
            click.option(
                "--out", type=click.Path(path_type=Path, file_okay=False), help="folder of the page and tables"
            ),
            click.option("--yes", is_flag=True, help="don't ask before hours of work"),
        ]
    ):
        command = option(command)
    return run_options(json_option(command))


@click.group()
def study() -> None:
    """Ask a question of many runs: a page with the answer, its figures and tables."""


@study.command("learning-rate")
@click.argument("recipe")
@click.option("--rates", type=Numbers(float), help="rates to compare  [default: 0.025,0.05,0.1,0.2,0.5]")
@study_options
def learning_rate(recipe: str, rates: tuple[float, ...] | None, **options: Any) -> None:
    """Ask which learning rate to prefer for RECIPE."""
    _conduct("learning_rate", recipe, {"rates": rates}, options)


@study.command("batch-size")
@click.argument("recipe")
@click.option("--sizes", type=Numbers(int), help="sizes to compare  [default: 16,32,64,128,256,512]")
@study_options
def batch_size(recipe: str, sizes: tuple[int, ...] | None, **options: Any) -> None:
    """Ask how train and test error of RECIPE vary with the batch size."""
    _conduct("batch_size", recipe, {"sizes": sizes}, options)


@study.command()
@click.argument("recipe")
@study_options
def schedule(recipe: str, **options: Any) -> None:
    """Ask what falling learning rates and SGDR bring RECIPE over a fixed one."""
    _conduct("schedule", recipe, {}, options)


@study.command()
@click.argument("recipe")
@study_options
def augmentation(recipe: str, **options: Any) -> None:
    """Ask what each augmentation alone brings RECIPE over none."""
    _conduct("augmentation", recipe, {}, options)


@study.command()
@click.argument("rungs", nargs=-1, required=True, metavar="RECIPE RECIPE...")
@study_options
def ladder(rungs: tuple[str, ...], **options: Any) -> None:
    """Hold recipes against each other, step by step: what each changed, and what that brought."""
    _conduct("ladder", rungs, {}, options)


@click.command()
@click.argument("recipe")
@click.option(
    "--over", multiple=True, required=True, metavar="FIELD=VALUE,VALUE", help="an axis of the grid; again for more"
)
@study_options
def sweep(recipe: str, over: tuple[str, ...], **options: Any) -> None:
    """Train RECIPE over a grid: every combination of the fields' values."""
    from lenette.studies import grid

    _conduct("sweep", recipe, {"over": grid.parse(over)}, options)


@study.command("range-test")
@click.argument("recipe")
@click.option("--low", type=float, help="the first rate  [default: 0.0001]")
@click.option("--high", type=float, help="the last rate  [default: 10]")
@click.option("--epochs", type=click.IntRange(min=1), help="in which the rate rises  [default: 1]")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="of each cell")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="change the recipe first")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="folder of the page and tables")
@run_options
@json_option
def range_test(
    recipe: str,
    changes: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    processes: int | None,
    store: Path,
    **how: Any,
) -> None:
    """Find a learning rate for RECIPE: let it rise over an epoch, and see where the loss falls."""
    from lenette import studies
    from lenette.report import study as page

    asked = _changed(recipe, changes, store)
    found = studies.range_test(asked, **{name: v for name, v in how.items() if v is not None})
    folder = page.own_folder(found, out or Path("studies") / f"range-test-{_file_name(recipe)}", _say)
    written = page.write(found, folder, _command())
    if as_json:
        echo_json({"suggestion": found.suggestion, "suggested": found.suggested, "answer": found.answer})
    else:
        click.echo("\n".join(found.answer))
        click.echo(f"page: {written}")


def _conduct(question: str, named: str | tuple[str, ...], arguments: dict[str, Any], options: dict[str, Any]) -> None:
    """Ask the question, write its page, print its answer."""
    from lenette import studies
    from lenette.report import study as page

    changes, out, yes, as_json = (options.pop(name) for name in ("changes", "out", "yes", "as_json"))
    given = {name: value for name, value in arguments.items() if value is not None}
    names = [named] if isinstance(named, str) else list(named)
    _refuse_varied(changes, VARIED.get(question, list(given.get("over", {}))))
    recipes = [_changed(name, changes, options["store"]) for name in names]
    asked = recipes if question == "ladder" else recipes[0]
    with saying_how_to_go_on(), display(as_json) as progress:
        found = getattr(studies, question)(
            asked, **given, ahead=lambda estimate: _ask(estimate, yes), progress=progress, **options
        )
    answer = studies.answer(found)
    name = f"{found.question}-{'-'.join(map(_file_name, names[:1]))}"
    folder = page.own_folder(found, out or Path("studies") / name, _say)
    written = page.write(found, folder, _command())
    if as_json:
        echo_json({"answer": answer, "summary": found.summary, "folder": str(written.parent)})
        return
    click.echo("\n" + table([_row(cell, found) for cell in found.cells]) + "\n")
    click.echo("\n".join(answer))
    click.echo(f"page: {written}")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _refuse_varied(changes: tuple[str, ...], varied: list[str]) -> None:
    from lenette.errors import RecipeError
    from lenette.studies import grid

    for name in grid.parse(changes):
        if name in varied:
            raise RecipeError(f"--set {name}: this study sets {name} itself, in each of its cells: leave it out")


def _changed(recipe: str, changes: tuple[str, ...], store: Path) -> Any:
    from lenette import runs
    from lenette.errors import RecipeError
    from lenette.studies import grid

    values = grid.parse(changes)
    for name, listed in values.items():
        if len(listed) > 1:
            raise RecipeError(
                f"--set {name}: one value, not {len(listed)}; a grid's axes are given to `lenette sweep --over`"
            )
    return runs.load_recipe(recipe, store).but(**{name: listed[0] for name, listed in values.items()})


def _ask(estimate: Any, yes: bool) -> None:
    """Say how long it will take; before long work, ask."""
    from lenette.errors import RunError
    from lenette.text import count, duration

    if not estimate.num_todo:
        click.echo(f"nothing to train: {count(estimate.num_jobs, 'run')} found", err=True)
        return
    found = estimate.num_jobs - estimate.num_todo
    text = f"{count(estimate.num_todo, 'run')} to train" + (f", {found} found" if found else "")
    text += f": about {duration(estimate.seconds)} (from {estimate.basis})"
    click.echo(text, err=True)
    if estimate.seconds <= LONG_SECONDS or yes:
        return
    if not sys.stdin.isatty():
        raise RunError("nobody is there to say yes to so long a work: add --yes, or take fewer seeds, cells or epochs")
    click.confirm("Go on?", abort=True, err=True)


def _row(cell: Any, study: Any) -> dict[str, Any]:
    from lenette.studies.words import error

    def ended(figure: str) -> str:
        return error(cell.mean(figure)) if cell.values(figure) else "diverged"

    return {
        "": cell.name,
        "parameters": f"{cell.parameters:,}",
        "train error": ended("train_error"),
        f"{study.part} error": ended(study.error),
        "diverged": f"{len(cell.diverged)} of {len(cell.runs)}" if cell.diverged else "",
    }


def _file_name(recipe: str) -> str:
    """Return what a recipe is called in a file's name: lenet5, or mine for path/mine.toml and path/mine.py:function."""
    return Path(recipe.partition(":")[0]).stem


def _command() -> str:
    """Return the command that makes this study again: all that was given, save what its numbers don't hang on."""
    import shlex

    context = click.get_current_context()
    words = ["lenette", *context.command_path.split()[1:]]
    for param in context.command.params:
        name = param.name or ""
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not given or name in ("out", "yes", "as_json", "store", "folder", "processes"):
            continue
        value = context.params[name]
        values = list(value) if isinstance(value, tuple) else [value]
        if isinstance(param, click.Argument):
            words += map(str, values)
        elif isinstance(param.type, Numbers):
            words += [param.opts[0], ",".join(f"{one:g}" for one in values)]
        else:
            words += [word for one in values for word in (param.opts[0], str(one))]
    return shlex.join(words)


COMMANDS = [study, sweep]
