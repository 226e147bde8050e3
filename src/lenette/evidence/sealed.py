"""The one door to a sealed test set; what is written down belongs to the images, not to a run."""

from pathlib import Path

import msgspec
import torch

from lenette import data, identity, integer, ledger, records, runs
from lenette.errors import DataError, RunError, SealedError
from lenette.evidence.networks import read_weights
from lenette.jobs import datasets
from lenette.ledger import Look
from lenette.metrics import Evaluation, evaluate
from lenette.recipes import Recipe
from lenette.records import Count, Fraction, Loss
from lenette.runs import Run
from lenette.stats import accuracy_interval

OLD_RECORD = "openings.jsonl"  # in a run's folder, where version 1 wrote its openings


class Evaluated(Evaluation, frozen=True, kw_only=True):
    """What a run's weights are worth on a part of a data set; `low` to `high` is Wilson's interval, at 95 %.

    `looks` says which look at a test set this was, "" where it was none that is counted.
    """

    dataset: str
    part: str
    low: Fraction
    high: Fraction
    looks: str = ""


def evaluate_part(
    run: Run,
    part: str | None,
    dataset: str | None = None,
    folder: str | Path | None = None,
    may_open: bool = False,
    on_integers: bool = False,
) -> Evaluated:
    """Evaluate a finished run on a part of its own data set or another; a sealed test is opened only where allowed.

    Images that the run has not seen in training are looked at, and that is written down.

    Args:
        part: without it, "test" of another data set or where that may be opened, else the part that the run evaluates
            each epoch ("train" where there is none).
        may_open: whether a sealed run may be shown images other than its training and validation ones.
        on_integers: whether the integer network is evaluated, its ranges measured on the run's training images.

    Raises:
        NotQuantised: the network has no integer form.
        SealedError: the part is sealed and `may_open` is false, or the images don't fit the run.
        DataError: the data set is unknown, missing, or has no such part; or the run's own have changed since.
        RunError: the run has not ended.
    """
    recipe = run.recipe
    own = dataset is None or str(dataset) == recipe.dataset or _lies_at(run, str(dataset), folder)
    moved_to = folder if own else None
    part = part or ("test" if may_open or not own else run.part) or "train"
    seen = own and part in ("train", "validation", run.part)
    if own:
        recipe, folder = _own_place(run, folder)
    if not seen:
        data.require_part(recipe.dataset if own else str(dataset), part, folder)
    if recipe.protocol == "sealed" and not seen and not may_open:
        raise SealedError(
            f"run {run.id} is sealed: its {part} images are opened once, at the end; "
            "say --open-test if this is the end (the opening is written down)"
        )
    if own:
        images = _own_images(run, recipe, folder, part)
    else:
        images = data.load_for(run.about.data, str(dataset), part, folder)
    told = ""
    integers = integer_network(run, moved_to) if on_integers else None
    if seen:
        require_same_kind(run, images)
        found = evaluate(_logits(run, images.images, integers), images.labels)
    else:
        found, _ = _open(run, images, integers)
        store = run.folder.parent
        every = looks(store, images.digest)
        told = f"look {len(every)} at these images by runs of the store {store}: {ledger.told(every)}"
    interval = accuracy_interval(found.num_images - found.num_errors, found.num_images)
    return Evaluated(
        **msgspec.structs.asdict(found),
        dataset=run.recipe.dataset if own else str(dataset),
        part=part,
        low=interval.low,
        high=interval.high,
        looks=told,
    )


def open_test(run: Run, dataset: str | None = None, part: str = "test", folder: str | Path | None = None) -> Evaluated:
    """Evaluate a finished run on images that its training could not see, as `evaluate_part` does where it may."""
    return evaluate_part(run, part, dataset, folder, may_open=True)


def opened_once(run: Run, images: data.Dataset) -> Look:
    """Return the opening of these images for these weights; they are opened where there is none yet.

    Raises:
        RunError: the run has not ended.
        SealedError: the images don't fit the run.
    """
    kept = identity.weights(read_weights(run.folder / "model.safetensors"))
    for look in looks(run.folder.parent, images.digest):
        if look.what == "opening" and look.weights == kept and look.wrong is not None:
            return look
    return _open(run, images)[1]


def openings(run: Run) -> list[Look]:
    """Return all openings of any images for this run, or another with its key, the first one first."""
    return sorted((look for found in openings_of(run).values() for look in found), key=lambda look: look.time)


def openings_of(run: Run) -> dict[str, list[Look]]:
    """Return the openings for this run, or another with its key, by the digest of the images."""
    key, found = run.about.key, _old_openings(run)
    for digest, every in ledger.every_look(run.folder.parent).items():
        mine = [look for look in every if look.what == "opening" and look.key == key]
        if mine:
            found.setdefault(digest, []).extend(mine)
    return found


def looks(store: Path, digest: str) -> list[Look]:
    """Return all looks at the images of that digest by runs of the store, those that version 1 wrote down included.

    Raises:
        LenetteError: a record can't be read.
    """
    old = [
        look
        for path in sorted(store.glob(f"*/{OLD_RECORD}"))
        for look in _old_openings(Run(path.parent)).get(digest, [])
    ]
    return [*old, *ledger.looks(store, digest)]


def integer_network(run: Run, folder: str | Path | None = None) -> integer.IntegerNetwork:
    """Return the integer form of a finished run's network, its ranges measured on the images that it was trained on.

    Args:
        folder: where its data set lies now; without it, where it lay.

    Raises:
        NotQuantised: the network has no integer form.
        DataError: the data set is missing, or has changed since.
    """
    images = _own_images(run, *_own_place(run, folder), part="train")
    return integer.quantise(run.network(), images.images)


def _logits(run: Run, images: torch.Tensor, integers: integer.IntegerNetwork | None) -> torch.Tensor:
    """Return float32 [N, classes] of the run's network, or of its integer form where that is given."""
    if integers is None:
        return run.logits(images)
    return torch.from_numpy(integer.logits(integers, images.numpy()) * integers.step).float()


def _open(run: Run, images: data.Dataset, integers: integer.IntegerNetwork | None = None) -> tuple[Evaluation, Look]:
    """Return what the weights are worth on the images, and the look that was written down.

    Which images are wrong is written of the float network alone, since a later question for them is about that.
    """
    require_same_kind(run, images)
    logits = _logits(run, images.images, integers)
    found = evaluate(logits, images.labels)
    look = Look(
        what="opening",
        time=runs.now(),
        dataset=images.name,
        part=images.part,
        run=run.id,
        key=run.about.key,
        recipe=run.recipe.digest,
        protocol=run.recipe.protocol,
        weights=identity.weights(read_weights(run.folder / "model.safetensors")),
        num_images=found.num_images,
        accuracy=found.accuracy,
        loss=found.loss,
        wrong=wrong(logits, images.labels) if integers is None else None,
    )
    ledger.look(run.folder.parent, images.digest, look)
    return found, look


class _OldOpening(msgspec.Struct):
    time: str
    dataset: str
    part: str
    digest: str
    weights: str
    accuracy: Fraction
    loss: Loss
    num_images: Count
    wrong: list[Count]


def _old_openings(run: Run) -> dict[str, list[Look]]:
    """Return the looks that version 1 wrote down in the run's own folder, by the digest of the images."""
    path = run.folder / OLD_RECORD
    found: dict[str, list[Look]] = {}
    for place, line in enumerate(records.content(path, RunError).splitlines() if path.exists() else [], 1):
        old = records.decode(line, _OldOpening, f"{path}, line {place},", RunError)
        look = Look(
            what="opening",
            run=run.id,
            key=run.about.key,
            recipe=run.recipe.digest,
            protocol=run.recipe.protocol,
            **{name: getattr(old, name) for name in _OldOpening.__struct_fields__ if name != "digest"},
        )
        found.setdefault(old.digest, []).append(look)
    return found


def wrong(logits: torch.Tensor, labels: torch.Tensor) -> list[int]:
    """Return which of the images are classified wrongly: ascending indices, for logits [N, classes], labels [N]."""
    return (logits.argmax(dim=1) != labels).nonzero().flatten().tolist()


def require_same_kind(run: Run, images: data.Dataset) -> None:
    """Raise SealedError unless the images have the shape and the number of classes that the run was trained on."""
    about = run.about.data
    if list(images.images.shape[1:]) != about.shape or len(images.classes) != len(about.classes):
        raise SealedError(
            f"data set '{images.name}' has {len(images.classes)} classes of images {list(images.images.shape[1:])}; "
            f"run {run.id} was trained on {len(about.classes)} classes of {about.shape}"
        )


def _lies_at(run: Run, dataset: str, folder: str | Path | None) -> bool:
    """Say whether that name leads to the run's own data set, where that is a folder or a file."""
    recorded = run.about.data.folder
    return dataset not in data.DATASETS and recorded is not None and data.lies_in(dataset, folder) == recorded


def _own_place(run: Run, folder: str | Path | None) -> tuple[Recipe, str | Path | None]:
    """Return the run's recipe, and the folder in which its data set lies; a folder of another name may be the set."""
    recipe = run.recipe
    if folder is None:
        return recipe, run.about.data.folder
    if recipe.dataset in data.DATASETS or data.lies_in(recipe.dataset, folder) is not None:
        return recipe, folder
    return (recipe.but(dataset=str(folder)), None) if Path(folder).exists() else (recipe, folder)


def _own_images(run: Run, recipe: Recipe, folder: str | Path | None, part: str) -> data.Dataset:
    """Return a part of the run's own data set; "train" is what it was trained on, without what it held out.

    Raises:
        DataError: the data are no longer those that it was trained on, so that the parts may be others too.
    """
    recorded = run.about.data
    if part in ("train", run.part):
        trained, evaluated = datasets(recipe, folder)
        _require_same(run, data.changes(recorded, trained, evaluated))
        images = trained if part == "train" else evaluated
        assert images is not None
        return images
    if part == "validation" and part not in data.parts(recipe.dataset, folder):
        raise SealedError(f"run {run.id} holds out no validation images (protocol {recipe.protocol})")
    return data.load_for(recorded, recipe.dataset, part, folder)


def _require_same(run: Run, changes: list[str]) -> None:
    if changes:
        raise DataError(
            f"the data of run {run.id}, '{run.recipe.dataset}', are no longer those that it was trained on: "
            f"{'; '.join(changes)}. Train anew, or name the folder in which the old ones lie: --data DIR"
        )
