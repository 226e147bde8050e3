"""What may be said of a study's cells: paired differences, the preferred one, convergence, over- and underfitting.

All results are plain dicts; means and intervals are those of `stats`, over seeds.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from lenette.stats import Mean, mean_interval, paired_difference
from lenette.studies.study import Cell, Study

LEVEL = 0.95
CHANCE = 2.0  # a network right less often than so many times a blind guess has learnt nothing
FAR, MANY = 5.0, 0.05  # a seed has failed whose error is so many times the best of its cell's, and as much as that
STILL_FALLING = 0.05  # a train loss that falls by this share over the last quarter of the epochs is not at its end


def preferred(study: Study) -> Cell | None:
    """Return the cell with the lowest mean error among those with the fewest diverged runs; None if all did."""
    with_error = [cell for cell in study.cells if cell.values(study.error)]
    if not with_error:
        return None
    return min(with_error, key=lambda cell: (len(cell.diverged), _mean(cell, study.error)))


def against(study: Study, first: Cell, others: Sequence[Cell], num_comparisons: int) -> list[dict[str, Any]]:
    """Return how each of the other cells' error differs from the first's, seed by seed: other - first.

    Each dict holds `first`, `second`, `num_seeds`, `mean`, `low`, `high`, `level` and `verdict`: "lower", "higher" or
    "undecided". The intervals hold together at 95 %: each is made at 1 - 0.05 / num_comparisons (Bonferroni).
    """
    level = 1 - (1 - LEVEL) / max(1, num_comparisons)
    return [
        comparison
        for cell in others
        if (comparison := _difference(study, first, cell, level)) is not None and cell is not first
    ]


def from_preferred(study: Study) -> list[dict[str, Any]]:
    """Return `against` for the preferred cell, which the data chose.

    With Bonferroni over the other cells, the truly best cell is called "higher" with a chance of at most 5 %, whichever
    the data chose (multiple comparisons with the best: Hsu, "Constrained simultaneous confidence intervals", 1984).
    """
    best = preferred(study)
    return against(study, best, study.cells, len(study.cells) - 1) if best else []


def from_first(study: Study) -> list[dict[str, Any]]:
    """Return `against` for the first cell, which was settled on beforehand."""
    return against(study, study.cells[0], study.cells[1:], len(study.cells) - 1)


def step_by_step(study: Study) -> list[dict[str, Any]]:
    """Return `against` for each cell and the one before it."""
    steps = [against(study, one, [two], len(study.cells) - 1) for one, two in pairwise(study.cells)]
    return [step for found in steps for step in found]


def at_chance(study: Study, cell: Cell) -> list[int]:
    """Return the seeds whose network ended with little more than a blind guess."""
    limit = 1 - CHANCE / study.num_classes
    return [seed for seed, error in cell.values(study.error).items() if error > limit]


def failed(study: Study, cell: Cell) -> dict[int, float]:
    """Return {seed: error} of the seeds that ended far from the cell's best one, and learnt something all the same."""
    errors = cell.values(study.error)
    limit = max(MANY, FAR * min(errors.values(), default=1.0))
    return {seed: error for seed, error in errors.items() if error > limit and seed not in at_chance(study, cell)}


def diagnosis(study: Study, cell: Cell) -> dict[str, Any]:
    """Return whether the cell over- or underfits, by the gap between the part and the training images.

    Both are taken in evaluation mode and without augmentation. Keys:
        gap_loss, gap_error: part - train at the last epoch, with intervals (None without a run that ended).
        running_gap_error: the same against the running train figure, taken while learning, with augmentation on.
        rise: None, or {epoch, part_loss, train_loss}: since that epoch, at whose end the part's mean loss was lowest,
            the part's loss rose and the train loss fell, both beyond doubt (Bonferroni over the epochs). Needs the
            train loss of every epoch.
        still_falling: by what share the train loss fell over the last quarter of the epochs, with interval, or None.
        verdict: "overfits" (a rise), "gap" (the part's loss is above train's), "no gap", or "unknown" (one seed, or
            none that ended).
    """
    gap = cell.mean("gap_loss")
    found: dict[str, Any] = {"cell": cell.name, "gap_loss": _plain(gap), "gap_error": _plain(cell.mean("gap_error"))}
    running = [
        run["figures"][study.error] - run["figures"]["train_running_error"] for run in cell.runs if run["figures"]
    ]
    found["running_gap_error"] = _plain(mean_interval(running)) if running else None
    found["rise"] = rise(study, cell)
    found["still_falling"] = _still_falling(cell)
    if gap is None or gap.count == 1:
        found["verdict"] = "unknown"
    elif found["rise"]:
        found["verdict"] = "overfits"
    else:
        found["verdict"] = "gap" if gap.low > 0 else "no gap"
    return found


def rise(study: Study, cell: Cell) -> dict[str, Any] | None:
    """Return since which epoch the part's loss rose while the train loss fell, if it did; see `diagnosis`."""
    part, train = curves(cell, f"{study.part}_loss"), curves(cell, "train_loss")
    if len(part) < 2 or len(train) < 2 or len(part[0]) < 2:
        return None
    means = [sum(column) / len(column) for column in zip(*part, strict=True)]
    lowest = means.index(min(means))
    if lowest == len(means) - 1:
        return None
    level = 1 - (1 - LEVEL) / (len(means) - 1)
    rose, fell = (
        paired_difference([c[-1] for c in found], [c[lowest] for c in found], level) for found in (part, train)
    )
    if rose.low <= 0 or fell.high >= 0:
        return None
    return {"epoch": lowest + 1, "part_loss": asdict(rose), "train_loss": asdict(fell)}


def curves(cell: Cell, name: str) -> list[list[float]]:
    """Return that column of the epochs' figures for each run that ended, if all have it at every epoch."""
    found = [run["curve"].get(name, [None]) for run in cell.runs if run["figures"]]
    if any(value is None for curve in found for value in curve) or len({len(curve) for curve in found}) > 1:
        return []
    return found


def convergence(study: Study, figure: str) -> list[dict[str, Any]]:
    """Return how many epochs each cell takes to the losses that the first cell has after a quarter, a half and all.

    A goal is a loss that every seed of the first cell has reached by then. `figure` is "train_loss" or the part's.
    Each dict holds `figure`, `goal`, `epoch` and `cells`: {name: {num_seeds, num_reached, epochs}}, where `epochs` is
    the mean over seeds with its interval, linear between the ends of epochs (1 where the first epoch's end is beyond
    the goal), or None unless all seeds reached it.
    """
    reference = curves(study.cells[0], figure)
    if not reference:
        return []
    num_epochs = len(reference[0])
    found = []
    for epoch in sorted({-(-num_epochs // 4), -(-num_epochs // 2), num_epochs}):
        goal = max(min(curve[:epoch]) for curve in reference)
        cells = {}
        for cell in study.cells:
            all_epochs = [epochs_to(curve, goal) for curve in curves(cell, figure)]
            reached = [epochs for epochs in all_epochs if epochs is not None]
            whole = reached and len(reached) == len(cell.runs)
            cells[cell.name] = {
                "num_seeds": len(cell.runs),
                "num_reached": len(reached),
                "epochs": asdict(mean_interval(reached)) if whole else None,
            }
        found.append({"figure": figure, "goal": goal, "epoch": epoch, "cells": cells})
    return found


def epochs_to(curve: Sequence[float], goal: float) -> float | None:
    """Return after how many epochs the curve first is at or below the goal, or None; see `convergence`."""
    for place, value in enumerate(curve):
        if value <= goal:
            if place == 0:
                return 1.0
            before = curve[place - 1]
            return place + (before - goal) / (before - value)
    return None


def comparisons(study: Study) -> list[dict[str, Any]]:
    """Return the comparisons that the study's question asks for."""
    return {"ladder": step_by_step, "augmentation": from_first}.get(study.question, from_preferred)(study)


def _difference(study: Study, first: Cell, second: Cell, level: float) -> dict[str, Any] | None:
    one, two = first.values(study.error), second.values(study.error)
    seeds = sorted(set(one) & set(two))
    if not seeds:
        return None
    found = paired_difference([two[seed] for seed in seeds], [one[seed] for seed in seeds], level)
    verdict = "lower" if found.high < 0 else "higher" if found.low > 0 else "undecided"
    return {
        "first": first.name,
        "second": second.name,
        "num_seeds": len(seeds),
        **{name: getattr(found, name) for name in ("mean", "low", "high", "level")},
        "verdict": verdict,
    }


def _still_falling(cell: Cell) -> dict[str, Any] | None:
    train = curves(cell, "train_loss")
    if not train or len(train[0]) < 4:
        return None
    quarter = -(-len(train[0]) // 4)
    return asdict(mean_interval([1 - curve[-1] / curve[-1 - quarter] for curve in train]))


def _mean(cell: Cell, figure: str) -> float:
    values = cell.values(figure)
    return sum(values.values()) / len(values)


def _plain(mean: Mean | None) -> dict[str, Any] | None:
    return None if mean is None else asdict(mean)


def of_figure(first: Cell, second: Cell, figure: str) -> Mean | None:
    """Return second - first of that figure over the seeds that have it in both, with its 95 % interval, or None."""
    one, two = first.values(figure), second.values(figure)
    seeds = sorted(set(one) & set(two))
    return paired_difference([two[seed] for seed in seeds], [one[seed] for seed in seeds], LEVEL) if seeds else None
