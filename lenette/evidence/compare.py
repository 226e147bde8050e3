"""compare(A, B): what differs between two runs or two proofs, and whether the difference is more than chance."""

from collections import Counter
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from lenette import files, runs
from lenette.errors import LenetteError
from lenette.evidence import sealed
from lenette.evidence.rule import LEVEL, accuracy_of
from lenette.evidence.schema import read_done, recipe_of
from lenette.recipes import Recipe
from lenette.runs import Run
from lenette.stats import mcnemar, paired_difference
from lenette.training import datasets

NUM_IMAGES_SHOWN = 20


def compare(
    first: str | Path, second: str | Path, *, store: str | Path = runs.DEFAULT_STORE, folder: str | Path | None = None
) -> dict[str, Any]:
    """Compare two proofs (files), seed by seed, or two runs (names or folders), as one pair.

    Returns:
        kind: "proofs" or "runs". first, second: {label, recipe (name), parameters, accuracy (mean over the pairs)}.
        dataset, part, num_images: what both were evaluated on. recipe: {field: [first, second]} of the fields that
        change numbers and differ. pairs: rows of {seed, first, second, difference (second - first), only_first,
        only_second, p_value} with McNemar's exact test. difference: its mean over pairs, as in
        `stats.paired_difference`. left_out: seeds that only one of them has a result for. changed: the images on which
        the pairs differ most, rows of {image, first, second} with the number of pairs that got it right. Fractions
        throughout.

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
        (_proof(Path(each)) if kinds[0] else _run(runs.find(str(each), Path(store)), folder))
        for each in (first, second)
    )
    if one["images"] != two["images"]:
        raise LenetteError(f"{first} and {second} were evaluated on different images, so that they can't be compared")
    if kinds[0]:
        seeds = [(seed, seed) for seed in one["wrong"] if seed in two["wrong"]]
    else:
        seeds = [(*one["wrong"], *two["wrong"])]
    if not seeds:
        raise LenetteError(f"{first} and {second} have no seed in common that both have a result for")
    num_images = one["num_images"]
    pairs = [_pair(mine, one["wrong"][mine], theirs, two["wrong"][theirs], num_images) for mine, theirs in seeds]
    accuracies = [[pair[name] for pair in pairs] for name in ("first", "second")]
    for side, values in zip((one, two), accuracies, strict=True):
        side["accuracy"] = sum(values) / len(values)
    return files.finite(
        {
            "kind": "proofs" if kinds[0] else "runs",
            **{
                name: {key: side[key] for key in ("label", "recipe", "parameters", "accuracy")}
                for name, side in (("first", one), ("second", two))
            },
            "dataset": one["what"].dataset,
            "part": one["part"],
            "num_images": num_images,
            "recipe": {name: list(pair) for name, pair in one["what"].differences(two["what"]).items()},
            "pairs": pairs,
            "difference": asdict(paired_difference(accuracies[1], accuracies[0], LEVEL)),
            "left_out": sorted(one["wrong"].keys() ^ two["wrong"].keys()) if kinds[0] else [],
            "changed": _changed([one["wrong"][a] for a, _ in seeds], [two["wrong"][b] for _, b in seeds]),
        }
    )


def _proof(path: Path) -> dict[str, Any]:
    proof = read_done(path)
    return {
        **_side(path.stem, recipe_of(proof), proof["parameters"]),
        "part": "test",
        "images": proof["test"]["digest"],
        "num_images": proof["test"]["num_images"],
        "wrong": {run["seed"]: run["wrong"] for run in proof["runs"] if run["wrong"] is not None},
    }


def _run(run: Run, folder: str | Path | None) -> dict[str, Any]:
    about, recipe = run.about, run.recipe
    side = _side(run.id, recipe, about["parameters"])
    if run.part is None:
        opened = [opening for opening in sealed.openings(run) if opening["part"] == "test"]
        if not opened:
            raise LenetteError(
                f"run {run.id} held out no images, and its sealed test was not opened; "
                f"if this is the end: lenette evaluate {run.argument} --part test --open-test"
            )
        last = opened[-1]
        images = {"part": "test", "images": last["digest"], "num_images": last["num_images"]}
        return {**side, **images, "wrong": {run.seed: last["wrong"]}}
    evaluated = datasets(recipe, folder or about["data"]["folder"])[1]
    assert evaluated is not None
    if evaluated.digest != about["data"]["digest"][1]:
        raise LenetteError(f"run {run.id} was evaluated on other {run.part} images than those that are here now")
    wrong = sealed.wrong(run.logits(evaluated.images), evaluated.labels)
    images = {"part": run.part, "images": evaluated.digest, "num_images": len(evaluated)}
    return {**side, **images, "wrong": {run.seed: wrong}}


def _side(label: str, recipe: Recipe, parameters: int) -> dict[str, Any]:
    return {"label": label, "recipe": recipe.name, "what": recipe, "parameters": parameters}


def _pair(mine: int, wrong: list[int], theirs: int, other: list[int], num_images: int) -> dict[str, Any]:
    test = mcnemar(*([index not in missed for index in range(num_images)] for missed in (set(wrong), set(other))))
    accuracies = accuracy_of(wrong, num_images), accuracy_of(other, num_images)
    return {
        "seed": mine if mine == theirs else f"{mine} and {theirs}",
        "first": accuracies[0],
        "second": accuracies[1],
        "difference": accuracies[1] - accuracies[0],
        "only_first": test.only_first,
        "only_second": test.only_second,
        "p_value": test.p_value,
    }


def _changed(first: list[list[int]], second: list[list[int]]) -> list[dict[str, int]]:
    """Return the images on which the two differ in most pairs."""
    missed = [Counter(chain.from_iterable(side)) for side in (first, second)]
    rows = [
        {"image": image, "first": len(first) - missed[0][image], "second": len(second) - missed[1][image]}
        for image in sorted(missed[0] | missed[1])
    ]
    rows = [row for row in rows if row["first"] != row["second"]]
    return sorted(rows, key=lambda row: -abs(row["first"] - row["second"]))[:NUM_IMAGES_SHOWN]
