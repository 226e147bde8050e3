"""Figures of a study: error against what was varied, differences, losses against the epoch; and of a range test."""

import math
from typing import TYPE_CHECKING, Any

from lenette.many import shown
from lenette.plan import Plan
from lenette.recipes import from_mapping
from lenette.report.style import BLUE, GREY, INK, SERIES, VERMILLION, new, styled
from lenette.stats import Mean
from lenette.studies import Cell, RangeTest, Study, compare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = len(SERIES)
VERY_WIDE_RANGE = 40.0  # differences likewise; their small ones lie about 0
WIDE_RANGE = 8.0  # values or errors that differ by such a factor are drawn on a logarithmic scale


@styled
def errors(study: Study) -> "Figure":
    """Draw each cell's mean train and test error, in per cent, with its 95 % interval: against the one field that was
    varied if it is a number, else a row a cell.
    """
    if has_one_numeric_axis(study):
        return _errors_along(study)
    figure, axes = new(7.2, 0.9 + 0.42 * len(study.cells))
    for part, style in _parts(study):
        offset = -0.12 if part == "train" else 0.12
        rows = [(place, mean) for place, cell in enumerate(study.cells) if (mean := cell.mean(f"{part}_error"))]
        axes.errorbar(
            [100 * mean.mean for _, mean in rows],
            [place + offset for place, _ in rows],
            xerr=_bars([mean for _, mean in rows]),
            label=f"{part} images",
            **{**style, "linestyle": "none", "capsize": 2.5},
        )
    _rows(axes, [cell.name for cell in study.cells])
    means = [mean.mean for cell in study.cells if (mean := cell.mean(study.error))]
    if means and max(means) > WIDE_RANGE * min(means) > 0:
        axes.set(xscale="log", xlabel="error (%), logarithmic")
        axes.xaxis.set_major_formatter(_plain)
    else:
        axes.set(xlabel="error (%)", xlim=(0, None))
    axes.set_title("Error at the last epoch: mean over seeds, 95 % interval", pad=22)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    return figure


@styled
def differences(study: Study) -> "Figure":
    """Draw the differences in error, in percentage points, with their intervals, which hold together at 95 %."""
    found = compare.comparisons(study)
    figure, axes = new(7.2, 0.9 + 0.36 * max(1, len(found)))
    axes.axvline(0, color=INK, linewidth=1)
    for place, one in enumerate(found):
        decided = one.verdict != "undecided"
        axes.errorbar(
            100 * one.mean.mean,
            place,
            xerr=_bars([one.mean]),
            color=VERMILLION if decided else GREY,
            marker="s" if decided else "o",
            markerfacecolor=VERMILLION if decided else "none",
            capsize=2.5,
        )
    against_one = len({one.first for one in found}) == 1
    _rows(axes, [one.second if against_one else f"{one.second} − {one.first}" for one in found])
    axes.set_xlabel("percentage points; open circles: can't be told from 0")
    reaches = [100 * max(abs(one.mean.low), abs(one.mean.high)) for one in found]
    if reaches and max(reaches) > VERY_WIDE_RANGE * min(reaches) > 0:
        axes.set_xscale("symlog", linthresh=10 ** math.ceil(math.log10(min(reaches))))
        axes.xaxis.set_major_formatter(_plain)
        axes.set_xlabel("percentage points, logarithmic; open circles: can't be told from 0")
    what = f"less that of {found[0].first}" if against_one else "less that of the one before"
    axes.set_title(f"{study.part.capitalize()} error {what}")
    return figure


@styled
def losses(study: Study) -> "Figure":
    """Draw train and test loss against the epoch: a line a cell, the mean over seeds, from lowest to highest shaded.

    Of more cells than there are lines, the first ones and the preferred one are drawn.
    """
    figure, both = new(9.6, 3.8, columns=2, sharey=True)
    names = [cell.name for cell in _few(study)]
    for axes, part in zip(both, ("train", study.part), strict=True):
        for style, name in zip(SERIES, names, strict=False):
            _band(axes, compare.curves(study.cell(name), f"{part}_loss"), name, style)
        _logarithmic(axes)
        axes.set_xlabel("epoch")
        axes.set_title(f"Loss of the {part} images")
        axes.xaxis.get_major_locator().set_params(integer=True)
    both[0].set_ylabel("cross-entropy (nats), logarithmic")
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(5, len(names)))
    return figure


@styled
def rates(study: Study) -> "Figure":
    """Draw each cell's learning rate against the epoch."""
    figure, axes = new(7.2, 2.8)
    for style, cell in zip(SERIES, _few(study), strict=False):
        plan = Plan(from_mapping(cell.recipe), 0, study.num_images)
        values = plan.rates().tolist()
        stride = max(1, len(values) // 2000)
        epochs = [step / plan.steps_per_epoch for step in range(plan.num_steps)]
        axes.plot(epochs[::stride], values[::stride], label=cell.name, **{**style, "marker": ""})
    axes.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
    axes.set_title("Learning rate of each schedule", pad=34)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0)
    return figure


@styled
def rising_rate(found: RangeTest) -> "Figure":
    """Draw the loss of a range test against the learning rate, a line a seed, smoothed, and the suggestion."""
    figure, axes = new(7.2, 3.6)
    for style, seed, raw, smooth in zip(SERIES, found.seeds, found.losses, found.smoothed, strict=False):
        axes.plot(found.lr[: len(raw)], raw, color=style["color"], alpha=0.2, linewidth=0.6)
        line = {**style, "marker": ""}
        axes.plot(found.lr[: len(smooth)], smooth, label=f"seed {seed}", **line)
    if found.suggestion is not None:
        axes.axvline(found.suggestion, color=INK, linewidth=1.2, linestyle=":")
        axes.annotate(
            f"suggested: {found.suggestion:.2g}",
            (found.suggestion, 0.03),
            (4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
        )
    # what breaks away goes far beyond where it began, and would flatten all that is to be seen
    highest = 1.5 * max((smooth[0] for smooth in found.smoothed if smooth), default=1.0)
    axes.set(xscale="log", xlabel="learning rate, logarithmic", ylabel="loss of the batch (nats)", ylim=(0, highest))
    axes.xaxis.set_major_formatter(_plain)
    axes.set_title("Loss while the learning rate rises (smoothed; faint: each step)")
    axes.legend(loc="lower left")
    return figure


def has_one_numeric_axis(study: Study) -> bool:
    """Say whether one field was varied, and over numbers."""
    values = [value for values in study.axes.values() for value in values]
    return len(study.axes) == 1 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _errors_along(study: Study) -> "Figure":
    figure, axes = new(6.4, 3.8)
    ((name, values),) = study.axes.items()
    highest = []
    for part, style in _parts(study):
        points = [(cell.changes[name], mean) for cell in study.cells if (mean := cell.mean(f"{part}_error"))]
        points.sort(key=lambda point: point[0])
        means = [mean for _, mean in points]
        highest += [100 * mean.mean for mean in means]
        axes.errorbar(
            [value for value, _ in points],
            [100 * mean.mean for mean in means],
            yerr=_bars(means),
            label=f"{part} images",
            **{**style, "capsize": 2.5},
        )
    if min(values) > 0 and max(values) / min(values) >= WIDE_RANGE:
        axes.set_xscale("log")
    marks = {
        cell.changes[name]: f"\n{len(cell.diverged)} of {len(cell.runs)} diverged"
        for cell in study.cells
        if cell.diverged
    }
    axes.set_xticks(values, [shown(value) + marks.get(value, "") for value in values])
    axes.margins(x=0.1)
    axes.set_xticks([], minor=True)
    low = min((value for value in highest if value > 0), default=1.0)
    if highest and max(highest) / low >= WIDE_RANGE:
        _logarithmic(axes)
    else:
        axes.set_ylim(0, None)
    axes.set(xlabel=name.replace("_", " ").replace("lr", "learning rate"), ylabel="error (%)")
    axes.set_title("Error at the last epoch: mean over seeds, 95 % interval")
    axes.legend()
    return figure


def _parts(study: Study) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("train", {"color": BLUE, "linestyle": "-", "marker": "o"}),
        (study.part, {"color": VERMILLION, "linestyle": "--", "marker": "s"}),
    ]


def _bars(means: list[Mean]) -> list[list[float]]:
    return [[_reach(mean.mean - mean.low) for mean in means], [_reach(mean.high - mean.mean) for mean in means]]


def _reach(length: float) -> float:
    """One seed gives no interval, hence no bar."""
    return 100 * length if math.isfinite(length) else 0.0


def _rows(axes: "Axes", names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


def _few(study: Study) -> list[Cell]:
    best = compare.preferred(study)
    cells = study.cells[:MOST_LINES]
    return cells if best is None or best in cells else [*cells[:-1], best]


def _band(axes: "Axes", curves: list[list[float]], name: str, style: dict[str, Any]) -> None:
    if not curves:
        return
    epochs = range(1, len(curves[0]) + 1)
    columns = list(zip(*curves, strict=True))
    color = style["color"]
    axes.fill_between(
        epochs, [min(c) for c in columns], [max(c) for c in columns], color=color, alpha=0.18, linewidth=0
    )
    axes.plot(epochs, [sum(c) / len(c) for c in columns], label=name, **style)


def _plain(value: float, place: int | None) -> str:
    return f"{value:g}"


def _logarithmic(axes: "Axes") -> None:
    """Make the ordinate logarithmic, its numbers plain ones."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
