"""What may be said of a study's cells: differences, the preferred one, convergence, over- and underfitting.

Means and intervals are those of `stats`, over seeds. Two kinds of difference hold together at 95 %, by rules that were
tried on whole answers to 2,000 studies each of 3 to 9 made-up cells, all alike, over 3 to 10 seeds (the command is
`python -m tests.studies.levels`), where the standard error of a rate of 5 % is 0.5 %:

- Which cells are compared was settled beforehand (a ladder's steps, each augmentation against none): the differences
  are paired by seed, and their intervals Student's at 1 - 0.05 / number of differences (Bonferroni). From 3.6 to 5.8 %
  of the answers called a cell better or worse, 4.7 % in the mean.
- The data chose the cell that the others are held against: the intervals hold for all pairs (Games and Howell), so that
  it doesn't matter which was chosen. From 1.2 to 5.4 % of the answers called a cell worse.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from lenette import stats
from lenette.stats import Mean, mean_interval, paired_difference
from lenette.studies.study import Cell, Study

LEVEL = 0.95
CHANCE = 2.0  # a network right less often than so many times a blind guess has learnt nothing
FAR, MANY = 5.0, 0.05  # a seed has failed whose error is so many times the best of its cell's, and as much as that
STILL_FALLING = 0.05  # a train loss that falls by this share over the last quarter of the epochs is not at its end
SETTLED = ("ladder", "augmentation")  # the questions that settle beforehand which cells are compared
ENOUGH_POWER, MOST_SEEDS = 0.8, 1000


@dataclass(frozen=True)
class Difference:
    """By how much the error of the cell `second` lies above that of `first`, over the seeds that ended in both."""

    first: str
    second: str
    mean: Mean

    @property
    def verdict(self) -> Literal["lower", "higher", "undecided"]:
        """Whether the error of `second` is the lower or the higher one beyond doubt."""
        return "lower" if self.mean.high < 0 else "higher" if self.mean.low > 0 else "undecided"


@dataclass(frozen=True)
class Power:
    """The chance `power` that a study would have told a true difference in error of `difference`, a fraction, from 0.

    It rests on the differences' standard deviation from seed to seed, `deviation`, pooled over the cells; from
    `seeds_needed` seeds on the chance is 80 % (None: not even from 1,000).
    """

    difference: float
    deviation: float
    power: float
    seeds_needed: int | None


@dataclass(frozen=True)
class Rise:
    """Since the end of `epoch`, where the part's mean loss was lowest, it rose by `part_loss`, and train's by less than
    nothing, `train_loss`: both beyond doubt."""

    epoch: int
    part_loss: Mean
    train_loss: Mean


@dataclass(frozen=True)
class Diagnosis:
    """Whether a cell over- or underfits, by the gap between the part and the training images.

    `gap_loss` and `gap_error` are part - train at the last epoch, in evaluation mode and without augmentation (None
    without a run that ended); `running_gap_error` the same against the running train figure, taken while learning, with
    augmentation on; `still_falling` by what share the train loss fell over the last quarter of the epochs, or None.
    """

    cell: str
    gap_loss: Mean | None
    gap_error: Mean | None
    running_gap_error: Mean | None
    rise: Rise | None
    still_falling: Mean | None

    @property
    def verdict(self) -> Literal["overfits", "gap", "no gap", "unknown"]:
        """A rise, a loss above train's, neither, or unknown: one seed, or none that ended."""
        if self.gap_loss is None or self.gap_loss.count == 1:
            return "unknown"
        return "overfits" if self.rise else "gap" if self.gap_loss.low > 0 else "no gap"


@dataclass(frozen=True)
class Reached:
    """How many of a cell's seeds reached a loss, and after how many epochs in the mean; None unless all did."""

    num_seeds: int
    num_reached: int
    epochs: Mean | None


@dataclass(frozen=True)
class Goal:
    """A loss `goal` that every seed of the first cell has reached after `epoch` epochs, and when each cell has it.

    `figure` is "train_loss" or the part's.
    """

    figure: str
    goal: float
    epoch: int
    cells: dict[str, Reached]


def preferred(study: Study) -> Cell | None:
    """Return the cell with the lowest mean error among those with the fewest diverged runs; None if all did."""
    with_error = [cell for cell in study.cells if cell.values(study.error)]
    if not with_error:
        return None
    return min(with_error, key=lambda cell: (len(cell.diverged), _mean(cell, study.error)))


def comparisons(study: Study) -> list[Difference]:
    """Return the comparisons that the study's question asks for; their intervals hold together at 95 %."""
    return {"ladder": step_by_step, "augmentation": from_first}.get(study.question, from_preferred)(study)


def from_preferred(study: Study) -> list[Difference]:
    """Return how each other cell differs from the preferred one, which the data chose; see `stats.difference_among`."""
    best = preferred(study)
    if best is None:
        return []
    num_cells = sum(bool(cell.values(study.error)) for cell in study.cells)
    found = []
    for cell in study.cells:
        one, two = _common(best, cell, study.error)
        if one and cell is not best:
            found.append(Difference(best.name, cell.name, stats.difference_among(two, one, num_cells, LEVEL)))
    return found


def from_first(study: Study) -> list[Difference]:
    """Return how each other cell differs from the first, seed by seed."""
    return _settled(study, [(study.cells[0], cell) for cell in study.cells[1:]])


def step_by_step(study: Study) -> list[Difference]:
    """Return how each cell differs from the one before it, seed by seed."""
    return _settled(study, pairwise(study.cells))


def power(study: Study, difference: float) -> Power | None:
    """Return with what chance a true difference from the first cell would have been seen; None where nothing tells.

    The spread is pooled, the root of the mean variance, over the cells' differences from the first.
    """
    means = [one.mean for one in from_first(study) if one.mean.count > 1]
    deviation = (sum(mean.deviation**2 for mean in means) / max(1, len(means))) ** 0.5
    if not deviation:
        return None

    def chance(count: int) -> float:
        return stats.power(difference, deviation, count, means[0].level)

    needed = next((count for count in range(2, MOST_SEEDS + 1) if chance(count) >= ENOUGH_POWER), None)
    return Power(difference, deviation, chance(min(mean.count for mean in means)), needed)


def at_chance(study: Study, cell: Cell) -> list[int]:
    """Return the seeds whose network ended with little more than a blind guess."""
    limit = 1 - CHANCE / study.num_classes
    return [seed for seed, error in cell.values(study.error).items() if error > limit]


def failed(study: Study, cell: Cell) -> dict[int, float]:
    """Return {seed: error} of the seeds that ended far from the cell's best one, and learnt something all the same."""
    errors = cell.values(study.error)
    limit = max(MANY, FAR * min(errors.values(), default=1.0))
    return {seed: error for seed, error in errors.items() if error > limit and seed not in at_chance(study, cell)}


def diagnosis(study: Study, cell: Cell) -> Diagnosis:
    """Return whether the cell over- or underfits."""
    ended = [run.figures for run in cell.runs if run.figures]
    running = [figures[study.error] - figures["train_running_error"] for figures in ended]
    return Diagnosis(
        cell=cell.name,
        gap_loss=cell.mean("gap_loss"),
        gap_error=cell.mean("gap_error"),
        running_gap_error=mean_interval(running) if running else None,
        rise=rise(study, cell),
        still_falling=_still_falling(cell),
    )


def rise(study: Study, cell: Cell) -> Rise | None:
    """Return since which epoch the part's loss rose while the train loss fell, if it did, both beyond doubt.

    Bonferroni over the epochs; it needs the train loss of every epoch.
    """
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
    return None if rose.low <= 0 or fell.high >= 0 else Rise(lowest + 1, rose, fell)


def curves(cell: Cell, name: str) -> list[list[float]]:
    """Return that column of the epochs' figures for each run that ended, if all have it at every epoch."""
    found = [run.curve.get(name, [None]) for run in cell.runs if run.figures]
    if any(value is None for curve in found for value in curve) or len({len(curve) for curve in found}) > 1:
        return []
    return found


def convergence(study: Study, figure: str) -> list[Goal]:
    """Return how many epochs each cell takes to the losses that the first cell has after a quarter, a half and all.

    Epochs are linear between the ends of epochs, and 1 where the first epoch's end is beyond the goal.
    """
    reference = curves(study.cells[0], figure)
    if not reference:
        return []
    num_epochs = len(reference[0])
    found = []
    for epoch in sorted({-(-num_epochs // 4), -(-num_epochs // 2), num_epochs}):
        goal = max(min(curve[:epoch]) for curve in reference)
        found.append(Goal(figure, goal, epoch, {cell.name: _reached(cell, figure, goal) for cell in study.cells}))
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


def of_figure(first: Cell, second: Cell, figure: str) -> Mean | None:
    """Return second - first of that figure over the seeds that have it in both, with its 95 % interval, or None."""
    one, two = _common(first, second, figure)
    return paired_difference(two, one, LEVEL) if one else None


def _settled(study: Study, pairs: Iterable[tuple[Cell, Cell]]) -> list[Difference]:
    level = 1 - (1 - LEVEL) / max(1, len(study.cells) - 1)
    found = []
    for first, second in pairs:
        one, two = _common(first, second, study.error)
        if one:
            found.append(Difference(first.name, second.name, paired_difference(two, one, level)))
    return found


def _common(first: Cell, second: Cell, figure: str) -> tuple[list[float], list[float]]:
    """Return both cells' values of the seeds that have the figure in both."""
    one, two = first.values(figure), second.values(figure)
    seeds = sorted(set(one) & set(two))
    return [one[seed] for seed in seeds], [two[seed] for seed in seeds]


def _reached(cell: Cell, figure: str, goal: float) -> Reached:
    epochs = [found for curve in curves(cell, figure) if (found := epochs_to(curve, goal)) is not None]
    whole = epochs and len(epochs) == len(cell.runs)
    return Reached(len(cell.runs), len(epochs), mean_interval(epochs) if whole else None)


def _still_falling(cell: Cell) -> Mean | None:
    train = curves(cell, "train_loss")
    if not train or len(train[0]) < 4:
        return None
    quarter = -(-len(train[0]) // 4)
    return mean_interval([1 - curve[-1] / curve[-1 - quarter] for curve in train])


def _mean(cell: Cell, figure: str) -> float:
    values = cell.values(figure)
    return sum(values.values()) / len(values)
