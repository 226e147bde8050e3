"""Figures of proofs and comparisons: every seed's result, the curves behind them, paired differences."""

import math
from typing import TYPE_CHECKING

from lenette.evidence.compare import Comparison
from lenette.evidence.proof import Proof
from lenette.report.style import BLUE, GREY, INK, VERMILLION, new, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def seeds(proof: Proof) -> "Figure":
    """Draw each seed's test accuracy after the last epoch, the mean's 95 % interval and the accuracy to prove.

    Where seeds collapsed it draws the median, and no interval.
    """
    ended = [run for run in proof.runs if run.accuracy is not None]
    summary, goal = proof.summary, proof.rule.accuracy
    figure, axes = new(7.2, 1.3 + 0.22 * len(ended))
    axes.plot(
        [100 * (run.accuracy or 0) for run in ended],
        range(len(ended)),
        color=BLUE,
        marker="o",
        linestyle="none",
        label="seed",
    )
    names = [str(run.seed) for run in ended]
    if summary.collapsed and summary.median is not None:
        axes.plot(100 * summary.median, len(ended), color=INK, marker="D", linestyle="none", label="median")
        names.append("median")
    elif summary.mean is not None and summary.low is not None and summary.high is not None:
        low, high = max(summary.low, 0), min(summary.high, 1)
        reach = [[100 * (summary.mean - low)], [100 * (high - summary.mean)]]
        axes.errorbar(
            100 * summary.mean, len(ended), xerr=reach, color=INK, marker="D", capsize=3, label="mean, 95 % interval"
        )
        names.append("mean")
    if goal is not None:
        axes.axvline(100 * goal, color=VERMILLION, linestyle="--", label=f"to prove: {100 * goal:g} %")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel="test accuracy (%)", ylabel="seed")
    axes.set_title("Each seed after the last epoch", pad=22)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)
    return figure


@styled
def curves(proof: Proof) -> "Figure":
    """Draw every seed's error against the epoch: in training, and on the test images where epochs looked at them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    figure, axes = new(7.2, 3.4)
    for name, color, line, label in (
        ("train_accuracy_running", GREY, "--", "train, running over the epoch"),
        ("test_accuracy", BLUE, "-", "test"),
    ):
        drawn = [run.curve for run in proof.runs if getattr(run.curve, name)]
        for place, curve in enumerate(drawn):
            errors = [100 * (1 - value) or None for value in getattr(curve, name)]
            axes.plot(
                curve.epoch, errors, color=color, linestyle=line, linewidth=0.9, label=label if not place else None
            )
    axes.set(xlabel="epoch", ylabel="error (%)", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Every seed's error, logarithmic")
    axes.legend()
    return figure


@styled
def differences(found: Comparison) -> "Figure":
    """Draw B - A for each pair, in percentage points, and the mean with its 95 % interval."""
    pairs, mean = found.pairs, found.difference
    figure, axes = new(7.2, 1.2 + 0.24 * len(pairs))
    axes.axvline(0, color=INK, linewidth=1)
    axes.plot([100 * pair.difference for pair in pairs], range(len(pairs)), color=BLUE, marker="o", linestyle="none")
    names = [pair.seed for pair in pairs]
    if math.isfinite(mean.low):
        reach = [[100 * (mean.mean - mean.low)], [100 * (mean.high - mean.mean)]]
        axes.errorbar(100 * mean.mean, len(pairs), xerr=reach, color=VERMILLION, marker="D", capsize=3)
        names.append("mean")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel="B - A (percentage points)", ylabel="seed")
    axes.set_title("Paired differences in accuracy; the mean with its 95 % interval")
    return figure
