"""What the commands that train many times share: their options and their display."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lenette.cli.common import data_option, device_option, engine_option, store_option
from lenette.text import duration

if TYPE_CHECKING:  # it loads PyTorch
    from lenette.many import Running, State, Tell


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add how many runs are made."""
    for option in reversed(
        [
            engine_option,
            device_option,
            click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="of each process"),
            click.option("--processes", type=click.IntRange(min=1), help="runs at once (else as the cores can feed)"),
            data_option,
            store_option,
        ]
    ):
        command = option(command)
    return command


@contextmanager
def saying_how_to_go_on() -> Iterator[None]:
    """Say on Ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("\ninterrupted; what was trained is saved. The same command goes on with it", err=True)
        raise KeyboardInterrupt from None


@contextmanager
def display(as_json: bool) -> Iterator["Tell"]:
    """Yield a progress function: a live bar on a terminal, else a line a run; on stderr beside JSON."""
    stream = sys.stderr if as_json else sys.stdout
    if not stream.isatty():
        yield _lines(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.completed}/{task.total} runs"), BarColumn(), TextColumn("{task.description}"))
    # It starts with the first word, lest it hide the question that may come before.
    bar = Progress(*columns, console=Console(file=stream, highlight=False), transient=True)
    task = bar.add_task("", total=None)

    def show(state: "State") -> None:
        bar.start()
        left = "" if state.seconds_left is None else f"{duration(state.seconds_left)} left; "
        running = ", ".join(map(_standing, state.running[:2]))
        more = f" and {len(state.running) - 2} more" if len(state.running) > 2 else ""
        bar.update(task, total=state.total, completed=state.done + state.failed, description=left + running + more)
        if state.note:
            bar.console.print(state.note, soft_wrap=True, markup=False)

    try:
        yield show
    finally:
        bar.stop()


def _standing(running: "Running") -> str:
    told = running.progress
    return f"{running.name} {told.epoch}/{told.epochs}" if told else running.name


def _lines(stream: Any) -> "Tell":
    """Return a progress function that writes a line whenever a run has ended or something is to be said."""
    said: set[tuple[int, int, str]] = set()

    def show(state: "State") -> None:
        told = (state.done, state.failed, state.note)
        if told in said:
            return
        said.add(told)
        left = f", some {state.seconds_left:,.0f} s left" if state.seconds_left else ""
        failed = f", {state.failed} failed" if state.failed else ""
        note = f"  {state.note}" if state.note else ""
        click.echo(f"{state.done} of {state.total} runs{failed}{left}{note}", file=stream)

    return show
