"""A second test set: what a proof's networks are worth on images that nobody has looked at so far."""

from pathlib import Path

from lenette import data, runs
from lenette.errors import DataError, LenetteError
from lenette.evidence.entry import accuracy_of
from lenette.evidence.networks import find_weights, network_of
from lenette.evidence.proof import read_done, recipe_of
from lenette.evidence.rule import LEVEL
from lenette.evidence.sealed import wrong
from lenette.records import Record
from lenette.stats import Mean, mean_interval, paired_difference


class SecondTest(Record, frozen=True, kw_only=True):
    """Accuracies on the second test set: of each seed, their mean, and the drop: the proof's test accuracy less this
    one, paired by seed."""

    proof: str
    dataset: str
    part: str
    num_images: int
    values: dict[int, float]
    mean: Mean
    drop: Mean


def second_test(
    path: str | Path,
    dataset: str = "qmnist",
    part: str | None = None,
    *,
    folder: str | Path | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    run_code: bool = False,
) -> SecondTest:
    """Evaluate all networks of a proof on another test set, and say by how much they drop.

    Args:
        part: without it "extra" where the set has one (qmnist: 50,000 test digits that MNIST left out), else "test".
        run_code: whether a network of the proof's author, a Python file, may be run.

    Raises:
        LenetteError: the data set or the weights are not here, do not fit, or are not those of the proof.
    """
    path = Path(path)
    proof = read_done(path)
    if part is None:
        part = "extra" if dataset in data.DATASETS and "extra" in data.DATASETS[dataset].sizes else "test"
    images = data.load(dataset, part, folder)
    about = proof.data
    if list(images.images.shape[1:]) != about.shape or len(images.classes) != len(about.classes):
        raise DataError(
            f"{dataset} has {len(images.classes)} classes of images {list(images.images.shape[1:])}; the networks of "
            f"{path} know {len(about.classes)} classes of {about.shape}"
        )
    if images.digest == about.digest:
        raise DataError(f"{dataset} {part}: the networks of {path} were trained on these images")
    network = network_of(path, proof, recipe_of(proof), run_code)
    states = find_weights(path, proof, Path(store))
    own, values = [], {}
    for run in proof.runs:
        if run.accuracy is not None:
            if run.seed not in states:
                raise LenetteError(f"the weights of seed {run.seed} are neither beside {path} nor in the store {store}")
            network.model.load_state_dict(states[run.seed])
            own.append(run.accuracy)
            values[run.seed] = accuracy_of(wrong(network.logits(images.images), images.labels), len(images))
    here = list(values.values())
    if not here:
        raise LenetteError(f"every run of {path} diverged: there is nothing to evaluate")
    return SecondTest(
        proof=str(path),
        dataset=dataset,
        part=part,
        num_images=len(images),
        values=values,
        mean=mean_interval(here, LEVEL),
        drop=paired_difference(own, here, LEVEL),
    )
