"""Proofs, verifications and comparisons in words."""

import math

from lenette.evidence.again import Again
from lenette.evidence.compare import Comparison
from lenette.evidence.proof import Limit, Proof, Summary, recipe_of
from lenette.evidence.rule import Certificate, collapsed_words, on_record, verdict_words
from lenette.evidence.second import SecondTest
from lenette.evidence.verify import Verification
from lenette.models import Counts
from lenette.recipes import Recipe
from lenette.stats import Mean
from lenette.text import percent, percent_interval, points

BUDGETS = {
    "max_parameters": "parameters, frozen ones and buffers included",
    "max_bytes": "bytes of weights",
    "max_epochs": "epochs",
    "max_seconds": "seconds of training",
}
RECORD = "rests on the record alone: "


def proof_lines(proof: Proof, verification: Verification | None = None) -> list[str]:
    """Return what a proof says; of its certificate only what `verify` found."""
    summary, recipe, seeds = proof.summary, recipe_of(proof), proof.rule.seeds
    lines = [
        f"recipe {proof.name or recipe.model}: {counts_words(proof.network.counts)}, {recipe.epochs} epochs on "
        f"{recipe.dataset}, {recipe.protocol} protocol, {len(seeds)} seeds from {seeds[0]} to {seeds[-1]}"
    ]
    if recipe.dataset == "optdigits":
        lines.append(f"*** This is not MNIST: every figure here is of {recipe.dataset} ***")
    lines += verdict_words(proof, summary, proof.verdict)
    if note := best_claim_words(proof, recipe):
        lines.append(note)
    lines += summary_lines(summary)
    if recipe.protocol == "sealed":
        lines.append(f"sealed: the test was opened {proof.looks.own} times for {summary.num_seeds} runs")
    lines.append(
        f"{summary.train_seconds:,.1f} s of training, the longest run {summary.longest_seconds:,.1f} s, "
        f"beside others on the machine's cores ({proof.engine.name} engine)"
    )
    if verification is None:
        lines += [limit_line(limit) for limit in proof.budget]
        lines.append("not verified: `lenette verify` recomputes all this, and it alone grants a certificate")
    elif verification.certificate is not None:
        lines += certificate_lines(verification.certificate)
    return [*lines, *(f"{RECORD}{what}" for what in on_record(proof, recipe))]


def summary_lines(summary: Summary) -> list[str]:
    """Return what the runs came to: mean and interval, or median and range where seeds collapsed."""
    lines = []
    span = f"from {percent(summary.minimum, 3)} to {percent(summary.maximum, 3)}"
    if summary.collapsed:
        lines.append(
            f"last epoch: median {percent(summary.median, 3)}, {span}; {collapsed_words(summary)}, "
            "so that their mean and its interval would mislead"
        )
    elif summary.mean is not None:
        spread = "" if summary.deviation is None else f", spread {points(summary.deviation, 3).lstrip('+')} points"
        lines.append(
            f"last epoch: mean {percent(summary.mean, 3)}, 95 % interval "
            f"{percent_interval(summary.low, summary.high, 3)}, {span}{spread}"
        )
    if best := summary.best_epoch:
        lines.append(f"best epoch above the last: {points(best.above_last, 3)} points (choosing on the test images)")
    return lines


def best_claim_words(proof: Proof, recipe: Recipe) -> str:
    """Return what a verdict about a document's best epoch, as version 1 gave, is not, or ""."""
    if recipe.claim_statistic != "best" or proof.rule.accuracy != recipe.claim_test_accuracy:
        return ""
    return (
        "The document claims that figure of its best epoch; the verdict is about the mean of last epochs, and says "
        "nothing of the document (`lenette claims` compares best epochs)."
    )


def counts_words(counts: Counts) -> str:
    """Return how many numbers a network has, told apart where not all are trained."""
    others = [
        f"{number:,} {name}"
        for number, name in (
            (counts.frozen, "frozen parameters"),
            (counts.buffers, "numbers in buffers"),
            (counts.statistics, "of normalisation statistics"),
        )
        if number
    ]
    beside = f" (beside them {', '.join(others)})" if others else ""
    return f"{counts.trainable:,} trainable parameters{beside}"


def limit_line(limit: Limit) -> str:
    """Return one limit of a budget beside what was measured."""
    return (
        f"budget: {_number(limit.measured)} of at most {_number(limit.limit)} {BUDGETS[limit.name]}: "
        f"{'kept' if limit.met else 'exceeded'} (rests on {limit.rests_on})"
    )


def certificate_lines(found: Certificate) -> list[str]:
    """Return what a certificate says."""
    lines = [*map(limit_line, found.budget), f"the network has {counts_words(found.counts)}"]
    return [*lines, f"certificate: {'granted' if found.granted else 'not granted: ' + '; '.join(found.why_not)}"]


def verify_lines(found: Verification) -> list[str]:
    """Return what `verify` found."""
    lines = []
    for row in found.checks:
        lines.append(f"{'refused' if row.faults else 'ok':8} {row.check}")
        lines += [f"         {fault}" for fault in row.faults]
    lines += [again_line(again) for again in found.again]
    lines += found.told
    lines += [f"not checked: {what}" for what in found.missing]
    if found.end == "refused":
        return [*lines, f"{found.proof} is REFUSED"]
    on_record = [f"{RECORD}{what}" for what in found.on_record]
    if found.conclusion is None:
        return [*lines, *on_record, f"{found.proof} agrees with itself, but is NOT VERIFIABLE HERE: nothing is granted"]
    lines += summary_lines(found.conclusion.summary)
    if found.certificate is not None:
        lines += certificate_lines(found.certificate)
    lines += on_record
    return [*lines, f"{found.proof} is verified; its verdict: {found.conclusion.verdict.verdict}"]


def again_line(again: Again) -> str:
    """Return how a seed that was trained again compares."""
    name = f"seed {again.seed}, trained again{'' if again.same_build else ' by another build of the engine'}"
    if again.same_build or again.is_same:
        same = [
            f"{'the same' if getattr(again, f'same_{part}') else 'another'} {part}" for part in ("weights", "curve")
        ]
        return f"{name}: {same[0]} and {same[1]}, bit by bit"
    if again.accuracy is None or again.recorded is None:
        here, there = ("diverged" if value is None else "ended" for value in (again.accuracy, again.recorded))
        return f"{name}, whose bits differ: here it {here}, recorded it {there}"
    line = f"{name}, whose bits differ: here {percent(again.accuracy, 3)}, recorded {percent(again.recorded, 3)}"
    if again.low is None:
        return f"{line}; the recorded seeds say nothing of where another would lie"
    where = "inside" if again.inside else "outside"
    return (
        f"{line}: a comparison of distributions, {where} of {percent_interval(again.low, again.high, 3)}, where one "
        f"more run like those recorded lies at {100 * again.level:g} %"
    )


def second_lines(found: SecondTest) -> list[str]:
    """Return what `second_test` found."""
    mean, drop = found.mean, found.drop
    bounds = _between(-drop.high, -drop.low)
    return [
        f"{found.dataset} {found.part}, {found.num_images:,} images: mean {percent(mean.mean, 3)} over "
        f"{mean.count} seeds, 95 % interval {percent_interval(mean.low, mean.high, 3)}",
        f"against the proof's own test images: {points(-drop.mean, 3)} points "
        f"({f'95 % interval {bounds}' if bounds else 'no interval'})",
    ]


def compare_lines(found: Comparison) -> list[str]:
    """Return what `compare` found, in sentences."""
    first, second = found.first, found.second
    changed = [
        f"{name} {' and '.join('unused' if value is None else str(value) for value in pair)}"
        for name, pair in found.recipe.items()
    ]
    lines = [
        f"A: {first.label}, {first.parameters:,} trainable parameters",
        f"B: {second.label}, {second.parameters:,} trainable parameters",
        "the recipes (A and B) differ in: " + "; ".join(changed) if changed else "the recipes are the same",
        f"{found.part} accuracy: A {percent(first.accuracy, 3)}, B {percent(second.accuracy, 3)}",
        _difference(found.difference),
    ]
    if found.left_out:
        lines.append(f"left out, since only one has a result for it: seed {', '.join(map(str, found.left_out))}")
    if len(found.pairs) == 1:
        (pair,) = found.pairs
        return [
            *lines,
            f"of {found.num_images:,} images {pair.only_first} are right in A alone and {pair.only_second} in B alone; "
            f"between equals so uneven a split comes by chance with p = {pair.p_value:.3g} (McNemar, exact)",
        ]
    clear = sum(pair.p_value < 0.05 for pair in found.pairs)
    return [
        *lines,
        f"pair by pair, McNemar's p is below 0.05 in {clear} of {len(found.pairs)}: it speaks of one seed's two "
        "networks",
    ]


def _difference(mean: Mean) -> str:
    bounds = _between(mean.low, mean.high)
    if not bounds:
        why = "one pair says" if mean.count == 1 else f"{mean.count} differences that are all the same say"
        return f"B - A: {points(mean.mean, 3)} points; {why} nothing about other seeds"
    better = "A is better" if mean.high < 0 else "B is better" if mean.low > 0 else "they can't be told apart"
    return f"B - A: {points(mean.mean, 3)} points over {mean.count} seeds, 95 % interval {bounds}: {better}"


def _between(low: float, high: float) -> str:
    return f"{points(low, 3)} to {points(high, 3)}" if math.isfinite(low + high) else ""


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
