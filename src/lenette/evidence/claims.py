"""claims(): each document's figures beside the measured ones, like held against like."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lenette import models, recipes
from lenette.evidence.proof import Proof, Summary, read, read_done, recipe_of
from lenette.evidence.prove import prove
from lenette.recipes import Recipe
from lenette.records import Record
from lenette.stats import Position, position, spread

DEFAULT_RESULTS = Path("results/claims")
NUM_SEEDS = {"four_conv_593k": 3}  # the others take 10: its epoch costs as much as ten of theirs

# The "test" figure of document C was taken on training images (its author's notebook: 59,514 of 60,000 right).
TAKEN_ON_TRAIN = {"four_conv_593k"}


class Claim(Record, frozen=True, kw_only=True):
    """A document's figure among our seeds' same `statistic` ("last" epoch or "best") of the same quantity.

    `measured` is the seeds' mean, and `position` where the claim lies among them; `collapsed` counts seeds that ended
    far below the others, where no interval is given. Fractions throughout.
    """

    part: str
    quantity: str
    statistic: str
    claimed: float
    measured: float
    median: float
    minimum: float
    maximum: float
    collapsed: int
    position: Position


class Row(Record, frozen=True, kw_only=True):
    """A documented recipe: what its document claims (0: nothing), and what the proof measured.

    `why_not` says why there are no figures, or ""; `summary` is then None and `claims` empty.
    """

    name: str
    document: str
    title: str
    claim_note: str
    parameters: int
    epochs: int
    claimed_test: float
    claimed_train: float
    statistic: str
    proof: str | None
    why_not: str
    summary: Summary | None = None
    claims: tuple[Claim, ...] = ()


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
) -> list[Row]:
    """Return a row for each documented recipe: what its document claims, and what the proof in `results` measured.

    A proof is NAME.json, and is taken at its word; `verify` checks it. With `run` those that are missing or begun are
    made (`seeds` of each; `how` goes to `prove`); a finished one of the same recipe counts, whatever machine and engine
    made it.

    Raises:
        LenetteError: a proof can't be read or made.
    """
    rows = []
    for recipe in documented():
        path = Path(results) / f"{recipe.name}.json"
        if run and not _is_done(recipe, path):
            say(recipe.name)
            prove(recipe, seeds=seeds or NUM_SEEDS.get(recipe.name, 10), out=path, **how)
        rows.append(row(recipe, path))
    return rows


def _is_done(recipe: Recipe, path: Path) -> bool:
    proof = read(path) if path.exists() else None
    return isinstance(proof, Proof) and recipe_of(proof).digest == recipe.digest


def row(recipe: Recipe, path: Path) -> Row:
    """Return one row of `claims`."""
    proof = read_done(path) if path.exists() else None
    why_not, summary, found = "", None, []
    if proof is None:
        why_not = f"not measured yet: there is no {path}"
    elif recipe_of(proof).digest != recipe.digest:
        why_not = f"{path} is of another recipe than the one that is shipped now"
    else:
        summary = proof.summary
        found = [each for part in ("test", "train") if (each := _claim(recipe, proof, part)) is not None]
    return Row(
        name=recipe.name,
        document=recipe.document,
        title=recipe.title,
        claim_note=recipe.claim_note,
        parameters=models.count_parameters(models.build(recipe.model)),
        epochs=recipe.epochs,
        claimed_test=recipe.claim_test_accuracy,
        claimed_train=recipe.claim_train_accuracy,
        statistic=recipe.claim_statistic,
        proof=None if proof is None else str(path),
        why_not=why_not,
        summary=summary,
        claims=tuple(found),
    )


def _claim(recipe: Recipe, proof: Proof, part: str) -> Claim | None:
    """Return the document's figure among our seeds' same statistic, or None where it states none."""
    claimed = getattr(recipe, f"claim_{part}_accuracy")
    ended = [run.curve.columns() for run in proof.runs if run.accuracy is not None]
    if not claimed or not ended:
        return None
    quantity = {"test": "test_accuracy", "train": "train_accuracy_running"}[part]
    if part == "test" and recipe.name in TAKEN_ON_TRAIN:
        quantity = "train_accuracy"
    last_or_best = max if recipe.claim_statistic == "best" else lambda column: column[-1]
    values = [last_or_best(curve[quantity]) for curve in ended]
    found = spread(values)
    return Claim(
        part=part,
        quantity=quantity,
        statistic=recipe.claim_statistic,
        claimed=claimed,
        measured=sum(values) / len(values),
        median=found.median,
        minimum=found.minimum,
        maximum=found.maximum,
        collapsed=len(found.collapsed),
        position=position(claimed, values),
    )
