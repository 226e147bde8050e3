"""Folders of pictures as people have them: PART/CLASS/*.png as torchvision's ImageFolder reads it, or CLASS/*.png."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lenette.data import cache
from lenette.data.names import PARTS, printable, visible
from lenette.data.pictures import SUFFIXES, Fit, pixels
from lenette.data.preparation import Preparation
from lenette.data.unsplit import for_testing, words_of_division
from lenette.errors import DataError, nearest
from lenette.text import count as counted

# Pictures that are taken as they are: small ones. Those that are brought to a size may be a camera's.
MAX_PIXELS, MAX_PIXELS_FITTED = 1024 * 1024, 64_000_000
MAX_BYTES = 4 << 30  # of a part's images, all together
MOST_FAULTS = 10

Listing = list[tuple[Path, int]]


@dataclass(frozen=True)
class Folder:
    """A folder of pictures: `places` holds for each part the folder of its class folders.

    Where `split` is true there is one folder of classes for all parts, and each class's pictures are divided.
    """

    root: Path
    places: dict[str, Path]
    split: bool = False
    image_size: int = 0
    fit: Fit = "pad"

    @property
    def name(self) -> str:
        """The name of the data set."""
        return printable(self.root.resolve().name)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that it has."""
        return tuple(self.places)

    @property
    def preparation(self) -> Preparation:
        """How its pictures become images."""
        return Preparation(image_size=self.image_size, fit=self.fit)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes of the first part it has, sorted: a class's label is its place."""
        place = next(iter(self.places.values()))
        found = Counter(printable(folder.name) for folder in visible(place) if folder.is_dir())
        if double := [name for name, number in found.items() if number > 1]:
            raise DataError(f"{printable(place)}: two folders are named '{double[0]}', written in two ways")
        if len(found) < 2:
            raise DataError(
                f"{printable(place)}: {len(found)} class folders; at least 2 are needed, each with its images"
            )
        return tuple(sorted(found))

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about how it was read."""
        notes = []
        if self.split:
            notes.append(words_of_division(self.name))
        for part, place in self.places.items():
            if not self.split and place.name.lower() != {"validation": "val"}.get(part, part):
                notes.append(f"{printable(place.relative_to(self.root))}/ of {self.name} is its {part} part")
        return tuple(notes)

    def read(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Read a part's images, uint8 [N, C, H, W], and labels, int64 [N], class by class in order of the files' names.

        C is 1 where every image shows greys alone, and else 3. Raises DataError, which lists all that is amiss: classes
        that training does not have, files that are no pictures, pictures of different sizes.
        """
        listing, faults = self._listing(part)
        labels = np.array([label for _, label in listing], dtype=np.int64)
        about = (part, str(self.places[part]), self.image_size, self.fit, self.classes)
        key = cache.key(about, [path for path, _ in listing])
        kept = None if faults else cache.get(key)
        if kept is not None and len(kept) == len(labels):
            return kept, labels
        arrays = list(self._arrays((path for path, _ in listing), faults))
        if faults:
            raise DataError(_listed(faults, printable(self.places[part])))
        if not arrays:
            raise DataError(f"{printable(self.places[part])}: no images")
        images = _stacked(arrays)
        cache.put(key, images)
        return images, labels

    def _listing(self, part: str) -> tuple[Listing, list[str]]:
        """Return the part's files with their labels, and what is amiss with its class folders."""
        place, classes, faults, listing = self.places[part], self.classes, [], []
        folders = {printable(folder.name): folder for folder in visible(place) if folder.is_dir()}
        for name, folder in folders.items():
            if name not in classes:
                faults.append(
                    f"{printable(folder)}: class '{name}' is not among training's{nearest(name, classes)} "
                    f"(training's are {', '.join(classes)})"
                )
        for label, name in enumerate(classes):
            files = pictures_below(folders[name]) if name in folders else []
            if part == "train" and not files:
                faults.append(f"{printable(place / name)}: no images of this class")
            listing += [(path, label) for path in (self._of_part(files, part) if self.split else files)]
        return listing, faults

    def _of_part(self, files: list[Path], part: str) -> list[Path]:
        """Return which of one class's files are in the part, by what is in them: twins are on one side."""
        tested = for_testing([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
        return [path for path, test in zip(files, tested.tolist(), strict=True) if test == (part == "test")]

    def _arrays(self, paths: Iterable[Path], faults: list[str]) -> Iterable[np.ndarray]:
        """Yield the pictures that can be read and have the first one's size; say of the others what is amiss."""
        size: tuple[int, ...] | None = None
        num_bytes = 0
        most = MAX_PIXELS_FITTED if self.image_size else MAX_PIXELS
        for path in paths:
            try:
                array = _picture(path, most, self.image_size, self.fit)
            except DataError as error:
                faults.append(printable(error))
                continue
            size = size or array.shape[:2]
            if array.shape[:2] != size:
                faults.append(
                    f"{printable(path)}: {_wide(array.shape)} pixels, where the images before it have {_wide(size)}: "
                    "image_size (--image-size 28) brings all to one size"
                )
                continue
            num_bytes += array.nbytes
            if num_bytes > MAX_BYTES:
                raise DataError(
                    f"{self.name}: its images have more than {MAX_BYTES >> 30} GiB; take a smaller image_size"
                )
            yield array


def survey(root: Path, image_size: int = 0, fit: Fit = "pad") -> Folder:
    """Return what a folder of pictures holds; no picture is read.

    Part folders go by any of their usual names (`names.PART_WORDS`), in any case; they, or the class folders, may lie
    in folders within folders, as zips unpack. Raises DataError where there are neither.
    """
    found = root
    for _ in range(4):
        folders = [path for path in visible(found) if path.is_dir()]
        parts: dict[str, list[Path]] = defaultdict(list)
        for folder in folders:
            inner = _inner(folder)
            if folder.name.lower() in PARTS and any(path.is_dir() for path in visible(inner)):
                parts[PARTS[folder.name.lower()]].append(inner)
        for part, places in parts.items():
            if len(places) > 1:
                named = " and ".join(printable(place) for place in places)
                raise DataError(f"{named} are both its {part} part: merge them, or move one elsewhere")
        if parts:
            order = [part for part in ("train", "validation", "test") if part in parts]
            return Folder(root, {part: parts[part][0] for part in order}, False, image_size, fit)
        if several := [path for path in folders if any(inner.name.lower() in PARTS for inner in visible(path))]:
            if len(folders) > 1:
                named = " and ".join(printable(path) for path in several)
                raise DataError(f"{printable(root)}: holds other data sets; name one of them: {named}")
        elif len([folder for folder in folders if pictures_below(folder, 1)]) > 1:
            return Folder(root, {"train": found, "test": found}, True, image_size, fit)
        if len(folders) != 1 or _pictures_in(found):
            break
        found = folders[0]
    raise DataError(
        f"{printable(root)}: not a data set: neither folders train, val, test of class folders, nor class folders of "
        "pictures, nor MNIST-like IDX files, nor a table (.csv, .npz, .npy, .parquet, .pt) in it"
    )


def _inner(folder: Path) -> Path:
    """Return the folder below that holds more than one thing, where only folders lie in between."""
    for _ in range(3):
        inside = visible(folder)
        if len(inside) != 1 or not inside[0].is_dir() or not any(path.is_dir() for path in visible(inside[0])):
            break
        folder = inside[0]
    return folder


def _pictures_in(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in visible(folder) if path.is_file())


def pictures_below(folder: Path, most: int | None = None) -> list[Path]:
    """Return the files in a folder and in folders of it, in order; the first `most` pictures alone where given."""
    found: list[Path] = []
    for place, _, _ in os.walk(folder):
        if any(part.startswith(".") for part in Path(place).relative_to(folder).parts):
            continue
        files = [path for path in visible(Path(place)) if path.is_file()]
        found += files if most is None else [path for path in files if path.suffix.lower() in SUFFIXES]
        if most is not None and len(found) >= most:
            return found[:most]
    return sorted(found)


def _picture(path: Path, most: int, size: int, fit: Fit) -> np.ndarray:
    known = (*SUFFIXES, ".heic", ".heif")  # of which opening says what they are
    if path.suffix.lower() not in known:
        raise DataError(f"{path}: not a picture of a kind that is read here ({', '.join(SUFFIXES)}); move it elsewhere")
    return pixels(path, most, size, fit)


def read_picture(path: Path) -> np.ndarray:
    """Read a small picture as uint8 [H, W] where it shows greys alone and uint8 [H, W, 3] where it does not."""
    return _picture(path, MAX_PIXELS, 0, "pad")


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    channels = 3 if any(array.ndim == 3 for array in arrays) else 1
    images = np.empty((len(arrays), channels, *arrays[0].shape[:2]), dtype=np.uint8)
    for image, array in zip(images, arrays, strict=True):
        image[:] = array.transpose(2, 0, 1) if array.ndim == 3 else array
    return images


def _listed(faults: list[str], where: str) -> str:
    """Return all that is amiss as one message."""
    if len(faults) == 1:
        return faults[0]
    more = [f"and {len(faults) - MOST_FAULTS:,} more"] if len(faults) > MOST_FAULTS else []
    return "\n  ".join([f"{where}: {counted(len(faults), 'fault')}", *faults[:MOST_FAULTS], *more])


def _wide(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
