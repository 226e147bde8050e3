"""The page of a study: the answer, its figures and tables in one HTML file; JSON, CSV and the figures beside it."""

import json
from collections.abc import Callable
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenette import files, records, studies, text
from lenette.many import shown
from lenette.report import words
from lenette.report.facts import dataset
from lenette.report.figures import study as figures
from lenette.report.html import render
from lenette.report.page import inline
from lenette.report.style import save
from lenette.stats import Mean
from lenette.studies import RangeTest, Study, compare
from lenette.studies.compare import Reached
from lenette.studies.words import together

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SENTENCES = "answer.md"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def write(study: Study | RangeTest, folder: Path, command: str = "") -> Path:
    """Write the page, index.html, and beside it answer.md, the tables, the JSON and each figure as SVG.

    Returns the page's path; `command` is what makes the study again, for the page to say.
    """
    drawn = drawings(study)
    if isinstance(study, RangeTest):
        answer = study.answer
        study.save(folder)
    else:
        answer = studies.answer(study)
        studies.save(study, folder, answer)
    for name, (figure, _) in drawn.items():
        save(figure, folder / f"{name}.svg")
    again = f"\nMade by `{command}`.\n" if command else ""
    files.write_text(
        folder / SENTENCES, f"# {study.title}\n\n" + "\n".join(f"- {sentence}" for sentence in answer) + "\n" + again
    )
    files.write_text(folder / "index.html", page(study, answer, drawn, command))
    return folder / "index.html"


def own_folder(study: Study | RangeTest, folder: Path, say: Callable[[str], None]) -> Path:
    """Return `folder`, or the first of NAME-2, NAME-3 ... in which no study of other runs lies; that is then said."""
    mine = _runs(records.plain(study))
    places = chain([folder], (folder.with_name(f"{folder.name}-{number}") for number in count(2)))
    place = next(one for one in places if not (one / "study.json").exists() or _is_of(one / "study.json", mine))
    if place != folder:
        say(f"another study lies in {folder}: this one goes to {place}")
    return place


def _is_of(path: Path, runs: list[Any]) -> bool:
    try:
        return _runs(json.loads(path.read_bytes())) == runs
    except (OSError, ValueError, KeyError, TypeError):  # whatever it is, it is somebody's
        return False


def _runs(study: dict[str, Any]) -> list[Any]:
    """Return what tells two studies apart: the question and its runs' names, or a range test's losses."""
    if "cells" not in study:
        return study["losses"]
    return [study["question"], *([run["run"] for run in cell["runs"]] for cell in study["cells"])]


def drawings(study: Study | RangeTest) -> dict[str, tuple["Figure", str]]:
    """Return the figures that the study has, each with a label for those who can't see it."""
    if isinstance(study, RangeTest):
        return {"loss": (figures.rising_rate(study), "Line chart of the loss against a rising learning rate")}
    drawn = {"errors": (figures.errors(study), "Mean train and " + study.part + " error of each cell, with intervals")}
    if compare.comparisons(study):
        drawn["differences"] = (figures.differences(study), "Differences in error, with intervals")
    if any(compare.curves(cell, "train_loss") for cell in study.cells):
        drawn["losses"] = (figures.losses(study), f"Line charts of train and {study.part} loss against the epoch")
    if study.question == "schedule":
        drawn["rates"] = (figures.rates(study), "Line chart of each schedule's learning rate against the epoch")
    return drawn


def page(study: Study | RangeTest, answer: list[str], drawn: dict[str, tuple["Figure", str]], command: str) -> str:
    """Return the study's page as one HTML file without any outside reference."""
    filters = {"fraction": _fraction, "nats": _nats, "points": _points, "epochs": _epochs, "shown": shown}
    return render(
        "study.html",
        filters=filters,
        study=study,
        whole=isinstance(study, Study),
        not_mnist=words.not_mnist(dataset(study.dataset)),
        answer=answer,
        pictures={name: inline(figure, name, label) for name, (figure, label) in drawn.items()},
        **_tables(study),
        duration=text.duration,
        command=command,
    )


def _tables(study: Study | RangeTest) -> dict[str, Any]:
    if isinstance(study, RangeTest):
        return {}
    goals = [compare.convergence(study, f"{part}_loss") for part in ("train", study.part)]
    return {
        "any_diverged": any(cell.diverged for cell in study.cells),
        "differences": compare.comparisons(study),
        "together": together(study),
        "diagnoses": [compare.diagnosis(study, cell) for cell in study.cells],
        "convergence": [goal for of_part in goals for goal in of_part] if study.question == "schedule" else [],
    }


def _fraction(mean: Mean | None) -> str:
    return _with_interval(mean, lambda value: f"{100 * value:.2f}", " %")


def _points(mean: Mean | None) -> str:
    return _with_interval(mean, text.points)


def _nats(mean: Mean | None) -> str:
    return _with_interval(mean, text.number)


def _epochs(cell: Reached) -> str:
    if cell.epochs:
        return _with_interval(cell.epochs, lambda value: f"{value:.1f}")
    return f"{cell.num_reached} of {cell.num_seeds} seeds" if cell.num_reached else "never"


def _with_interval(mean: Mean | None, shape: Callable[[float], str], unit: str = "") -> str:
    if mean is None:
        return "–"
    value, inside = f"{shape(mean.mean)}{unit}", text.interval(mean.low, mean.high, shape)
    # in a narrow table the interval goes to a line of its own, and breaks nowhere else
    return " ".join(part.replace(" ", NO_BREAK_SPACE) for part in ([value, f"({inside})"] if inside else [value]))
