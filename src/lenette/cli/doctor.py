"""lenette doctor: what works on this machine."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from lenette.cli.common import data_option, echo_json, json_option, store_option
from lenette.errors import UnsupportedByEngine


@click.command()
@data_option
@store_option
@json_option
def doctor(folder: Path | None, store: Path, as_json: bool) -> None:
    """Say what works here: versions, compiler, threads, GPU, data, disk; and what to do about the rest."""
    found = dict(_checks(folder, store))
    if as_json:
        echo_json(found)
        return
    for name, said in found.items():
        click.echo(f"{name:9} {said}")


def _checks(folder: Path | None, store: Path) -> Iterator[tuple[str, str]]:
    from lenette.engines import DEFAULT_THREADS
    from lenette.environment import environment

    here = environment()
    yield "versions", f"lenette {here.lenette}, Python {here.python}, torch {here.torch}, numpy {here.numpy}"
    yield "machine", f"{here.processor}, {here.system}"
    yield "compiler", _compiler()
    yield "threads", f"{DEFAULT_THREADS} for a run, of {here.cores} logical cores: --threads changes it"
    yield "GPU", _gpu()
    yield "data", _data(folder)
    yield "disk", _disk(store)


def _compiler() -> str:
    from lenette.engines.native import compiler

    try:
        command = tuple(compiler.find())
        return f"{compiler.version(command)}: the native engine works"
    except UnsupportedByEngine as none:
        return f"{none}; training works, some times slower"


def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}: --device cuda, on the reference engine"
    return "none that torch can use: all networks here are small enough for the CPU"


def _data(folder: Path | None) -> str:
    from lenette.data import list_datasets

    rows = list_datasets(folder)
    there = [f"{row['name']} in {row['folder']}" for row in rows if row["folder"]]
    missing = [row["name"] for row in rows if not row["folder"]]
    said = "; ".join(there) or "none"
    return said + (f"; not here: {', '.join(missing)} (`lenette data fetch NAME`)" if missing else "")


def _disk(store: Path) -> str:
    """Return how much room there is where runs are kept, in the first folder above it that exists."""
    place = next(path for path in (store.absolute(), *store.absolute().parents) if path.is_dir())
    free = f"{shutil.disk_usage(place).free / 1e9:.1f} GB free for runs in {store}"
    return free if os.access(place, os.W_OK) else f"{free}, which can't be written to: --store names another folder"


COMMANDS = [doctor]
