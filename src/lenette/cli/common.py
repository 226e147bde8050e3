"""What several commands share: options, the live display, and JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lenette.progress import Progress, line
from lenette.records import plain

Tell = Callable[[Progress], None]

store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="folder of all runs",
)
data_option = click.option(
    "--data",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="folder where the data set lies (else LENETTE_DATA, your data folder, torchvision's)",
)
engine_option = click.option("--engine", default="auto", show_default=True, help="auto, reference or native")
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda")
run_code_option = click.option(
    "--run-code", is_flag=True, help="from now on, run the network's source, which is somebody else's (read it first)"
)
json_option = click.option("--json", "as_json", is_flag=True, help="print JSON, for programs")


class Numbers(click.ParamType):
    """Numbers with commas between them."""

    name = "N,N,..."

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return value if isinstance(value, tuple) else tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            noun = "whole numbers such as 8,12" if self.kind is int else "numbers such as 0.05,0.1"
            self.fail(f"{value!r} is no list of {noun}", param, ctx)


def echo_json(value: Any) -> None:
    """Print a record, or plain values, as JSON."""
    click.echo(json.dumps(plain(value), indent=1))


@contextmanager
def display(as_json: bool) -> Iterator[Tell]:
    """Yield a progress function: a live bar on a terminal, else a plain line an epoch; on stderr beside JSON."""
    stream = sys.stderr if as_json else sys.stdout
    if not stream.isatty():
        yield lambda told: click.echo(_line(told), file=stream) if told.finished else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(file=stream, highlight=False), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(progress: Progress) -> None:
            running = f"epoch {progress.epoch}/{progress.epochs}  train {progress.train_accuracy_running:.2%}"
            bar.update(task, total=progress.num_steps, completed=progress.step, description=running)
            if progress.finished:
                bar.console.print(_line(progress), soft_wrap=True, markup=False)

        yield show


def _line(progress: Progress) -> str:
    return line(progress, progress.epochs, progress.note)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text in columns, figures to the right."""
    if not rows:
        return ""
    names = list(rows[0])
    cells = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    right = [isinstance(rows[0][name], int | float) for name in names]
    return "\n".join(
        "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in cells
    )
