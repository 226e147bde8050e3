"""Figures of what a network gets right and wrong: confusion, classes, calibration."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lenette.metrics import Evaluation
from lenette.report.style import BLUE, GREY, INK, RULE, VERMILLION, bare, new, styled
from lenette.runs import Run
from lenette.stats import accuracy_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW_CLASSES, MOST_CLASSES_WITH_COUNTS = 12, 30


@styled
def confusion(result: Run | Evaluation, classes: Sequence[str] | None = None) -> "Figure":
    """Draw how many images of each class were taken for each other one; the shades are of the mistakes alone.

    Args:
        result: a run that has ended, or what `metrics.evaluate` returned.
        classes: their names; those of the run, or numbers, without.
    """
    from matplotlib.patches import Rectangle

    found, names, part = _of(result, classes)
    counts = found.confusion
    num_classes = len(counts)
    with_counts = num_classes <= MOST_CLASSES_WITH_COUNTS
    most = max((counts[i][j] for i in range(num_classes) for j in range(num_classes) if i != j), default=0) or 1
    cell, print_size = (0.33, 8.5) if num_classes <= FEW_CLASSES else (0.26, 6.5) if with_counts else (0.17, 6.5)
    size = 1.5 + cell * num_classes
    figure, axes = new(size, size)
    for i, row in enumerate(counts):
        axes.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, facecolor=RULE, alpha=0.6, linewidth=0))
        for j, value in enumerate(row):
            if i != j and value:
                shade = 0.12 + 0.68 * value / most
                axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=VERMILLION, alpha=shade, linewidth=0))
            if value and with_counts:
                smaller = max(0, len(str(value)) - 2) * 0.9
                weight = "bold" if i != j and value > 0.55 * most else "normal"
                axes.text(
                    j, i, str(value), ha="center", va="center", color=INK if i != j else GREY,
                    fontsize=print_size - smaller, fontweight=weight,
                )  # fmt: skip
    bare(axes)
    for edge in range(num_classes + 1):
        axes.axhline(edge - 0.5, color=RULE, linewidth=0.5)
        axes.axvline(edge - 0.5, color=RULE, linewidth=0.5)
    axes.set(xlim=(-0.5, num_classes - 0.5), ylim=(num_classes - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(num_classes), names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(range(num_classes), names)
    axes.tick_params(length=0, labelsize=print_size + 0.5)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(f"{found.num_errors:,} mistakes in {found.num_images:,} {part}images")
    return figure


@styled
def per_class(result: Run | Evaluation, classes: Sequence[str] | None = None) -> "Figure":
    """Draw each class's error in per cent with its 95 % Wilson interval; arguments as in `confusion`."""
    found, names, part = _of(result, classes)
    counts = found.confusion
    figure, axes = new(4.8, min(12.0, 1.1 + 0.27 * len(names)))
    for place, row in enumerate(counts):
        total = sum(row)
        if not total:
            continue
        right = accuracy_interval(row[place], total)
        axes.plot([100 * (1 - right.high), 100 * (1 - right.low)], [place] * 2, color=BLUE, linewidth=1.4)
        axes.plot(100 * (1 - right.proportion), place, color=BLUE, marker="o", markersize=5, clip_on=False)
    axes.axvline(100 * (1 - found.accuracy), color=INK, linestyle=":", linewidth=1.2)
    axes.annotate(
        "all classes", (100 * (1 - found.accuracy), 0), (3, 2), xycoords=("data", "axes fraction"),
        textcoords="offset points", fontsize=8,
    )  # fmt: skip
    axes.set(xlim=(0, None), ylim=(len(names) - 0.4, -0.6), xlabel="error (%), with 95 % interval", ylabel="class")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False, axis="y")
    axes.set_title(f"Error of each class{f', {part}images' if part else ''}")
    return figure


@styled
def calibration(result: Run | Evaluation) -> "Figure":
    """Draw the reliability diagram: accuracy against confidence in 15 bins, and how many images each bin holds.

    Whiskers are 95 % Wilson intervals; the bins are those of Guo et al., arXiv:1706.04599. `result` as in `confusion`.
    """
    found, _, part = _of(result, None)
    figure, (axes, below) = new(4.8, 4.4, rows=2, sharex=True, height_ratios=[3, 1])
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as sure as right")
    for place, bin in enumerate(found.calibration):
        total = bin.num_images
        right = accuracy_interval(round(bin.accuracy * total), total)
        axes.plot([bin.confidence] * 2, [right.low, right.high], color=BLUE, linewidth=1.2)
        axes.plot(
            bin.confidence, bin.accuracy, color=BLUE, marker="o", linestyle="",
            label="images of like confidence" if not place else None,
        )  # fmt: skip
        below.plot([bin.confidence] * 2, [0.5, total], color=BLUE, linewidth=5, solid_capstyle="butt")
    axes.set(ylabel="accuracy", ylim=(-0.02, 1.03), xlim=(0, 1.02))
    axes.set_title(f"Calibration error {100 * (found.calibration_error or 0):.2f} %{f', {part}images' if part else ''}")
    axes.legend()
    below.set_yscale("log")
    below.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    below.set(xlabel="confidence", ylabel="images", ylim=(0.5, None))
    return figure


def _of(result: Run | Evaluation, classes: Sequence[str] | None) -> tuple[Evaluation, list[str], str]:
    """Return the figures, the classes' names, and the part as a word before "images"."""
    if isinstance(result, Evaluation):
        return result, list(classes or map(str, range(len(result.confusion)))), ""
    part = result.part or "train"
    return result.final[part], list(classes or result.about.data.classes), f"{part} "
