"""compare(A, B): what differs between two runs or two proofs, and whether the difference is more than chance."""

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from lenette import runs
from lenette.errors import LenetteError
from lenette.evidence import sealed
from lenette.evidence.entry import accuracy_of
from lenette.evidence.proof import read_done, recipe_of
from lenette.evidence.rule import LEVEL
from lenette.jobs import datasets
from lenette.recipes import Recipe
from lenette.records import Record
from lenette.runs import Run
from lenette.stats import Mean, mcnemar, paired_difference

NUM_IMAGES_SHOWN = 20


class Side(Record, frozen=True):
    """One of the two: what names it, its recipe's name, its trainable parameters, its mean accuracy over the pairs."""

    label: str
    recipe: str
    parameters: int
    accuracy: float


class Pair(Record, frozen=True):
    """One seed: both accuracies, second - first, the images that only one gets right, and McNemar's exact p-value."""

    seed: str
    first: float
    second: float
    difference: float
    only_first: int
    only_second: int
    p_value: float


class Changed(Record, frozen=True):
    """An image (its place), and in how many pairs the first and the second got it right."""

    image: int
    first: int
    second: int


class Comparison(Record, frozen=True, kw_only=True):
    """What differs: fractions throughout.

    `part` of `dataset` is what both were evaluated on; `recipe` holds the fields that change numbers and differ, as
    [first, second]; `difference` is the mean of second - first over pairs, as in `stats.paired_difference`; `left_out`
    are seeds that only one of them has a result for; `changed` the images on which the pairs differ most.
    """

    kind: Literal["proofs", "runs"]
    first: Side
    second: Side
    dataset: str
    part: str
    num_images: int
    recipe: dict[str, list[Any]]
    pairs: list[Pair]
    difference: Mean
    left_out: list[int]
    changed: list[Changed]


def compare(
    first: str | Path, second: str | Path, *, store: str | Path = runs.DEFAULT_STORE, folder: str | Path | None = None
) -> Comparison:
    """Compare two proofs (files), seed by seed, or two runs (names or folders), as one pair.

    Proofs are taken at their word; `verify` checks them.

    Raises:
        LenetteError: one is a proof and one is a run, they were evaluated on different images, or share no seed.
    """
    for each in map(Path, (first, second)):
        if each.suffix == ".json" and not each.is_file():
            raise LenetteError(f"there is no proof {each}")
    kinds = [Path(each).is_file() for each in (first, second)]
    if kinds[0] != kinds[1]:
        raise LenetteError(f"{first} and {second}: compare two proofs or two runs, not one of each")
    one, two = (
        _proof(Path(each)) if kinds[0] else _run(runs.find(str(each), Path(store)), folder) for each in (first, second)
    )
    if one.images != two.images:
        raise LenetteError(f"{first} and {second} were evaluated on different images, so that they can't be compared")
    shared = [(seed, seed) for seed in one.wrong if seed in two.wrong]
    seeds = shared if kinds[0] else list(zip(one.wrong, two.wrong, strict=True))
    if not seeds:
        raise LenetteError(f"{first} and {second} have no seed in common that both have a result for")
    pairs = [_pair(mine, one.wrong[mine], theirs, two.wrong[theirs], one.num_images) for mine, theirs in seeds]
    accuracies = [[pair.first for pair in pairs], [pair.second for pair in pairs]]
    return Comparison(
        kind="proofs" if kinds[0] else "runs",
        first=_side(one, accuracies[0]),
        second=_side(two, accuracies[1]),
        dataset=one.recipe.dataset,
        part=one.part,
        num_images=one.num_images,
        recipe={name: list(pair) for name, pair in one.recipe.differences(two.recipe).items()},
        pairs=pairs,
        difference=paired_difference(accuracies[1], accuracies[0], LEVEL),
        left_out=sorted(one.wrong.keys() ^ two.wrong.keys()) if kinds[0] else [],
        changed=_changed([one.wrong[mine] for mine, _ in seeds], [two.wrong[theirs] for _, theirs in seeds]),
    )


@dataclass
class _Evaluated:
    """One of the two, before they are held together: `images` is a digest, `wrong` the wrong ones of each seed."""

    label: str
    recipe: Recipe
    parameters: int
    part: str
    images: str
    num_images: int
    wrong: dict[int, list[int]]


def _side(side: _Evaluated, accuracies: list[float]) -> Side:
    return Side(side.label, side.recipe.name, side.parameters, sum(accuracies) / len(accuracies))


def _proof(path: Path) -> _Evaluated:
    proof = read_done(path)
    wrong = {run.seed: run.wrong for run in proof.runs if run.wrong is not None}
    recipe, size = recipe_of(proof), proof.network.counts.trainable
    return _Evaluated(path.stem, recipe, size, "test", proof.test.digest, proof.test.num_images, wrong)


def _run(run: Run, folder: str | Path | None) -> _Evaluated:
    about, recipe = run.about, run.recipe
    if run.part is None:
        opened = [
            (digest, look)
            for digest, looks in sealed.openings_of(run).items()
            for look in looks
            if look.part == "test" and look.wrong is not None
        ]
        if not opened:
            raise LenetteError(
                f"run {run.id} held out no images, and its sealed test was not opened; "
                f"if this is the end: lenette evaluate {run.argument} --part test --open-test"
            )
        digest, last = max(opened, key=lambda each: each[1].time)
        wrong = {run.seed: last.wrong or []}
        return _Evaluated(run.id, recipe, about.parameters, "test", digest, last.num_images, wrong)
    evaluated = datasets(recipe, folder or about.data.folder)[1]
    assert evaluated is not None
    if evaluated.digest != about.data.digest[1]:
        raise LenetteError(f"run {run.id} was evaluated on other {run.part} images than those that are here now")
    wrong = {run.seed: sealed.wrong(run.logits(evaluated.images), evaluated.labels)}
    return _Evaluated(run.id, recipe, about.parameters, run.part, evaluated.digest, len(evaluated), wrong)


def _pair(mine: int, wrong: list[int], theirs: int, other: list[int], num_images: int) -> Pair:
    missed = set(wrong), set(other)
    told_apart = sorted(missed[0] ^ missed[1])  # the test is of these alone
    p_value = mcnemar(*([image not in side for image in told_apart] for side in missed)).p_value if told_apart else 1.0
    accuracies = accuracy_of(wrong, num_images), accuracy_of(other, num_images)
    return Pair(
        seed=str(mine) if mine == theirs else f"{mine} and {theirs}",
        first=accuracies[0],
        second=accuracies[1],
        difference=accuracies[1] - accuracies[0],
        only_first=len(missed[1] - missed[0]),
        only_second=len(missed[0] - missed[1]),
        p_value=p_value,
    )


def _changed(first: list[list[int]], second: list[list[int]]) -> list[Changed]:
    """Return the images on which the two differ in most pairs."""
    missed = [Counter(chain.from_iterable(side)) for side in (first, second)]
    rows = [
        Changed(image, len(first) - missed[0][image], len(second) - missed[1][image])
        for image in sorted(missed[0] | missed[1])
    ]
    rows = [row for row in rows if row.first != row.second]
    return sorted(rows, key=lambda row: -abs(row.first - row.second))[:NUM_IMAGES_SHOWN]
