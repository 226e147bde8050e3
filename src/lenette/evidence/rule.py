"""The rule of a proof, and what follows from its runs by that rule: summary, verdict and certificate."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from msgspec import structs

from lenette import records, stats
from lenette.errors import LenetteError, nearest
from lenette.evidence.entry import Entry
from lenette.evidence.proof import Begun, Best, Limit, Proof, Rule, Summary, Verdict
from lenette.models import Counts
from lenette.recipes import Recipe
from lenette.records import Record
from lenette.text import count, percent

LEVEL = 0.95
FIRST_SEED = 1000  # nobody tunes on seeds from here on

# "Under 20,000 parameters in at most 20 epochs, for 99.4 %": what the courses ask for.
PRESETS: dict[str, dict[str, Any]] = {
    "under_20k": {"max_parameters": 19_999, "max_epochs": 20, "accuracy": 0.994},
    "under_10k": {"max_parameters": 9_999, "max_epochs": 15, "accuracy": 0.994},
    "under_8k": {"max_parameters": 7_999, "max_epochs": 15, "accuracy": 0.994},
}


def with_preset(recipe: Recipe, preset: str) -> tuple[Recipe, float]:
    """Return the recipe under the preset's budget (where its own is not tighter), and the preset's accuracy.

    Raises:
        LenetteError: there is no such preset.
        RecipeError: the recipe has more epochs than the preset allows.
    """
    if preset not in PRESETS:
        raise LenetteError(f"unknown preset '{preset}'{nearest(preset, PRESETS)}; the presets are {', '.join(PRESETS)}")
    limits = {name: limit for name, limit in PRESETS[preset].items() if name != "accuracy"}
    tighter = {name: min(limit, getattr(recipe, name) or limit) for name, limit in limits.items()}
    return recipe.but(**tighter), PRESETS[preset]["accuracy"]


def make_rule(recipe: Recipe, accuracy: float | None, seeds: int, first_seed: int = FIRST_SEED) -> Rule:
    """Return the rule of a proof, in figures and in words; without an accuracy it is only measured.

    Raises:
        LenetteError: the accuracy is no fraction, there are too few seeds for a verdict or too many, or one is below 0.
    """
    for name, value in (("seeds", seeds), ("first_seed", first_seed)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise LenetteError(f"{name} = {value!r}: must be a whole number")
    if accuracy is not None and not 0 < accuracy <= 1:
        raise LenetteError(f"the accuracy to prove is {accuracy:g}: it must be a fraction, such as 0.994 for 99.4 %")
    if seeds < (1 if accuracy is None else 2):
        raise LenetteError(
            f"a proof from {seeds} seeds: it needs at least 2, since one says nothing about their spread"
        )
    if seeds > 100_000 or first_seed < 0:
        raise LenetteError(f"{seeds:,} seeds from {first_seed}: at most 100,000, and none below 0")
    chosen = list(range(first_seed, first_seed + seeds))
    return Rule(accuracy, LEVEL, chosen, rule_words(accuracy, chosen, recipe))


def rule_words(accuracy: float | None, seeds: Sequence[int], recipe: Recipe) -> list[str]:
    """Return what the rule says."""
    words = [
        f"Each of the seeds {', '.join(map(str, seeds))} is trained once, by the recipe named here and nothing else.",
        "What counts is the accuracy on the test images of the weights after the last epoch; the best epoch does not.",
    ]
    if recipe.protocol == "sealed":
        words.append(
            "The recipe was chosen on held-out training images; it is trained on all of them, for the same epochs, and "
            "the test images are opened when the last run has ended."
        )
    if accuracy is None:
        return [*words, "No accuracy is claimed: it is only measured."]
    return [
        *words,
        f"The claim is that no run diverges and that the mean over seeds is at least {100 * accuracy:g} %.",
        f"It is proven where the lower one-sided {100 * LEVEL:g} % bound of the mean (Student's t) is at or above "
        "that; refuted where the upper one is below it, or where a run diverges; else undecided.",
    ]


def rule_faults(proof: Proof, recipe: Recipe) -> Iterator[str]:
    """Yield what does not fit in a proof's rule."""
    rule, seeds = proof.rule, [run.seed for run in proof.runs]
    if rule.level != LEVEL:
        yield f"the rule's level is {rule.level:g}; a proof's is {LEVEL:g}"
    if any(later != sooner + 1 for sooner, later in pairwise(rule.seeds)):
        yield "the rule's seeds do not follow each other"
    if seeds != rule.seeds:
        yield f"the rule names the seeds {_shown(rule.seeds)}, the runs are of {_shown(seeds)}"
    if rule.accuracy == 0 or (rule.accuracy is not None and len(rule.seeds) < 2):
        yield "the rule decides nothing: an accuracy above 0 and two seeds are needed"
    if rule.words != rule_words(rule.accuracy, rule.seeds, recipe):
        yield "the rule's words do not say what its figures say"
    if proof.finished < proof.begun:
        yield "the proof was finished before it was begun"


def _shown(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:20])) + (", ..." if len(seeds) > 20 else "")


class Conclusion(Record, frozen=True):
    """What follows from the runs by the rule; `budget` is empty where the recipe names none."""

    summary: Summary
    verdict: Verdict
    budget: list[Limit]


def conclude(begun: Begun, runs: Sequence[Entry], recipe: Recipe) -> Conclusion:
    """Return what follows from these runs by the rule."""
    summary = _summary(begun, runs)
    return Conclusion(summary, _verdict(begun.rule, runs, summary), _budget(begun, runs, recipe))


def conclusion_faults(proof: Proof, recipe: Recipe) -> Iterator[str]:
    """Yield where what a proof concludes does not follow from its recorded runs."""
    for name, value in records.plain(conclude(proof, proof.runs, recipe)).items():
        differences = unequal(records.plain(getattr(proof, name)), value, name)
        yield from (f"{fault}, by the rule and the runs" for fault in differences)


def _summary(begun: Begun, runs: Sequence[Entry]) -> Summary:
    ended = [run for run in runs if run.accuracy is not None]
    values = [run.accuracy for run in ended if run.accuracy is not None]
    curves = [run.curve.test_accuracy for run in ended if run.curve.test_accuracy]
    best = None
    if curves:
        highest = [max(curve) for curve in curves]
        above = float(np.mean([top - curve[-1] for top, curve in zip(highest, curves, strict=True)]))
        chosen = stats.mean_interval(highest, LEVEL)
        best = Best(chosen.mean, *_bounds(chosen), min(highest), max(highest), above)
    seconds = [run.curve.train_seconds[-1] for run in runs if run.curve.train_seconds]
    mean = stats.mean_interval(values, LEVEL) if values else None
    return Summary(
        num_seeds=len(runs),
        diverged=[run.seed for run in runs if run.status == "diverged"],
        before_the_rule=[run.seed for run in runs if run.created < begun.begun],
        level=LEVEL,
        mean=mean.mean if mean else None,
        deviation=mean.deviation if mean and mean.count > 1 else None,
        low=_bounds(mean)[0] if mean else None,
        high=_bounds(mean)[1] if mean else None,
        **spread_of([run.seed for run in ended], values),
        best_epoch=best,
        train_seconds=float(sum(seconds)),
        evaluate_seconds=float(sum(run.curve.evaluate_seconds[-1] for run in runs if run.curve.evaluate_seconds)),
        longest_seconds=float(max(seconds, default=0)),
    )


def spread_of(seeds: Sequence[int], accuracies: Sequence[float]) -> dict[str, Any]:
    """Return the fields of a Summary that hold whatever became of single seeds."""
    if not accuracies:
        return {"collapsed": [], "median": None, "minimum": None, "maximum": None}
    found = stats.spread(accuracies)
    collapsed = [seeds[place] for place in found.collapsed]
    return {"collapsed": collapsed, "median": found.median, "minimum": found.minimum, "maximum": found.maximum}


def _verdict(rule: Rule, runs: Sequence[Entry], summary: Summary) -> Verdict:
    values = [run.accuracy for run in runs if run.accuracy is not None]
    if rule.accuracy is None or not values:
        return Verdict("none" if rule.accuracy is None else "refuted", None, None)
    decided = stats.verdict(values, rule.accuracy, LEVEL)
    low, high = _bounds(decided)
    return Verdict("refuted" if summary.diverged else decided.verdict, low, high)


def _bounds(found: stats.Mean | stats.Verdict) -> tuple[float | None, float | None]:
    return (found.low, found.high) if math.isfinite(found.low) else (None, None)


def verdict_words(begun: Begun, summary: Summary, verdict: Verdict) -> list[str]:
    """Return the verdict in words, and what it does not say."""
    words, goal = [], begun.rule.accuracy
    if goal is not None:
        words.append(f"Claim: at least {100 * goal:g} % in the mean over seeds. Verdict: {verdict.verdict}.")
        ended = summary.num_seeds - len(summary.diverged)
        if summary.collapsed:
            words.append("The rule's bounds are made for seeds that scatter alike, and these do not: some collapsed.")
        elif verdict.low is not None and verdict.high is not None:
            words.append(
                f"The mean of {ended} seeds is {percent(summary.mean, 3)}; with one-sided confidence of "
                f"{100 * LEVEL:g} % each it is at least {percent(verdict.low, 3)}, and at most "
                f"{percent(verdict.high, 3)}."
            )
        elif ended:
            words.append(
                "One value says nothing about the spread over seeds."
                if ended == 1
                else f"All {ended} values are the same, so their spread can't be estimated."
            )
        if summary.diverged:
            words.append(
                f"The training diverged with seed {', '.join(map(str, summary.diverged))}: that refutes the claim, and "
                "the figures are those of the other seeds."
            )
    if summary.collapsed:
        words.append("The figures are of these same test images; they say nothing of other images.")
    else:
        words.append("The interval covers other seeds on these same test images; it says nothing of other images.")
    if summary.before_the_rule:
        words.append(
            f"The runs of seed {', '.join(map(str, summary.before_the_rule))} had been made before the rule was "
            "written: whoever wrote it could have seen them."
        )
    return words


def collapsed_words(summary: Summary) -> str:
    """Return "2 of 10 seeds collapsed (1004, 1005)"."""
    seeds = ", ".join(map(str, summary.collapsed))
    return f"{len(summary.collapsed)} of {summary.num_seeds} seeds collapsed ({seeds})"


def _budget(begun: Begun, runs: Sequence[Entry], recipe: Recipe) -> list[Limit]:
    """Return each limit that the recipe names beside what was measured: epochs and seconds of the run that took most.

    What rests on "the weights" can be recomputed from them; what rests on "the record" can only be made again.
    """
    made = [run for run in runs if run.curve.epoch and run.curve.train_seconds]
    epochs = max((run.curve.epoch[-1] for run in made), default=None)
    seconds = max((run.curve.train_seconds[-1] for run in made), default=None)
    # A run that is cut at max_seconds did what the budget asked; it has gone over it by less than a report of progress.
    was_cut = all(run.status == "cut" for run in made if run.curve.train_seconds[-1] == seconds)
    limits = (
        Limit("max_parameters", recipe.max_parameters, begun.network.counts.parameters, False, "the weights"),
        Limit("max_bytes", recipe.max_bytes, begun.network.bytes, False, "the weights"),
        Limit("max_epochs", recipe.max_epochs, epochs, False, "the record"),
        Limit("max_seconds", recipe.max_seconds, seconds, False, "the record"),
    )
    return [
        structs.replace(row, met=row.measured <= row.limit or (row.name == "max_seconds" and was_cut))
        if row.measured is not None
        else row
        for row in limits
        if row.limit
    ]


class Certificate(Record, frozen=True):
    """What `verify` grants a proof whose recipe names a budget; `why_not` says what stands against it."""

    granted: bool
    why_not: list[str]
    counts: Counts
    budget: list[Limit]


def certificate(found: Conclusion, counts: Counts) -> Certificate | None:
    """Return the certificate of a proof whose weights were verified; None where its recipe names no budget."""
    if not found.budget:
        return None
    verdict = found.verdict.verdict
    why_not = [f"the verdict is '{verdict}'"] if verdict != "proven" else []
    why_not += [f"{limit.name} = {limit.limit:,} is exceeded" for limit in found.budget if not limit.met]
    if seeds := found.summary.before_the_rule:
        why_not.append(f"the runs of seed {_shown(seeds)} were made before the rule was written")
    return Certificate(not why_not, why_not, counts, found.budget)


def on_record(proof: Proof, recipe: Recipe) -> list[str]:
    """Return, in words, what a proof says and no figure can show: it rests on the record alone."""
    first, looks = proof.rule.seeds[0], proof.looks
    chosen = f"; they begin at {first}, where others begin at {FIRST_SEED}" if first != FIRST_SEED else ""
    before = "by others before, in the same store: "
    if looks.before is None or looks.runs is None or looks.recipes is None:
        before += "not recorded"
    elif not looks.before:
        before += "none"
    else:
        before += f"{looks.before:,} ({count(looks.runs, 'run')}, {count(looks.recipes, 'recipe')})"
    return [
        "when the rule was written",
        f"that these seeds were not chosen among many{chosen}",
        "that the recipe was chosen on held-out images"
        if recipe.protocol == "sealed"
        else "that the recipe was not chosen on the test images, at which every epoch looked",
        "that the weights were not trained on the test images",
        "that the weights were made by this recipe from these seeds, in these epochs and with these curves: "
        "`--retrain SEED` makes a run again",
        "the seconds, and the machines",
        f"how often the test images were looked at: by these runs {looks.own:,}; {before}",
    ]


def unequal(here: Any, there: Any, name: str) -> Iterator[str]:
    """Yield where two plain values differ by more than rounding."""
    if isinstance(here, dict) and isinstance(there, dict) and here.keys() == there.keys():
        for key in here:
            yield from unequal(here[key], there[key], f"{name}.{key}")
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for place, pair in enumerate(zip(here, there, strict=True)):
            yield from unequal(*pair, f"{name}[{place}]")
    elif isinstance(here, float) and isinstance(there, float | int):
        if not math.isclose(here, there, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{name} is {here}, and should be {there}"
    elif here != there or isinstance(here, bool) != isinstance(there, bool):
        yield f"{name} is {here!r:.80}, and should be {there!r:.80}"
