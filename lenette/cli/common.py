"""What several commands share: options, the live display, and JSON."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from lenette.progress import line

Progress = Callable[[dict[str, Any]], None]

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
    """Print the value as JSON."""
    click.echo(json.dumps(value, indent=1, default=str))


@contextmanager
def display(as_json: bool) -> Iterator[Progress]:
    """Yield a progress function: a live bar on a terminal, else a plain line an epoch; on stderr beside JSON."""
    stream = sys.stderr if as_json else sys.stdout
    if not stream.isatty():
        yield lambda record: click.echo(line(record), file=stream) if record["finished"] else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream, highlight=False), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def show(record: dict[str, Any]) -> None:
            running = f"epoch {record['epoch']}/{record['epochs']}  train {record['train_accuracy_running']:.2%}"
            bar.update(task, total=record["num_steps"], completed=record["step"], description=running)
            if record["finished"]:
                bar.console.print(line(record), soft_wrap=True, markup=False)

        yield show


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
