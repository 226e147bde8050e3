"""The machine and the libraries: what a record says of where it was made."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import torch

from lenette.records import Record


class Environment(Record, frozen=True):
    """The machine and the libraries that made a run; `build` stands here in runs of version 1."""

    lenette: str
    python: str
    torch: str
    numpy: str
    system: str
    processor: str
    cores: int | None
    build: dict[str, str | int] | None = None


def environment() -> Environment:
    """Return what a reader of a record wants to know of this machine."""
    return Environment(
        lenette=version("lenette"),
        python=platform.python_version(),
        torch=str(torch.__version__),
        numpy=version("numpy"),
        system=platform.platform(),
        processor=_processor(),
        cores=os.cpu_count(),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
