"""What every benchmark here shares: the machine's description, the wait for quiet, and the files of the result."""

import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

from lenette.training import environment

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def describe() -> dict[str, Any]:
    """Return the machine, the versions, the threads of torch and the date."""
    return {**environment(), "threads": torch.get_num_threads(), "date": date.today().isoformat()}


def sentence(machine: dict[str, Any]) -> str:
    """Return the description as one line for people."""
    versions = ", ".join(f"{name} {machine[name]}" for name in ("lenette", "python", "torch", "numpy"))
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; {versions}; "
        f"{machine['system']}; {machine['date']}"
    )


def wait_for_quiet(busy_share: float = 0.1, limit_seconds: float = 5.0) -> bool:
    """Wait until other processes leave the cores alone; return whether they did within the limit (Linux; else True)."""
    deadline = time.monotonic() + limit_seconds
    while (before := _jiffies()) is not None:
        time.sleep(0.1)
        busy, whole = (after - first for after, first in zip(_jiffies() or before, before, strict=True))
        if busy <= busy_share * whole:
            return True
        if time.monotonic() > deadline:
            return False
    return True


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


def _jiffies() -> tuple[int, int] | None:
    """Return the ticks of all cores since the start, (busy, all), or None where the system doesn't tell."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
