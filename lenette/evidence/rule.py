"""The rule of a proof, and what follows from its runs by that rule."""

from dataclasses import asdict
from typing import Any

import numpy as np

from lenette import files, stats
from lenette.errors import LenetteError
from lenette.evidence.certificate import certificate
from lenette.recipes import Recipe

Proof = dict[str, Any]

LEVEL = 0.95
FIRST_SEED = 1000  # nobody tunes on seeds from here on
# By so much may two machines, or two engines, differ on the same weights: in images, and relative in loss.
SAME_IMAGES = 2
SAME_LOSS = 1e-3


def make_rule(recipe: Recipe, accuracy: float, seeds: int, first_seed: int = FIRST_SEED) -> dict[str, Any]:
    """Return the rule of a proof, in figures and in words.

    Raises:
        LenetteError: the accuracy is no fraction, or there are too few seeds for a verdict.
    """
    if not 0 <= accuracy <= 1:
        raise LenetteError(f"the accuracy to prove is {accuracy:g}: it must be a fraction, such as 0.994 for 99.4 %")
    if seeds < (2 if accuracy else 1):
        raise LenetteError(
            f"a proof from {seeds} seeds: it needs at least 2, since one says nothing about their spread"
        )
    rule = {"accuracy": accuracy or None, "level": LEVEL, "seeds": list(range(first_seed, first_seed + seeds))}
    return {**rule, "words": rule_in_words(rule, recipe)}


def rule_in_words(rule: dict[str, Any], recipe: Recipe) -> list[str]:
    """Return what the rule says."""
    seeds, level = rule["seeds"], f"{100 * rule['level']:g} %"
    words = [
        f"Each of the seeds {', '.join(map(str, seeds))} is trained once, by the recipe named here and nothing else.",
        "What counts is the accuracy on the test images of the weights after the last epoch; the best epoch does not.",
    ]
    if recipe.protocol == "sealed":
        words.append(
            "The recipe was chosen on held-out training images; it is trained on all of them, for the same epochs, and "
            "the test images are opened when the last run has ended."
        )
    if rule["accuracy"] is None:
        return [*words, "No accuracy is claimed: it is only measured."]
    return [
        *words,
        f"The claim is that no run diverges and that the mean over seeds is at least {100 * rule['accuracy']:g} %.",
        f"It is proven where the lower one-sided {level} bound of the mean (Student's t) is at or above that; refuted "
        "where the upper one is below it, or where a run diverges; else undecided.",
    ]


def conclude(proof: Proof, recipe: Recipe) -> Proof:
    """Return what follows from the runs by the rule: {summary, verdict, certificate}."""
    summary = files.finite(_summary(proof))
    verdict = files.finite(_verdict(proof, summary))
    granted = certificate(recipe, proof["parameters"], proof["bytes"], proof["runs"], verdict["verdict"])
    return {"summary": summary, "verdict": verdict, "certificate": granted}


def accuracy_of(wrong: list[int], num_images: int) -> float:
    """Return the accuracy, a fraction, that leaves these images wrong."""
    return (num_images - len(wrong)) / num_images


def _summary(proof: Proof) -> Proof:
    made = proof["runs"]
    ended = [run for run in made if run["accuracy"] is not None]
    values = [run["accuracy"] for run in ended]
    curves = [run["curve"]["test_accuracy"] for run in ended if "test_accuracy" in run["curve"]]
    times = {
        name: [run["curve"][f"{name}_seconds"][-1] for run in made if run["curve"]] for name in ("train", "evaluate")
    }
    best = None
    if curves:
        best = _mean([max(curve) for curve in curves])
        best["optimism"] = float(np.mean([max(curve) - curve[-1] for curve in curves]))
        del best["deviation"]
    return {
        "num_seeds": len(made),
        "diverged": [run["seed"] for run in made if run["status"] == "diverged"],
        "before_the_rule": [run["seed"] for run in made if run["created"] < proof["begun"]],
        "level": LEVEL,
        **(_mean(values) if values else dict.fromkeys(("mean", "deviation", "low", "high", "minimum", "maximum"))),
        "best_epoch": best,
        "seconds": {**{n: float(sum(t)) for n, t in times.items()}, "longest": float(max(times["train"], default=0))},
    }


def _mean(values: list[float]) -> dict[str, float]:
    found = asdict(stats.mean_interval(values, LEVEL))
    bounds = {name: found[name] for name in ("mean", "deviation", "low", "high")}
    return {**bounds, "minimum": min(values), "maximum": max(values)}


def _verdict(proof: Proof, summary: Proof) -> Proof:
    rule, diverged = proof["rule"], summary["diverged"]
    values = [run["accuracy"] for run in proof["runs"] if run["accuracy"] is not None]
    found: Proof = {"verdict": "none", "low": None, "high": None}
    words: list[str] = []
    if rule["accuracy"] is not None:
        goal = f"{100 * rule['accuracy']:g} %"
        if values:
            decided = stats.verdict(values, rule["accuracy"], rule["level"])
            found = {"verdict": decided.verdict, "low": decided.low, "high": decided.high}
            if decided.note:
                words.append(f"{decided.note[0].upper()}{decided.note[1:]}.")
            else:
                words.append(
                    f"The mean of {decided.count} seeds is {percent(decided.mean)}; with one-sided confidence of "
                    f"{100 * decided.level:g} % each it is at least {percent(decided.low)}, and at most "
                    f"{percent(decided.high)}."
                )
        if diverged:
            found["verdict"] = "refuted"
            words.append(
                f"The training diverged with seed {', '.join(map(str, diverged))}: that refutes the claim, and the "
                "figures are those of the other seeds."
            )
        words.insert(0, f"Claim: at least {goal} in the mean over seeds. Verdict: {found['verdict']}.")
    words.append("The interval covers other seeds on these same test images; it says nothing of other images.")
    if summary["before_the_rule"]:
        words.append(
            f"The runs of seed {', '.join(map(str, summary['before_the_rule']))} had been made before the rule was "
            "written: whoever wrote it could have seen them."
        )
    return {**found, "words": words}


def percent(fraction: float, digits: int = 3) -> str:
    """Return 0.99412 as "99.412 %"."""
    return f"{100 * fraction:.{digits}f} %"
