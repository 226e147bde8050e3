"""load: the one door through which data sets come in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from lenette.data import folders, optdigits, own_idx, tables
from lenette.data import preparation as preparing
from lenette.data.catalogue import DATASETS, Entry
from lenette.data.checking import read_checked
from lenette.data.dataset import Dataset, statistics
from lenette.data.names import printable
from lenette.data.pictures import Fit, fitted
from lenette.data.places import candidates, find, locate
from lenette.data.preparation import Preparation
from lenette.errors import DataError, nearest

GIVEN = "given"  # the name of images that a program gave as they are


class Own(Protocol):
    """A data set of the user's own: a folder of pictures, tables, or IDX files."""

    @property
    def name(self) -> str: ...
    @property
    def parts(self) -> tuple[str, ...]: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def preparation(self) -> Preparation: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    def read(self, part: str) -> tuple[np.ndarray, np.ndarray]: ...


class Trained(Protocol):
    """What a run says of the data that it was trained on, as `runs.DataAbout` does."""

    @property
    def classes(self) -> Sequence[str]: ...
    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def mean(self) -> Sequence[float]: ...
    @property
    def std(self) -> Sequence[float]: ...
    @property
    def preparation(self) -> Preparation | None: ...


def load(
    name: str | Path,
    part: str = "train",
    folder: str | Path | None = None,
    image_size: int = 0,
    image_fit: Fit = "pad",
) -> Dataset:
    """Return one part of a data set; nothing is ever downloaded.

    `name` is a name of DATASETS, or the path of a data set of one's own: a folder of pictures (`folders.survey`), a
    table or a folder of tables (`tables.Table`), or a folder of IDX files (`own_idx.find`). `folder` is where the set
    lies (itself, or as a folder below); without it LENETTE_DATA, the user's own folder and torchvision's are searched
    in turn for a name, and a path is taken as it is. Only the files of `part` are read, and the training images, for
    mean and standard deviation. `image_size` brings images of one's own to squares (see `pictures.fitted`). Raises
    DataError where the set is unknown, missing, damaged, or not the published one.
    """
    if str(name) in DATASETS:
        require_part(name, part)
        if image_size:
            raise DataError(f"image_size = {image_size} is for images of one's own; those of '{name}' are 28x28")
        entry = DATASETS[str(name)]
        return _load_optdigits(entry, part) if entry.name == "optdigits" else _load_published(entry, part, folder)
    own = _own(place(name, folder), image_size, image_fit)
    _require(part, own.parts, name)
    if "train" not in own.parts:
        raise DataError(
            f"{printable(name)}: no training part; it can test a run: lenette evaluate RUN --dataset {printable(name)}"
        )
    train, labels = _sized(own, "train", image_size, image_fit)
    mean, std = statistics(torch.from_numpy(train), own.name)
    images = train
    if part != "train":
        images, labels = _sized(own, part, image_size, image_fit)
        images = like_training(images, train.shape[1:], f"{own.name} ({part})")
    prepared = own.preparation if not image_size else Preparation(image_size=image_size, fit=image_fit)
    notes = (*own.notes, *_rare(own, labels, part))
    return Dataset(
        own.name, part, torch.from_numpy(images), torch.from_numpy(labels), own.classes, mean, std, prepared, notes
    )


def load_for(trained: Trained, name: str | Path, part: str = "test", folder: str | Path | None = None) -> Dataset:
    """Return a part of a data set as what a run was trained on would have it: labels by the run's own class names.

    The set needs no training part. Its classes may be some of the run's, in any order: each image's label is the place
    of its class's name among the run's. Mean and standard deviation are the run's. Raises DataError for classes that
    the run doesn't know, and for images of another shape.
    """
    prepared = trained.preparation or Preparation()
    classes = tuple(trained.classes)
    if str(name) in DATASETS:
        found = load(name, part, folder)
        own_name, own_classes, notes = found.name, found.classes, found.notes
        images, labels = found.images.numpy(), found.labels.numpy()
    else:
        own = _own(place(name, folder), prepared.image_size, prepared.fit)
        _require(part, own.parts, name)
        own_name, own_classes, notes = own.name, own.classes, own.notes
        images, labels = _sized(own, part, prepared.image_size, prepared.fit)
    if unknown := [own_classes[label] for label in np.unique(labels) if own_classes[label] not in classes]:
        raise DataError(_other_classes(own_name, unknown, classes))
    places = [classes.index(known) if known in classes else -1 for known in own_classes]
    images = like_training(images, tuple(trained.shape), f"{own_name} ({part})")
    mean, std = tuple(trained.mean), tuple(trained.std)
    found_labels = torch.from_numpy(np.array(places, dtype=np.int64)[labels])
    return Dataset(own_name, part, torch.from_numpy(images), found_labels, classes, mean, std, prepared, notes)


def parts(name: str | Path, folder: str | Path | None = None) -> tuple[str, ...]:
    """Return the names of a data set's parts, for a `name` and a `folder` as `load` takes them; no picture is read.

    Raises DataError where the set is unknown.
    """
    return tuple(DATASETS[str(name)].sizes) if str(name) in DATASETS else _own(place(name, folder)).parts


def require_part(name: str | Path, part: str, folder: str | Path | None = None) -> None:
    """Raise DataError unless the data set is known and has a part of that name."""
    _require(part, parts(name, folder), name)


def place(name: str | Path, folder: str | Path | None = None) -> Path:
    """Return where a data set of one's own lies: `folder` itself, `name` or its last part below it, else `name`.

    Raises DataError where it is in none of these places.
    """
    path = Path(name).expanduser()
    tried = [path]
    if folder is not None:
        given = Path(folder).expanduser()
        tried = [*([given] if given.name == path.name else []), given / path, given / path.name, path]
    try:
        found = next((path for path in tried if path.exists()), None)
    except (OSError, ValueError) as error:
        raise DataError(
            f"unknown data set '{printable(name)}' ({getattr(error, 'strerror', None) or error})"
        ) from error
    if found is None and str(name) == GIVEN:
        raise DataError(
            "the images were given to a program as they are, and aren't kept with the run: that program can train on "
            "them again, lenette.train(..., dataset=(images, labels)); saved as .npz they can be named, --dataset FILE"
        )
    if found is None:
        known = ", ".join(DATASETS)
        raise DataError(
            f"unknown data set '{printable(name)}'{nearest(str(name), DATASETS)}: "
            f"neither a folder or file nor one of {known}"
        )
    return found


def lies_in(name: str | Path, folder: str | Path | None = None) -> str | None:
    """Return where a run records that its data lies: None for a data set of the catalogue that was found by itself."""
    if str(name) in DATASETS:
        return None if folder is None else str(Path(folder).absolute())
    try:
        return str(place(name, folder).absolute())
    except DataError:  # images that were given, from no folder
        return None


def ways_out(entry: Entry) -> str:
    """Return the three ways to a missing data set, for the end of an error."""
    return (
        f"Three ways out: `lenette data fetch {entry.name}` downloads it; `lenette data import {entry.name} DIR` "
        f"takes it from files that you have; or name the folder that holds it, as LENETTE_DATA or as the data folder."
    )


def _own(path: Path, image_size: int = 0, fit: Fit = "pad") -> Own:
    """Return what lies at a path."""
    try:
        if path.is_dir() and (files := own_idx.find(path)):
            return own_idx.OwnIdx(path, files)
        if tables.is_table(path):
            return tables.Table(path)
        return folders.survey(path, image_size, fit)
    except OSError as error:
        raise DataError(f"{printable(error.filename or path)}: can't be read ({error.strerror})") from error


def _require(part: str, known: tuple[str, ...], name: str | Path) -> None:
    if part not in known:
        near = nearest(part, known)
        raise DataError(f"data set '{printable(name)}' has no part '{part}'{near}: it has {', '.join(known)}")


def _sized(own: Own, part: str, size: int, fit: Fit) -> tuple[np.ndarray, np.ndarray]:
    """Return a part's images and labels, the images brought to squares where a size is given."""
    try:
        images, labels = own.read(part)
    except OSError as error:
        raise DataError(f"{printable(error.filename or own.name)}: can't be read ({error.strerror})") from error
    return (squared(images, size, fit) if size else images), labels


def squared(images: np.ndarray, size: int, fit: Fit) -> np.ndarray:
    """Return images uint8 [N, C, H, W] as [N, C, size, size] (see `pictures.fitted`)."""
    if images.shape[2:] == (size, size):
        return images
    squares = [fitted(Image.fromarray(image.transpose(1, 2, 0).squeeze()), size, fit) for image in images]
    arrays = np.stack([np.asarray(square) for square in squares])
    return np.ascontiguousarray(arrays[:, None] if arrays.ndim == 3 else arrays.transpose(0, 3, 1, 2))


def like_training(images: np.ndarray, shape: Sequence[int], where: str) -> np.ndarray:
    """Return the images with as many channels as those of training; raise DataError where they differ otherwise."""
    if tuple(images.shape[2:]) != tuple(shape[1:]):
        raise DataError(
            f"{where}: images of {images.shape[3]}x{images.shape[2]} pixels, where training's are {shape[2]}x{shape[1]}"
        )
    if images.shape[1] > shape[0]:
        raise DataError(f"{where}: holds coloured images, where training's are all grey")
    return images if images.shape[1] == shape[0] else np.repeat(images, shape[0], axis=1)


def _rare(own: Own, labels: np.ndarray, part: str) -> list[str]:
    """Say which classes have a single training image."""
    single = [own.classes[label] for label in np.flatnonzero(np.bincount(labels, minlength=len(own.classes)) == 1)]
    if part != "train" or not single:
        return []
    named = ", ".join(f"'{name}'" for name in single[:10])
    return [f"{own.name}: one image alone of {named}: it is trained on, and never held out"]


def _other_classes(name: str, unknown: list[str], classes: tuple[str, ...]) -> str:
    named = ", ".join(f"'{known}'" for known in unknown[:10])
    return (
        f"data set '{name}' has classes that the network was not trained on: {named}; it knows {', '.join(classes)}. "
        "Take these classes away, or train on a data set that has them"
    )


def _load_optdigits(entry: Entry, part: str) -> Dataset:
    images, labels, rows = optdigits.read()
    mean, std = statistics(_as_images(images[rows["train"]]), entry.name)
    chosen = rows[part]
    made = preparing.published(entry.name)
    return Dataset(
        entry.name, part, _as_images(images[chosen]), torch.from_numpy(labels[chosen]), entry.classes, mean, std, made
    )


def _load_published(entry: Entry, part: str, folder: str | Path | None) -> Dataset:
    found = find(entry.name, part, folder)
    if found is None:
        looked = "\n  ".join(str(path) for path in candidates(entry, folder))
        raise DataError(f"data set '{entry.name}' ({part}) was not found. {ways_out(entry)}\nLooked in:\n  {looked}")
    try:
        return _read_files(entry, part, found)
    except DataError as error:
        raise DataError(
            f"data set '{entry.name}': {error}. Delete the file, or put the right one there: {ways_out(entry)}"
        ) from error


def _read_files(entry: Entry, part: str, folder: Path) -> Dataset:
    files = entry.parts[part]
    images_path, labels_path = locate(files.images, folder), locate(files.labels, folder)
    train_path = locate(entry.parts["train"].images, folder)
    if images_path is None or labels_path is None or train_path is None:
        raise DataError(f"{folder}: the files of '{part}' are not all there")
    images, labels = read_checked(images_path, files.images), read_checked(labels_path, files.labels)
    if len(images) != len(labels):
        raise DataError(f"{images_path} holds {len(images):,} images, and {labels_path} {len(labels):,} labels")
    if files.labels.kind == "table":
        labels = labels[:, 0]
    train_images = images if part == "train" else read_checked(train_path, entry.parts["train"].images)
    if images.shape[1:] != train_images.shape[1:]:
        raise DataError(
            f"{images_path}: images of {images.shape[1:]}, where those of training are {train_images.shape[1:]}"
        )
    mean, std = statistics(_as_images(train_images), entry.name)

    rows = slice(files.start, files.stop)
    images, labels = images[rows], labels[rows].astype(np.int64) - entry.first_label
    if not len(labels):
        raise DataError(f"{labels_path}: no rows for the part '{part}'")
    if labels.min() < 0 or labels.max() >= len(entry.classes):
        low, high = entry.first_label, entry.first_label + len(entry.classes) - 1
        worst = labels.min() if labels.min() < 0 else labels.max()
        raise DataError(f"{labels_path}: label {worst + entry.first_label} is out of range {low}..{high}")
    if entry.transposed:
        images = images.transpose(0, 2, 1)
    made = preparing.published(entry.name)
    return Dataset(entry.name, part, _as_images(images), torch.from_numpy(labels), entry.classes, mean, std, made)


def _as_images(array: np.ndarray) -> torch.Tensor:
    """Return uint8 [N, H, W] as a contiguous uint8 tensor [N, 1, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(array)[:, None])
