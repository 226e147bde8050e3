"""The documents' claims beside the measured figures: in lines, and as the table of docs/CLAIMS.md."""

import math
from collections.abc import Sequence

from lenette.errors import LenetteError
from lenette.evidence.claims import Claim, Row
from lenette.evidence.proof import Summary
from lenette.evidence.words import summary_lines
from lenette.text import percent, percent_interval

BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"
QUANTITIES = {
    "test_accuracy": "test accuracy",
    "train_accuracy": "accuracy on the training images, without augmentation",
    "train_accuracy_running": "train accuracy, running over the epoch",
}


def claim_lines(rows: Sequence[Row]) -> list[str]:
    """Return the documents' figures beside the measured ones."""
    lines = []
    for row in rows:
        lines.append(f"{row.name} (document {row.document}): {row.title}")
        if row.summary is None:
            lines.append(f"  {row.why_not}")
            continue
        lines.append(f"  {row.summary.num_seeds} seeds of {row.epochs} epochs, test accuracy:")
        lines += [f"  {line}" for line in summary_lines(row.summary)]
        if row.summary.diverged:
            lines.append(f"  diverged: seed {', '.join(map(str, row.summary.diverged))}")
        for claim in row.claims:
            lines.append(
                f"  claimed {claim.part} accuracy {percent(claim.claimed)} ({claim.statistic} epoch); here, "
                f"{QUANTITIES[claim.quantity]}, {claim.statistic} epoch: {_middle(claim)}, from "
                f"{percent(claim.minimum)} to {percent(claim.maximum)}: {claim_verdict(claim)}"
            )
        if row.claim_note:
            lines.append(f"  {row.claim_note}")
    return [*lines, *filter(None, [comparisons_note(rows)])]


def claim_verdict(claim: Claim) -> str:
    """Return in words where the claim lies among our seeds."""
    place = claim.position
    where = f"the claim lies above {place.below}, below {place.above} of {place.count} seeds"
    verdict = _verdict(claim)
    if not verdict:
        return where
    more = "which one more run of ours could" if place.inside else "where one more run of ours would not"
    return f"{where}, {more} ({verdict})"


def comparisons_note(rows: Sequence[Row]) -> str:
    """Return how many claims are held against an interval, and how often that errs; "" where none is."""
    number = sum(bool(_verdict(claim)) for row in rows for claim in row.claims)
    if not number:
        return ""
    return (
        f'Each of {number} claims is held against the interval in which one more run of ours lies at 95 %: "not ruled '
        f'out" is inside. One in twenty that hold is ruled out by chance, here some {number / 20:.1f}.'
    )


def claims_markdown(rows: Sequence[Row]) -> str:
    """Return the documents' figures beside the measured ones as a Markdown table, and a note below it."""
    head = (
        "recipe", "document", "parameters", "epochs", "seeds", "test, last epoch (95 % interval of the mean)",
        "best epoch", "claimed test", "ours, like for like", "claimed train", "ours, like for like",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|---|--:|--:|--:|---|--:|---|---|---|---|"]
    for row in rows:
        cells = [f"`{row.name}`", row.document, f"{row.parameters:,}", str(row.epochs)]
        if row.summary is None:
            cells += ["-", "not measured yet", ""]
            for claimed in (row.claimed_test, row.claimed_train):
                cells += [f"{100 * claimed:.2f} ({row.statistic})" if claimed else "", ""]
        else:
            cells += [str(row.summary.num_seeds), *_summary_cells(row.summary)]
            for part in ("test", "train"):
                found = [claim for claim in row.claims if claim.part == part]
                cells += _claim_cells(found[0]) if found else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    note = comparisons_note(rows)
    return "\n".join([*lines, "", note] if note else lines)


def with_table(text: str, table: str) -> str:
    """Return the text of a page with the table between its two marks.

    Raises:
        LenetteError: it has not got the marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise LenetteError(f"the page has no place for the table: write {BEGIN} and {END} where it belongs")
    inside = f"\n\n{table}\n\n" if table else "\n"
    return f"{before}{BEGIN}{inside}{END}{after}"


def _summary_cells(summary: Summary) -> list[str]:
    best = summary.best_epoch
    if summary.mean is None or summary.minimum is None or summary.maximum is None or summary.median is None:
        return ["", ""]
    if summary.collapsed:
        told = (
            f"median {100 * summary.median:.2f} ({100 * summary.minimum:.2f} to {100 * summary.maximum:.2f}); "
            f"{len(summary.collapsed)} of {summary.num_seeds} seeds collapsed"
        )
        return [told, ""]
    bounds = percent_interval(summary.low, summary.high).removesuffix(" %")
    told = f"{100 * summary.mean:.2f}{'' if summary.low is None else f' ({bounds})'}"
    return [told, f"{100 * best.mean:.2f}" if best else ""]


def _claim_cells(claim: Claim) -> list[str]:
    on_train = " (on training images)" if claim.quantity == "train_accuracy" else ""
    middle = f", median {100 * claim.median:.2f}" if claim.collapsed else ""
    place = claim.position
    told = _verdict(claim) or f"above {place.below} of {place.count}"
    return [
        f"{100 * claim.claimed:.2f} ({claim.statistic}){on_train}",
        f"{100 * claim.minimum:.2f} to {100 * claim.maximum:.2f}{middle}: {told}",
    ]


def _middle(claim: Claim) -> str:
    return f"median {percent(claim.median, 3)}" if claim.collapsed else f"mean {percent(claim.measured, 3)}"


def _verdict(claim: Claim) -> str:
    """Return "not ruled out", "too high" or "too low", or "" where our seeds give no interval."""
    place = claim.position
    if claim.collapsed or not math.isfinite(place.low):
        return ""
    return "not ruled out" if place.inside else "too high" if place.claimed > place.high else "too low"
