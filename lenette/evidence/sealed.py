"""The one function that opens the test set of a sealed run, and writes down that it did."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lenette import data
from lenette.errors import RunError, SealedError
from lenette.evidence import weights
from lenette.files import finite
from lenette.metrics import evaluate
from lenette.runs import Run
from lenette.stats import accuracy_interval
from lenette.training import datasets

RECORD = "openings.jsonl"


def open_test(
    run: Run, dataset: str | None = None, part: str = "test", folder: str | Path | None = None
) -> dict[str, Any]:
    """Evaluate a finished run on images that its training could not see, and add the opening to the run's record.

    Args:
        dataset: another data set with the same classes and shape; without it the run's own.
        part: "test", or another that isn't trained on ("extra" of qmnist).
        folder: where the data lies.

    Returns:
        what `metrics.evaluate` says, and `opening`: how many openings this run has had, this one included.

    Raises:
        RunError: the run has not ended.
        DataError: the data set is missing.
        SealedError: the images don't fit the run.
    """
    images = data.load(dataset or run.recipe.dataset, part, folder or run.about["data"]["folder"])
    result, _ = _open(run, images)
    return {**result, "opening": len(openings(run))}


def opened_once(run: Run, images: data.Dataset) -> dict[str, Any]:
    """Return the record of the opening of these images for these weights; they are opened where there is none yet.

    Raises:
        RunError: the run has not ended.
        SealedError: the images don't fit the run.
    """
    same = {"digest": images.digest, "weights": weights.digest(weights.read(run.folder / "model.safetensors"))}
    for opening in openings(run):
        if all(opening.get(name) == value for name, value in same.items()):
            return opening
    return _open(run, images)[1]


def _open(run: Run, images: data.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the weights are worth on the images, and the line that was added to the record."""
    require_same_kind(run, images)
    logits = run.logits(images.images)
    result = evaluate(logits, images.labels)
    opening = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": images.name,
        "part": images.part,
        "digest": images.digest,
        "weights": weights.digest(weights.read(run.folder / "model.safetensors")),
        **{name: result[name] for name in ("accuracy", "loss", "num_images")},
        "wrong": wrong(logits, images.labels),
    }
    with (run.folder / RECORD).open("a", encoding="utf-8") as record:
        record.write(json.dumps(finite(opening), allow_nan=False) + "\n")
    return result, opening


def wrong(logits: torch.Tensor, labels: torch.Tensor) -> list[int]:
    """Return which of the images are classified wrongly: ascending indices, for logits [N, classes], labels [N]."""
    return (logits.argmax(dim=1) != labels).nonzero().flatten().tolist()


def openings(run: Run) -> list[dict[str, Any]]:
    """Return the record of all openings, each with what was opened (time, dataset, part, digest) and what it showed.

    The latter is weights (digest), accuracy, loss, num_images, and wrong (indices of the images).

    Raises:
        RunError: the record is damaged.
    """
    path = run.folder / RECORD
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    except ValueError as error:
        raise RunError(f"the record of openings {path} is damaged: {error}") from error


def require_same_kind(run: Run, images: data.Dataset) -> None:
    """Raise SealedError unless the images have the shape and the number of classes that the run was trained on."""
    about = run.about["data"]
    if list(images.images.shape[1:]) != about["shape"] or len(images.classes) != len(about["classes"]):
        raise SealedError(
            f"data set '{images.name}' has {len(images.classes)} classes of images {list(images.images.shape[1:])}; "
            f"run {run.id} was trained on {len(about['classes'])} classes of {about['shape']}"
        )


def evaluate_part(
    run: Run, part: str | None, dataset: str | None = None, folder: str | Path | None = None, may_open: bool = False
) -> dict[str, Any]:
    """Evaluate a finished run on a part of its own data set or another; a sealed test is opened only where allowed.

    Args:
        part: without it, "test" of another data set or where that may be opened, else the part that the run evaluates
            each epoch ("train" where there is none).
        may_open: whether a sealed run may be shown images other than its training and validation ones.

    Returns:
        what `metrics.evaluate` says, `interval` (Wilson, 95 %), `dataset`, `part`, and `opening` where one was made.

    Raises:
        SealedError: the part is sealed and `may_open` is false.
        DataError: the data set is unknown, or has no such part.
    """
    recipe = run.recipe
    own = dataset is None or dataset == recipe.dataset
    part = part or ("test" if may_open or not own else run.part) or "train"
    if not (own and part == "validation"):
        data.require_part(dataset or recipe.dataset, part)
    folder = folder or run.about["data"]["folder"]
    if recipe.protocol == "sealed" and not (own and part in ("train", "validation")):
        if not may_open:
            raise SealedError(
                f"run {run.id} is sealed: its {part} images are opened once, at the end; "
                "say --open-test if this is the end (the opening is written down)"
            )
        result = open_test(run, dataset, part, folder)
    else:
        images = _own_images(run, part, folder) if own else data.load(dataset or recipe.dataset, part, folder)
        require_same_kind(run, images)
        result = evaluate(run.logits(images.images), images.labels)
    interval = accuracy_interval(result["num_images"] - result["num_errors"], result["num_images"])
    return {"dataset": dataset or recipe.dataset, "part": part, "interval": [interval.low, interval.high], **result}


def _own_images(run: Run, part: str, folder: str | Path | None) -> data.Dataset:
    """Return a part of the run's own data set; "train" is what it was trained on, without what it held out."""
    recipe = run.recipe
    if part in ("train", run.part):
        trained, evaluated = datasets(recipe, folder)
        images = trained if part == "train" else evaluated
        assert images is not None
        return images
    if part == "validation" and part not in data.parts(recipe.dataset):
        raise SealedError(f"run {run.id} holds out no validation images (protocol {recipe.protocol})")
    return data.load(recipe.dataset, part, folder)
