"""IDX files of the user's own, under any of the names that programs give them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lenette.data import idx
from lenette.data.names import part_of, printable, role_of, visible, words
from lenette.data.preparation import Preparation, measured
from lenette.errors import DataError

Files = dict[tuple[str, str], Path]


@dataclass(frozen=True)
class OwnIdx:
    """IDX files in a folder; classes are 0 up to the highest training label."""

    path: Path
    files: Files

    @property
    def name(self) -> str:
        """The name of the data set."""
        return printable(self.path.resolve().name)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of which there are images."""
        return tuple(part for part in ("train", "validation", "test") if (part, "images") in self.files)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The numbers up to the highest label of the first part."""
        return tuple(str(label) for label in range(int(self._labels(self.parts[0]).max()) + 1))

    @property
    def preparation(self) -> Preparation:
        """How its images were made, measured on those of the first part."""
        return measured(idx.read(self.files[self.parts[0], "images"], "images")[:, None])

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about how it was read: nothing."""
        return ()

    def read(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a part's images, uint8 [N, 1, H, W], and labels, int64 [N]; DataError for other labels."""
        path, labels_path = self.files[part, "images"], self.files.get((part, "labels"))
        images, labels = idx.read(path, "images"), self._labels(part).astype(np.int64)
        if len(images) != len(labels):
            raise DataError(f"{path} holds {len(images):,} images, and {labels_path} {len(labels):,} labels")
        if labels.max() >= len(self.classes):
            raise DataError(
                f"{labels_path}: label {labels.max()} is out of training's range 0..{len(self.classes) - 1}"
            )
        return images[:, None], labels

    def _labels(self, part: str) -> np.ndarray:
        path = self.files.get((part, "labels"))
        if path is None:
            raise DataError(f"{self.files[part, 'images']}: its labels are missing beside it")
        return idx.read(path, "labels")


def find(folder: Path) -> Files:
    """Return the IDX files in a folder by part and role, each also in a folder of its own name, as 7-Zip unpacks.

    Raises DataError where two files would be the same, as with several data sets in one folder.
    """
    found: Files = {}
    for path in (file for place in visible(folder) for file in _itself(place)):
        part, role = part_of(path.name), role_of(path.name)
        if part is None or role is None or not _is_named_idx(path.name):
            continue
        other = found.get((part, role))
        if other is not None and _plain(other) != _plain(path):
            raise DataError(
                f"{folder}: both {other.name} and {path.name} would be its {part} {role}: name a set's folder"
            )
        found[part, role] = path
    return found if any(role == "images" for _, role in found) else {}


def _itself(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not _is_named_idx(place.name):
        return []
    return [path for path in visible(place) if path.is_file() and _plain(path) == _plain(place)]


def _is_named_idx(name: str) -> bool:
    return bool({"idx1", "idx3", "idx"} & set(words(name)))


def _plain(path: Path) -> list[str]:
    """Return what is the same in all forms of a file's name."""
    return [word for word in words(path.name) if word != "gz"]
