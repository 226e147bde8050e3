"""A Study: the cells of a question, every seed's figures in them; saved as JSON and CSV, and read again."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lenette import files
from lenette.errors import LenetteError
from lenette.many import shown
from lenette.runs import Run
from lenette.stats import Mean, mean_interval

FIGURES = ("error", "loss")


@dataclass(frozen=True)
class Cell:
    """One recipe of a study, and what each seed came to.

    `changes` is what sets it apart ({field: value}), `recipe` all fields that change numbers, `runs` one dict a seed:
    `run` (its id), `seed`, `status`, `diverged_at`, `figures` (the last epoch's losses in nats and errors as fractions,
    evaluation mode, without augmentation; None where it diverged) and `curve` (the epochs' figures as columns).
    """

    name: str
    changes: dict[str, Any]
    recipe: dict[str, Any]
    parameters: int
    runs: list[dict[str, Any]]

    def values(self, figure: str) -> dict[int, float]:
        """Return {seed: value} of a figure ("test_error", "train_loss", "gap_loss", ...) for the runs that have it."""
        return {run["seed"]: run["figures"][figure] for run in self.runs if figure in (run["figures"] or {})}

    def mean(self, figure: str) -> Mean | None:
        """Return the mean over seeds and its 95 % interval; None where no run has the figure.

        Student's t knows no bounds; here an error's interval ends at 0 and 1, a loss's at 0.
        """
        values = list(self.values(figure).values())
        if not values:
            return None
        mean = mean_interval(values)
        if figure.startswith("gap") or not math.isfinite(mean.low):
            return mean
        return replace(mean, low=max(mean.low, 0.0), high=min(mean.high, 1.0) if "error" in figure else mean.high)

    @property
    def diverged(self) -> list[dict[str, Any]]:
        """The runs whose loss was no longer finite."""
        return [run for run in self.runs if run["figures"] is None]


@dataclass(frozen=True)
class Study:
    """Many runs and the question that they answer.

    `question` is "learning-rate", "batch-size", "schedule", "ladder", "augmentation" or "sweep"; `part` the images that
    it is answered on, "test" or "validation"; `axes` the grid {field: values}, empty where there is none; `machine`
    what the runs were made on.
    """

    question: str
    title: str
    dataset: str
    part: str
    num_images: int
    num_classes: int
    seeds: list[int]
    axes: dict[str, list[Any]]
    cells: list[Cell]
    machine: dict[str, Any]

    def cell(self, name: str) -> Cell:
        """Return the cell of that name."""
        return next(cell for cell in self.cells if cell.name == name)

    @property
    def error(self) -> str:
        """The figure that decides: the error on the part."""
        return f"{self.part}_error"

    @property
    def figures(self) -> list[str]:
        """The figures of each cell's summary."""
        parts = ("train", self.part, "gap")
        return [f"{part}_{figure}" for figure in FIGURES for part in parts] + ["train_seconds"]

    @property
    def summary(self) -> list[dict[str, Any]]:
        """One dict a cell: its name, changes, parameters, and each figure's mean over seeds with its 95 % interval."""
        return [
            {
                "name": cell.name,
                "changes": cell.changes,
                "parameters": cell.parameters,
                "num_runs": len(cell.runs),
                "num_diverged": len(cell.diverged),
                **{figure: asdict(mean) if (mean := cell.mean(figure)) else None for figure in self.figures},
            }
            for cell in self.cells
        ]


def record(run: Run) -> dict[str, Any]:
    """Return what a study keeps of a run."""
    about, lines, part = run.about, run.metrics, run.part or ""
    final = {} if about["status"] == "diverged" else run.final
    figures = None
    if final and all(final[name]["loss"] is not None for name in ("train", part)):
        figures = {f"{name}_loss": final[name]["loss"] for name in ("train", part)}
        figures |= {f"{name}_error": 1 - final[name]["accuracy"] for name in ("train", part)}
        figures |= {f"gap_{name}": figures[f"{part}_{name}"] - figures[f"train_{name}"] for name in FIGURES}
        figures["train_running_error"] = 1 - lines[-1]["train_accuracy_running"]
        figures["train_seconds"] = lines[-1]["train_seconds"]
    return {
        "run": run.id,
        "seed": about["seed"],
        "status": about["status"],
        "diverged_at": about.get("diverged_at"),
        "figures": figures,
        "curve": run.curve,
    }


def save(study: Study, folder: Path, answer: Sequence[str]) -> None:
    """Write study.json (everything), study.csv (a row a cell, with intervals) and runs.csv (a row a run) there."""
    whole = {**asdict(study), "answer": list(answer), "summary": study.summary}
    files.write_json(folder / "study.json", whole)
    files.write_text(folder / "study.csv", _csv(_cell_rows(study)))
    files.write_text(folder / "runs.csv", _csv(_run_rows(study)))


def read(path: Path) -> Study:
    """Read a study from its study.json, or the folder that holds it.

    Raises:
        LenetteError: the file can't be read or holds no study.
    """
    path = path / "study.json" if path.is_dir() else path
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        cells = [Cell(**cell) for cell in values["cells"]]
        names = [name for name in Study.__dataclass_fields__ if name != "cells"]
        return Study(cells=cells, **{name: values[name] for name in names})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LenetteError(f"{path} can't be read as a study: {error}") from error


def _cell_rows(study: Study) -> list[dict[str, Any]]:
    rows = []
    for one in study.summary:
        row = {"cell": one["name"], **_axes(study, one["changes"])}
        row |= {name: one[name] for name in ("parameters", "num_runs", "num_diverged")}
        for figure in study.figures:
            mean = one[figure] or dict.fromkeys(("mean", "low", "high", "deviation"))
            row |= {figure: mean["mean"]}
            row |= {f"{figure}_{name}": files.finite(mean[name]) for name in ("low", "high", "deviation")}
        rows.append(row)
    return rows


def _run_rows(study: Study) -> list[dict[str, Any]]:
    rows = []
    for cell in study.cells:
        for run in cell.runs:
            row = {"cell": cell.name, **_axes(study, cell.changes), "seed": run["seed"], "status": run["status"]}
            row["diverged_at_step"] = (run["diverged_at"] or {}).get("step")
            rows.append({**row, **{figure: (run["figures"] or {}).get(figure) for figure in study.figures}})
    return rows


def _axes(study: Study, changes: dict[str, Any]) -> dict[str, str]:
    return {name: shown(changes[name]) for name in study.axes}


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
