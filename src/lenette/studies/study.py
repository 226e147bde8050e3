"""A Study: the cells of a question, every seed's figures in them; saved as JSON and CSV, and read again."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lenette import files, records
from lenette.environment import Environment
from lenette.many import shown
from lenette.runs import DivergedAt, Run
from lenette.stats import Mean, mean_interval

FIGURES = ("error", "loss")


@dataclass(frozen=True)
class Outcome:
    """What the run of that id came to: one seed of a cell.

    `figures` holds the last epoch's losses in nats and errors as fractions, in evaluation mode and without
    augmentation, None where it diverged; `curve` the epochs' figures as columns.
    """

    run: str
    seed: int
    status: str
    diverged_at: DivergedAt | None
    figures: dict[str, float] | None
    curve: dict[str, list[Any]]


@dataclass(frozen=True)
class Cell:
    """One recipe of a study, and what each seed came to.

    `changes` is what sets it apart ({field: value}), `recipe` all fields that change numbers, `runs` one outcome a
    seed.
    """

    name: str
    changes: dict[str, Any]
    recipe: dict[str, Any]
    parameters: int
    runs: list[Outcome]

    def values(self, figure: str) -> dict[int, float]:
        """Return {seed: value} of a figure ("test_error", "train_loss", "gap_loss", ...) for the runs that have it."""
        return {run.seed: run.figures[figure] for run in self.runs if run.figures and figure in run.figures}

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
    def diverged(self) -> list[Outcome]:
        """The runs whose loss was no longer finite."""
        return [run for run in self.runs if run.figures is None]


class Machine(Environment, frozen=True, kw_only=True):
    """What a study's runs were made on, and by which engine, with so many threads each."""

    engine: str
    threads: int


@dataclass(frozen=True)
class Study:
    """Many runs and the question that they answer.

    `question` is "learning-rate", "batch-size", "schedule", "ladder", "augmentation" or "sweep"; `part` the images that
    it is answered on, "test" or "validation"; `axes` the grid {field: values}, empty where there is none.
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
    machine: Machine

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


def outcome(run: Run) -> Outcome:
    """Return what a study keeps of a run."""
    about, part = run.about, run.part or ""
    losses = {} if about.status == "diverged" else {name: run.final[name].loss for name in ("train", part)}
    figures = None
    if losses and None not in losses.values():
        figures = {f"{name}_loss": loss for name, loss in losses.items() if loss is not None}
        figures |= {f"{name}_error": 1 - run.final[name].accuracy for name in losses}
        figures |= {f"gap_{name}": figures[f"{part}_{name}"] - figures[f"train_{name}"] for name in FIGURES}
        last = run.metrics[-1]
        figures |= {"train_running_error": 1 - last.train_accuracy_running, "train_seconds": last.train_seconds}
    return Outcome(run.id, about.seed, about.status, about.diverged_at, figures, run.curve)


def save(study: Study, folder: Path, answer: Sequence[str]) -> None:
    """Write study.json (everything), study.csv (a row a cell, with intervals) and runs.csv (a row a run) there."""
    whole = {**records.plain(study), "answer": list(answer), "summary": study.summary}
    files.write_json(folder / "study.json", whole)
    files.write_text(folder / "study.csv", _csv(_cell_rows(study)))
    files.write_text(folder / "runs.csv", _csv(_run_rows(study)))


def read(path: Path) -> Study:
    """Read a study from its study.json, or the folder that holds it.

    Raises:
        LenetteError: the file can't be read, or differs from a study in a field, which is named.
    """
    return records.read(path / "study.json" if path.is_dir() else path, Study)


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
            row = {"cell": cell.name, **_axes(study, cell.changes), "seed": run.seed, "status": run.status}
            row["diverged_at_step"] = run.diverged_at.step if run.diverged_at else None
            rows.append({**row, **{figure: (run.figures or {}).get(figure) for figure in study.figures}})
    return rows


def _axes(study: Study, changes: dict[str, Any]) -> dict[str, str]:
    return {name: shown(changes[name]) for name in study.axes}


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
