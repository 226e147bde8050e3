"""claims(): each document's figures beside the measured ones, like held against like."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lenette import files, models, recipes
from lenette.evidence.proof import prove
from lenette.evidence.schema import Proof, read, read_done
from lenette.recipes import Recipe
from lenette.stats import position

DEFAULT_RESULTS = Path("results/claims")
NUM_SEEDS = {"four_conv_593k": 3}  # the others take 10: its epoch costs as much as ten of theirs

# The "test" figure of document C was taken on training images (its author's notebook: 59,514 of 60,000 right).
TAKEN_ON_TRAIN = {"four_conv_593k"}


def documented() -> list[Recipe]:
    """Return the shipped recipes that come from a document, in the documents' order."""
    shipped = [recipe for recipe in map(recipes.load, recipes.names()) if recipe.document]
    return sorted(shipped, key=lambda recipe: (recipe.document, recipe.name))


def claims(
    results: str | Path = DEFAULT_RESULTS,
    *,
    run: bool = False,
    seeds: int | None = None,
    say: Callable[[str], None] = lambda line: None,
    **how: Any,
) -> list[dict[str, Any]]:
    """Return a row for each documented recipe: what its document claims, and what the proof in `results` measured.

    A proof is NAME.json. With `run` those that are missing or begun are made (`seeds` of each; `how` goes to `prove`);
    a finished one of the same recipe counts, whatever machine and engine made it.

    Returns:
        rows of name, document, title, parameters, epochs; claimed: {"test", "train"}, accuracies, 0 for none, and their
        statistic; proof: its path or None; why_not: why there are no figures, or ""; then, of the proof, num_seeds,
        diverged, last (mean over seeds after the last epoch: mean, low, high,
        minimum, maximum), best_epoch (likewise, with optimism) and claims: rows of {quantity, statistic, claimed,
        measured (mean of the seeds' same statistic), position (`stats.position` of the claim among them)}.

    Raises:
        LenetteError: a proof can't be read or made.
    """
    rows = []
    for recipe in documented():
        path = Path(results) / f"{recipe.name}.json"
        if run and not _is_done(recipe, path):
            say(recipe.name)
            prove(recipe, seeds=seeds or NUM_SEEDS.get(recipe.name, 10), out=path, **how)
        rows.append(files.finite(row(recipe, path)))
    return rows


def _is_done(recipe: Recipe, path: Path) -> bool:
    proof = read(path) if path.exists() else {}
    return proof.get("status") == "done" and proof["recipe"]["digest"] == recipe.digest


def row(recipe: Recipe, path: Path) -> dict[str, Any]:
    """Return one row of `claims`."""
    found: dict[str, Any] = {
        "name": recipe.name,
        "document": recipe.document,
        "title": recipe.title,
        "claim_note": recipe.claim_note,
        "parameters": models.count_parameters(models.build(recipe.model)),
        "epochs": recipe.epochs,
        "claimed": {"test": recipe.claim_test_accuracy, "train": recipe.claim_train_accuracy},
        "statistic": recipe.claim_statistic,
        "proof": str(path) if path.exists() else None,
        "why_not": "",
    }
    if not path.exists():
        return {**found, "why_not": f"not measured yet: there is no {path}"}
    proof = read_done(path)
    if proof["recipe"]["digest"] != recipe.digest:
        return {**found, "why_not": f"{path} is of another recipe than the one that is shipped now"}
    return {
        **found,
        "num_seeds": proof["summary"]["num_seeds"],
        "diverged": proof["summary"]["diverged"],
        "last": {name: proof["summary"][name] for name in ("mean", "low", "high", "minimum", "maximum")},
        "best_epoch": proof["summary"]["best_epoch"],
        "claims": [each for part in ("test", "train") if (each := _claim(recipe, proof, part)) is not None],
    }


def _claim(recipe: Recipe, proof: Proof, part: str) -> dict[str, Any] | None:
    """Return the document's figure among our seeds' same statistic, or None where it states none."""
    claimed = getattr(recipe, f"claim_{part}_accuracy")
    ended = [run["curve"] for run in proof["runs"] if run["accuracy"] is not None]
    if not claimed or not ended:
        return None
    quantity = {"test": "test_accuracy", "train": "train_accuracy_running"}[part]
    if part == "test" and recipe.name in TAKEN_ON_TRAIN:
        quantity = "train_accuracy"
    last_or_best = max if recipe.claim_statistic == "best" else lambda column: column[-1]
    values = [last_or_best(curve[quantity]) for curve in ended]
    return {
        "part": part,
        "quantity": quantity,
        "statistic": recipe.claim_statistic,
        "claimed": claimed,
        "measured": sum(values) / len(values),
        "minimum": min(values),
        "maximum": max(values),
        "position": asdict(position(claimed, values)),
    }
