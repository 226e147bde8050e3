"""What every benchmark here shares: a description of the machine, an eye on other processes, and the result's files."""

import json
import multiprocessing
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

from lenette.environment import environment
from lenette.records import plain

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def describe() -> dict[str, Any]:
    """Return the machine, the versions, the threads of torch and the date."""
    return {**plain(environment()), "threads": torch.get_num_threads(), "date": date.today().isoformat()}


def sentence(machine: dict[str, Any]) -> str:
    """Return the description as one line for people."""
    versions = ", ".join(f"{name} {machine[name]}" for name in ("lenette", "python", "torch", "numpy"))
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; {versions}; "
        f"{machine['system']}; {machine['date']}"
    )


def foreign_seconds() -> float:
    """Return the CPU seconds that all other processes but this one and its children have used (0 where unknown)."""
    if not Path("/proc/stat").exists():
        return 0.0
    ticks = sum(int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4])
    for child in multiprocessing.active_children():
        ticks -= sum(
            int(word) for word in Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        )
    own = os.times()
    return ticks / os.sysconf("SC_CLK_TCK") - own.user - own.system


def wait_for_quiet(busy_share: float = 0.1, limit_seconds: float = 5.0) -> None:
    """Wait until other processes leave the cores alone and workers of this one have nothing to do, or for the limit."""
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        before = foreign_seconds()
        time.sleep(0.1)
        if foreign_seconds() - before <= busy_share * 0.1 * (os.cpu_count() or 1):
            return


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, first column to the left and numbers to the right, that reads well as plain text too."""
    widths = [max(len(line[i]) for line in [columns, *rows]) for i in range(len(columns))]

    def line(cells: list[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(columns), rule, *map(line, rows)])


def save(name: str, result: dict[str, Any], text: str) -> None:
    """Write results/benchmarks/NAME.json and NAME.md."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")
