"""Image folders: {train,val,test}/CLASS/*.png, as torchvision's ImageFolder reads them."""

from pathlib import Path

import numpy as np
import torch

from lenette.data.pictures import open_picture
from lenette.errors import DataError, nearest

FOLDERS = {"train": "train", "validation": "val", "test": "test"}
JUNK = ("Thumbs.db", "desktop.ini")  # what Windows leaves in folders of pictures
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
# A data set of small pictures; a larger one is surely a mistake, and 28x28 is where lenette is at home.
MAX_PIXELS = 1024 * 1024


def parts(root: Path) -> tuple[str, ...]:
    """Return the parts for which `root` has a folder; raises DataError where there is no "train"."""
    found = tuple(part for part, folder in FOLDERS.items() if (root / folder).is_dir())
    if "train" not in found:
        raise DataError(f"{root}: not a data set: neither a folder 'train' of classes nor MNIST-like IDX files in it")
    return found


def class_names(root: Path) -> tuple[str, ...]:
    """Return the names of the folders in `root`/train, sorted: a class's label is its place."""
    names = tuple(sorted(folder.name for folder in _visible(root / "train") if folder.is_dir()))
    if len(names) < 2:
        raise DataError(f"{root / 'train'}: {len(names)} class folders; at least 2 are needed, each with its images")
    return names


def read(
    root: Path, part: str, classes: tuple[str, ...], like: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read a part's images, uint8 [N, C, H, W], and labels, int64 [N], class by class in order of the files' names.

    C is 1 where every image is grey, and else 3; size and channels must be those of the training images `like`, where
    given. Raises DataError, which names the file, for a class that training doesn't have, a file that is no picture,
    and pictures of different sizes.
    """
    folder = root / FOLDERS[part]
    for found in _visible(folder):
        if found.is_dir() and found.name not in classes:
            raise DataError(f"{found}: class '{found.name}' is not among training's{nearest(found.name, classes)}")
    arrays: list[np.ndarray] = []
    labels: list[int] = []
    size: tuple[int, ...] | None = None if like is None else tuple(like.shape[2:])
    for label, name in enumerate(classes):
        paths = _visible(folder / name) if (folder / name).is_dir() else []
        if part == "train" and not paths:
            raise DataError(f"{folder / name}: no images of this class")
        for path in paths:
            array = read_picture(path)
            size = size or array.shape[:2]
            if array.shape[:2] != size:
                raise DataError(f"{path}: {_wide(array.shape)} pixels, where the images before it have {_wide(size)}")
            arrays.append(array)
            labels.append(label)
    if not arrays:
        raise DataError(f"{folder}: no images")

    coloured = [array.ndim == 3 for array in arrays]
    if like is not None and like.shape[1] == 1 and any(coloured):
        raise DataError(f"{folder}: holds coloured images, where training's are all grey")
    channels = 3 if any(coloured) or (like is not None and like.shape[1] == 3) else 1
    images = np.empty((len(arrays), channels, *arrays[0].shape[:2]), dtype=np.uint8)
    for image, array in zip(images, arrays, strict=True):
        image[:] = array.transpose(2, 0, 1) if array.ndim == 3 else array
    return torch.from_numpy(images), torch.tensor(labels, dtype=torch.int64)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in JUNK)


def _wide(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as uint8 [H, W] where it is grey and uint8 [H, W, 3] where it is not."""
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: not a picture of a kind that is read here ({', '.join(SUFFIXES)}); move it elsewhere")
    image = open_picture(path, MAX_PIXELS)
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{path}: more than 8 bits a pixel (mode {image.mode}); save it with 8")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise DataError(f"{path}: parts of it are transparent; flatten it onto its background")
    return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))
