"""Images that a Python program has already: arrays, tensors, or any data set object that can be counted and indexed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from lenette.data import arrays, splits
from lenette.data.dataset import Dataset, statistics
from lenette.data.loading import like_training, squared
from lenette.data.names import PARTS, printable
from lenette.data.pictures import Fit, without_colour
from lenette.data.preparation import Preparation, measured
from lenette.data.unsplit import divide
from lenette.errors import DataError
from lenette.recipes import Recipe

Pair = tuple[Dataset, Dataset | None]


def from_arrays(
    images: Any, labels: Any, classes: Sequence[str] | None = None, name: str = "given", part: str = "train"
) -> Dataset:
    """Return images and labels as a training part.

    Args:
        images: array, tensor or list of pictures, in any of the shapes that `arrays.as_images` takes.
        labels: whole numbers, one-hot rows or names, [N].
        classes: the names of the labels 0, 1, ...; without it the labels themselves, in order.

    Raises:
        DataError: images and labels are not as many, or not of a kind that is taken.
    """
    pixels = arrays.as_images(_array(images), f"{name}: images")
    names = arrays.as_names(_array(labels), f"{name}: labels")
    if len(pixels) != len(names):
        raise DataError(f"{name}: {len(pixels):,} images and {len(names):,} labels")
    if classes is None:
        known = arrays.class_names(names, name)
    else:
        known = tuple(printable(known) for known in classes)
        if names.dtype.kind == "i":
            if names.min() < 0 or names.max() >= len(known):
                raise DataError(f"{name}: label {names.max()} where {len(known)} classes are named, from 0 on")
            names = np.array(known)[names]
    found = torch.from_numpy(arrays.as_labels(names, known, name))
    mean, std = statistics(torch.from_numpy(pixels), name)
    return Dataset(name, part, torch.from_numpy(pixels), found, known, mean, std, measured(pixels))


def loader(given: Any, name: str = "given") -> Callable[[Recipe, str | Path | None], Pair]:
    """Return what `training.train` takes as `load`, for images that are given.

    Args:
        given: (images, labels); a data set object, each item of which is (image, label); a Dataset; a pair of such,
            for training and testing, as Keras returns them; or a dict of such by part ("train", "validation", "test").

    Raises:
        DataError: it is none of these, or images and labels won't do; at once, before anything is trained.
    """
    parts = {part: _dataset(value, name, part) for part, value in _parts(given).items()}
    if "train" not in parts:
        raise DataError(f"{name}: no training images; given are {', '.join(parts)}")
    train = parts["train"]
    for part in ("validation", "test"):
        if part in parts:
            parts[part] = _as_training(parts[part], train, part)

    def load(recipe: Recipe, folder: str | Path | None = None) -> Pair:
        squares = {part: _square(images, recipe) for part, images in parts.items()}
        mean, std = statistics(squares["train"].images, name)
        return _chosen({part: replace(images, mean=mean, std=std) for part, images in squares.items()}, recipe)

    return load


def _chosen(parts: Mapping[str, Dataset], recipe: Recipe) -> Pair:
    """Return the images to train on and those to evaluate every epoch, as the recipe's protocol has it."""
    train = parts["train"]
    if recipe.protocol == "sealed":
        if recipe.fold is None or recipe.fold < 0:
            return train, None
        if "validation" in parts:
            return train, parts["validation"]
        kept, held = splits.held_out(train.labels, recipe.fold)
        return train.subset(kept, "train"), train.subset(held, "validation")
    if "test" in parts:
        return train, parts["test"]
    return divide(train)


def _parts(given: Any) -> dict[str, Any]:
    """Return what is given for each part."""
    if isinstance(given, Mapping):
        known = {PARTS.get(str(part).lower()): value for part, value in given.items()}
        if None in known:
            raise DataError(f"parts {', '.join(map(str, given))}: they are named train, validation, test")
        return {str(part): value for part, value in known.items()}
    if isinstance(given, tuple | list) and len(given) == 2 and all(map(_is_data, given)):
        return {"train": given[0], "test": given[1]}
    return {"train": given}


def _is_data(value: Any) -> bool:
    """Tell whether a value is images with labels: a pair, or an object that is no array and can be indexed."""
    if isinstance(value, Dataset):
        return True
    if isinstance(value, tuple):
        return len(value) == 2
    return hasattr(value, "__getitem__") and not hasattr(value, "shape") and not isinstance(value, list | str | bytes)


def _dataset(value: Any, name: str, part: str) -> Dataset:
    if isinstance(value, Dataset):
        return replace(value, part=part)
    if isinstance(value, tuple | list) and len(value) == 2:
        return from_arrays(value[0], value[1], None, name, part)
    if not (hasattr(value, "__len__") and hasattr(value, "__getitem__")):
        hint = "; give the data set, not its loader" if hasattr(value, "dataset") else ""
        raise DataError(f"{type(value).__name__}: give (images, labels), or a data set that can be indexed{hint}")
    images, labels = _collected(value, name)
    return from_arrays(images, labels, _class_names(value), name, part)


def _collected(value: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return all items of a data set object as two arrays."""
    if not len(value):
        raise DataError(f"{name}: no images in it")
    first, _ = _item(value, 0, name)
    if first.nbytes * len(value) > arrays.MAX_BYTES:
        raise DataError(f"{name}: {len(value):,} images of {first.nbytes:,} bytes: more than fit in memory here")
    again, _ = _item(value, 0, name)
    if not np.array_equal(first, again):
        raise DataError(f"{name}: an item differs each time it is read: take random changes off it")
    items = [_item(value, place, name) for place in range(len(value))]
    if len({image.shape[:2] for image, _ in items}) > 1:
        raise DataError(f"{name}: its images have different sizes; bring them to one first")
    coloured = any(image.ndim == 3 and image.shape[2] == 3 for image, _ in items)
    pictures = [np.dstack([image] * 3) if coloured and image.ndim == 2 else image for image, _ in items]
    return np.stack(pictures), np.array([label for _, label in items])


def _item(value: Any, place: int, name: str) -> tuple[np.ndarray, Any]:
    """Return one item's image as an array [H, W] or [H, W, 3] (a tensor's stays as it is), and its label."""
    item = value[place]
    if isinstance(item, Mapping):
        image = next((item[key] for key in ("image", "img", "pixels") if key in item), None)
        label = next((item[key] for key in ("label", "labels", "target") if key in item), None)
    elif isinstance(item, tuple | list) and len(item) >= 2:
        image, label = item[0], item[1]
    else:
        image = label = None
    if image is None or label is None:
        raise DataError(f"{name}: item {place} is no image with a label, but {type(item).__name__}")
    array = _array(image)
    if hasattr(image, "convert"):  # one of Pillow's
        array = without_colour(np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB")))
    return array, label.item() if hasattr(label, "item") else label


def _class_names(value: Any) -> Sequence[str] | None:
    """Return the names that a data set object, or the one within it, has for its classes."""
    for holder in (value, getattr(value, "dataset", None)):
        if names := getattr(holder, "classes", None):
            return [str(name) for name in names]
        features = getattr(holder, "features", None) or {}
        for key in ("label", "labels"):
            if isinstance(features, Mapping) and (names := getattr(features.get(key), "names", None)):
                return [str(name) for name in names]
    return None


def _array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    try:
        if isinstance(value, list) and value and hasattr(value[0], "convert"):
            value = [np.asarray(picture) for picture in value]
        if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
            value = [tensor.detach().cpu().numpy() for tensor in value]
        return np.asarray(value)
    except ValueError as error:
        raise DataError(f"images of different sizes, or no numbers at all ({error})") from error


def _as_training(other: Dataset, train: Dataset, part: str) -> Dataset:
    """Return a part with training's classes, channels, mean and standard deviation."""
    where = f"{other.name} ({part})"
    labels = arrays.as_labels(np.array(other.classes)[other.labels.numpy()], train.classes, where)
    images = like_training(other.images.numpy(), train.images.shape[1:], where)
    return replace(train, part=part, images=torch.from_numpy(images), labels=torch.from_numpy(labels), notes=())


def _square(images: Dataset, recipe: Recipe) -> Dataset:
    height, width = images.images.shape[2:]
    if recipe.image_size:
        fit = cast(Fit, recipe.image_fit)
        pixels = torch.from_numpy(squared(images.images.numpy(), recipe.image_size, fit))
        made = Preparation(image_size=recipe.image_size, fit=fit)
        return replace(images, images=pixels, preparation=made)
    if height != width:
        raise DataError(
            f"{images.name}: its images are {width}x{height}, not square: image_size brings them to squares"
        )
    return images
