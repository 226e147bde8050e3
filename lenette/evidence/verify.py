"""verify(file): a proof's figures, computed anew from its weights, and its verdict, from its figures."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lenette import data, files, models, runs, training
from lenette.errors import DataError, Diverged, LenetteError, RunError
from lenette.evidence import consistency, sealed, weights
from lenette.evidence.networks import NotHere, network_of, require_consent, weights_of
from lenette.evidence.rule import SAME_IMAGES, SAME_LOSS
from lenette.evidence.schema import Proof, digest, read_done, recipe_of
from lenette.inference import logits
from lenette.metrics import evaluate
from lenette.recipes import Recipe

ON_RECORD = (
    "that the rule was written before the first run, that no other runs were left out, and how often a test was opened",
    "the epochs and the curves (`--retrain SEED` makes a run again and compares bits), the seconds, the machines, and "
    "the threads of an engine whose bits don't hang on them",
)


def verify(
    path: str | Path,
    *,
    retrain: int | None = None,
    folder: str | Path | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    run_code: bool = False,
    progress: training.Progress | None = None,
) -> dict[str, Any]:
    """Check a proof: all that can be recomputed is, and the rest must agree with itself.

    Accuracy is recomputed from every seed's weights, those beside the proof or, where they were too large to keep,
    those of the same runs in `store`; up to 2 images may differ, as they do between machines. For a sealed proof this
    repeats a published figure, and is not written down as an opening.

    Args:
        retrain: a seed to train again, on the same engine with as many threads.
        folder: where the data set lies.
        run_code: whether a network of the proof's author, a Python file, may be run.

    Returns:
        `refused`: whether a check failed; `checks`: rows of {check, faults}, faults being sentences; `unchecked`: what
        could not be recomputed here, and why; `on_record`: what no figure can show; `retrained`: None, or {seed,
        same_build, same_weights, same_curve, accuracy, recorded}; `name` and `verdict` of the proof.

    Raises:
        LenetteError: the file is no whole proof, the seed to retrain is not in it, or its code may not be run.
    """
    path = Path(path)
    proof = read_done(path)
    if retrain is not None and retrain not in [run["seed"] for run in proof["runs"]]:
        raise LenetteError(f"{path} has no run of seed {retrain}; it has {', '.join(map(str, proof['rule']['seeds']))}")
    recipe = recipe_of(proof)
    require_consent(recipe, run_code)
    faults = {
        "the file's digest": [] if proof["digest"] == digest(proof) else ["the file was changed after it was written"],
        "recipe": list(consistency.recipe_faults(proof, recipe)),
        "rule": list(consistency.rule_faults(proof, recipe)),
    }
    retrained, unchecked = None, []
    if not (faults["recipe"] or faults["rule"]):
        faults["runs"] = [fault for run in proof["runs"] for fault in consistency.run_faults(proof, recipe, run)]
        faults["summary, verdict and certificate"] = list(consistency.conclusion_faults(proof, recipe))
        faults["parameters and bytes"] = list(_network(proof, recipe))
        try:
            images, faults["data"] = _data(proof, recipe, folder)
            faults["accuracy, recomputed from the weights"] = list(_accuracy(proof, recipe, images, path, Path(store)))
        except NotHere as missing:
            unchecked.append(f"the accuracy, from the weights: {missing}")
        if retrain is not None:
            retrained, faults[f"seed {retrain}, trained again"] = _retrain(proof, recipe, retrain, folder, progress)
    return {
        "proof": str(path),
        "name": proof["name"],
        "verdict": proof["verdict"]["verdict"],
        "refused": any(faults.values()),
        "checks": [{"check": name, "faults": found} for name, found in faults.items()],
        "unchecked": unchecked,
        "on_record": list(ON_RECORD),
        "retrained": retrained,
    }


def _network(proof: Proof, recipe: Recipe) -> Iterator[str]:
    network = network_of(proof, recipe)
    counted = {"parameters": models.count_parameters(network), "bytes": models.num_bytes(network.state_dict())}
    for name, value in counted.items():
        if proof[name] != value:
            yield f"the network has {value:,} {name}, not {proof[name]:,}"


def _data(proof: Proof, recipe: Recipe, folder: str | Path | None) -> tuple[data.Dataset, list[str]]:
    try:
        train, test = (data.load(recipe.dataset, part, folder) for part in ("train", "test"))
    except DataError as error:
        raise NotHere(str(error)) from error
    about = proof["data"]
    held = {
        "training images": (about["digest"], train.digest),
        "number of training images": (about["num_images"], len(train)),
        "classes": (about["classes"], list(train.classes)),
        "image size": (about["shape"], list(train.images.shape[1:])),
        "means": (about["mean"], list(train.mean)),
        "standard deviations": (about["std"], list(train.std)),
        "test images": (proof["test"]["digest"], test.digest),
        "number of test images": (proof["test"]["num_images"], len(test)),
    }
    faults = [
        f"the {name} of {recipe.dataset} are others here" for name, (there, here) in held.items() if there != here
    ]
    return test, faults


def _accuracy(proof: Proof, recipe: Recipe, images: data.Dataset, path: Path, store: Path) -> Iterator[str]:
    """Yield the runs whose accuracy is not that of their weights."""
    try:
        states = weights_of(proof, path, store)
    except NotHere:
        raise
    except RunError as error:
        yield str(error)
        return
    network = network_of(proof, recipe)
    for run in proof["runs"]:
        if run["weights"] is None:
            continue
        state = states.get(run["seed"])
        if state is None or weights.digest(state) != run["weights"]:
            yield f"seed {run['seed']}: the weights are not those whose digest is recorded"
            continue
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            yield f"seed {run['seed']}: the weights do not fit the network: {error}"
            continue
        answers = logits(network, images.images, images.mean, images.std)
        wrong, loss = sealed.wrong(answers, images.labels), evaluate(answers, images.labels)["loss"]
        if run["loss"] is None or not math.isclose(loss, run["loss"], rel_tol=SAME_LOSS):
            yield f"seed {run['seed']}: its weights have a test loss of {loss:.6g}; recorded is {run['loss']}"
        if len(set(wrong) ^ set(run["wrong"])) > SAME_IMAGES:
            yield (
                f"seed {run['seed']}: its weights leave {len(wrong)} of {len(images):,} images wrong; recorded are "
                f"{len(run['wrong'])}, and {len(set(wrong) ^ set(run['wrong']))} images are not the same"
            )


def _retrain(
    proof: Proof, recipe: Recipe, seed: int, folder: str | Path | None, progress: training.Progress | None
) -> tuple[dict[str, Any], list[str]]:
    recorded = next(run for run in proof["runs"] if run["seed"] == seed)
    if recorded["status"] == "cut":
        raise LenetteError(f"seed {seed} was cut by the clock, at {recipe.max_seconds:g} s: no run repeats its bits")
    engine = proof["engine"]
    how = {"engine": engine["name"], "device": engine["device"], "threads": engine["threads"]}
    with tempfile.TemporaryDirectory() as store:
        try:
            run = training.train(recipe, seed, folder=folder, store=store, progress=progress, **how)
        except Diverged:
            (run,) = runs.in_store(Path(store))
        diverged = run.status == "diverged"
        state = None if diverged else weights.read(run.folder / "model.safetensors")
        curve = files.finite(run.curve)
        build = run.environment["build"]
        part = run.part or "train"
        accuracy = None if diverged or recipe.protocol == "sealed" else run.final[part]["accuracy"]
    result = {
        "seed": seed,
        "same_build": build == engine["build"],
        "same_weights": (None if state is None else weights.digest(state)) == recorded["weights"],
        "same_curve": all(
            curve.get(name) == column for name, column in recorded["curve"].items() if not name.endswith("_seconds")
        ),
        "accuracy": accuracy,
        "recorded": recorded["accuracy"],
    }
    faults = []
    if result["same_build"] and not (result["same_weights"] and result["same_curve"]):
        which = " and ".join(name for name in ("weights", "curve") if not result[f"same_{name}"])
        faults = [f"the same engine, threads and seed give another {which} here than recorded"]
    return result, faults
