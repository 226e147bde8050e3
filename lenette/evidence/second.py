"""A second test set: what a proof's networks are worth on images that nobody has looked at so far."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lenette import data, files, runs
from lenette.errors import DataError, LenetteError
from lenette.evidence import sealed, weights
from lenette.evidence.networks import network_of, require_consent, weights_of
from lenette.evidence.rule import LEVEL, accuracy_of
from lenette.evidence.schema import read_done, recipe_of
from lenette.inference import logits
from lenette.stats import mean_interval, paired_difference


def second_test(
    path: str | Path,
    dataset: str = "qmnist",
    part: str | None = None,
    *,
    folder: str | Path | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    run_code: bool = False,
) -> dict[str, Any]:
    """Evaluate all networks of a proof on another test set, and say by how much they drop.

    Args:
        part: without it "extra" where the set has one (qmnist: 50,000 test digits that MNIST left out), else "test".
        run_code: whether a network of the proof's author, a Python file, may be run.

    Returns:
        dataset, part, num_images; values: {seed: accuracy}; mean and drop (the proof's test accuracy less this one,
        paired by seed), each {mean, deviation, low, high, level, count} as in `stats`.

    Raises:
        LenetteError: the data set or the weights are not here, do not fit, or are not those of the proof.
    """
    path = Path(path)
    proof = read_done(path)
    recipe = recipe_of(proof)
    require_consent(recipe, run_code)
    if part is None:
        part = "extra" if dataset in data.DATASETS and "extra" in data.DATASETS[dataset].sizes else "test"
    images = data.load(dataset, part, folder)
    about = proof["data"]
    if list(images.images.shape[1:]) != about["shape"] or len(images.classes) != len(about["classes"]):
        raise DataError(
            f"{dataset} has {len(images.classes)} classes of images {list(images.images.shape[1:])}; the networks of "
            f"{path} know {len(about['classes'])} classes of {about['shape']}"
        )
    if images.digest == about["digest"]:
        raise DataError(f"{dataset} {part}: the networks of {path} were trained on these images")
    network = network_of(proof, recipe)
    states = weights_of(proof, path, Path(store))
    own, values = [], {}
    for run in proof["runs"]:
        if run["weights"] is None:
            continue
        if weights.digest(states[run["seed"]]) != run["weights"]:
            raise LenetteError(f"seed {run['seed']}: the weights are not those whose digest {path} records")
        network.load_state_dict(states[run["seed"]])
        answers = logits(network, images.images, about["mean"], about["std"])
        own.append(run["accuracy"])
        values[run["seed"]] = accuracy_of(sealed.wrong(answers, images.labels), len(images))
    here = list(values.values())
    return files.finite(
        {
            "proof": str(path),
            "dataset": dataset,
            "part": part,
            "num_images": len(images),
            "values": values,
            "mean": asdict(mean_interval(here, LEVEL)),
            "drop": asdict(paired_difference(own, here, LEVEL)),
        }
    )
