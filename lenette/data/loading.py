"""load: the one door through which data sets come in."""

from pathlib import Path

import numpy as np
import torch

from lenette.data import folders, idx, optdigits
from lenette.data.catalogue import DATASETS, MNIST_FILES, Entry, four_files
from lenette.data.checking import read_checked
from lenette.data.dataset import Dataset, statistics
from lenette.data.places import candidates, find, locate
from lenette.errors import DataError, nearest


def load(name: str | Path, part: str = "train", folder: str | Path | None = None) -> Dataset:
    """Return one part of a data set; nothing is ever downloaded.

    `name` is a name of DATASETS, the path of a folder of images ({train,val,test}/CLASS/*.png), or that of a folder
    with four IDX files named as MNIST's. `folder` is where the set lies (itself, or as a folder below); without it
    LENETTE_DATA, the user's own folder and torchvision's are searched in turn. Only the files of `part` are read, and
    the training images, for mean and standard deviation. Raises DataError where the set is unknown, missing, damaged,
    or not the published one.
    """
    require_part(name, part)
    if str(name) in DATASETS:
        entry = DATASETS[str(name)]
        return _load_optdigits(entry, part) if entry.name == "optdigits" else _load_published(entry, part, folder)
    path = Path(name).expanduser()
    return _load_own_idx(path, part) if _holds_idx(path) else _load_image_folder(path, part)


def parts(name: str | Path) -> tuple[str, ...]:
    """Return the names of a data set's parts, for a `name` as `load` takes it; no image is read.

    Raises DataError where the set is unknown.
    """
    if str(name) in DATASETS:
        return tuple(DATASETS[str(name)].sizes)
    path = Path(name).expanduser()
    if not path.is_dir():
        known = ", ".join(DATASETS)
        raise DataError(f"unknown data set '{name}'{nearest(str(name), DATASETS)}: neither a folder nor one of {known}")
    return tuple(four_files()) if _holds_idx(path) else folders.parts(path)


def require_part(name: str | Path, part: str) -> None:
    """Raise DataError unless the data set is known and has a part of that name."""
    if part not in (known := parts(name)):
        raise DataError(f"data set '{name}' has no part '{part}'{nearest(part, known)}: it has {', '.join(known)}")


def ways_out(entry: Entry) -> str:
    """Return the three ways to a missing data set, for the end of an error."""
    return (
        f"Three ways out: `lenette data fetch {entry.name}` downloads it; `lenette data import {entry.name} DIR` "
        f"takes it from files that you have; or name the folder that holds it, as LENETTE_DATA or as the data folder."
    )


def _holds_idx(path: Path) -> bool:
    return any(path.glob(f"{MNIST_FILES[0]}*"))


def _load_optdigits(entry: Entry, part: str) -> Dataset:
    images, labels, rows = optdigits.read()
    mean, std = statistics(_as_images(images[rows["train"]]), entry.name)
    chosen = rows[part]
    return Dataset(
        entry.name, part, _as_images(images[chosen]), torch.from_numpy(labels[chosen]), entry.classes, mean, std
    )


def _load_published(entry: Entry, part: str, folder: str | Path | None) -> Dataset:
    place = find(entry.name, part, folder)
    if place is None:
        looked = "\n  ".join(str(path) for path in candidates(entry, folder))
        raise DataError(f"data set '{entry.name}' ({part}) was not found. {ways_out(entry)}\nLooked in:\n  {looked}")
    try:
        return _read_files(entry, part, place)
    except DataError as error:
        raise DataError(
            f"data set '{entry.name}': {error}. Delete the file, or put the right one there: {ways_out(entry)}"
        ) from error


def _load_own_idx(path: Path, part: str) -> Dataset:
    """Load four IDX files of the user's own, of which no digest is known; classes are 0 up to the highest label."""
    entry = Entry(path.resolve().name, "", (), {}, "", "", four_files())
    labels = entry.parts["train"].labels
    found = locate(labels, path)
    if found is None:
        raise DataError(f"{path}: {labels.name} is missing beside its images")
    num_classes = int(idx.read(found, "labels").max()) + 1
    own = Entry(entry.name, "", tuple(str(label) for label in range(num_classes)), {}, "", "", entry.parts)
    return _read_files(own, part, path)


def _read_files(entry: Entry, part: str, place: Path) -> Dataset:
    files = entry.parts[part]
    images_path, labels_path = locate(files.images, place), locate(files.labels, place)
    train_path = locate(entry.parts["train"].images, place)
    if images_path is None or labels_path is None or train_path is None:
        raise DataError(f"{place}: the files of '{part}' are not all there")
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
    return Dataset(entry.name, part, _as_images(images), torch.from_numpy(labels), entry.classes, mean, std)


def _load_image_folder(path: Path, part: str) -> Dataset:
    classes = folders.class_names(path)
    train = folders.read(path, "train", classes)
    mean, std = statistics(train[0], str(path))
    images, labels = train if part == "train" else folders.read(path, part, classes, like=train[0])
    return Dataset(path.resolve().name, part, images, labels, classes, mean, std)


def _as_images(array: np.ndarray) -> torch.Tensor:
    """Return uint8 [N, H, W] as a contiguous uint8 tensor [N, 1, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(array)[:, None])
