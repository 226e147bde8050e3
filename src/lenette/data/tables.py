"""Data sets in tables: CSV, NumPy's .npz and .npy, parquet, and torchvision's old training.pt, one or several files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lenette.data import arrays, csv, numpys, parquet
from lenette.data.names import part_of, printable, role_of, visible
from lenette.data.preparation import Preparation, measured
from lenette.data.unsplit import divided, words_of_division
from lenette.errors import DataError

SUFFIXES = (".csv", ".csv.gz", ".npz", ".npy", ".parquet", ".pt")
MAX_BYTES = 4 << 30  # of a file
ALL = "all"  # the rows of a table that names no part


@dataclass(frozen=True)
class Rows:
    """Images uint8 [N, C, H, W] of a part, with labels (int64, or names) or None; class names where they were kept."""

    images: np.ndarray
    labels: np.ndarray | None
    classes: tuple[str, ...] | None = None
    ids: np.ndarray | None = None
    id_name: str = ""


@dataclass(frozen=True)
class Table:
    """The tables at a path, a file or a folder of files."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the data set."""
        path = self.path.resolve()
        return printable(path.name if path.is_dir() else re.sub(r"\.(csv\.gz|\w+)$", "", path.name))

    @cached_property
    def rows(self) -> dict[str, Rows]:
        """What the tables hold, for each part, or for "all" where they name none."""
        rows = read(self.path)
        return {part: rows[part] for part in ("train", "validation", "test", ALL) if part in rows}

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The parts that have labels; a single table without a part's name has a training and a test part."""
        named = tuple(part for part, rows in self.rows.items() if part != ALL and rows.labels is not None)
        if not named and ALL in self.rows and self.rows[ALL].labels is not None:
            return ("train", "test")
        if not named:
            raise DataError(f"{printable(self.path)}: images without labels: they can be predicted, not trained on")
        return named

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names that its file keeps, or else the labels of the first part it has, in order."""
        rows = self._labelled(self.parts[0])
        return rows.classes or arrays.class_names(rows.labels, printable(self.path))  # type: ignore[arg-type]

    @property
    def preparation(self) -> Preparation:
        """How its images were made, measured on those of the first part."""
        return measured(self._labelled(self.parts[0]).images)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know about how it was read."""
        return (words_of_division(self.name),) if ALL in self.rows and "train" not in self.rows else ()

    def read(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a part's images, uint8 [N, C, H, W], and labels, int64 [N], in the tables' order.

        Raises DataError for labels that training does not have.
        """
        rows = self._labelled(part)
        where = f"{printable(self.path)} ({part})"
        names = rows.labels
        if rows.classes is not None and names is not None and names.dtype.kind == "i":
            if names.min() < 0 or names.max() >= len(rows.classes):
                raise DataError(f"{where}: label {names.max()} has no name among {', '.join(rows.classes)}")
            names = np.array(rows.classes)[names]
        return rows.images, arrays.as_labels(names, self.classes, where)  # type: ignore[arg-type]

    def _labelled(self, part: str) -> Rows:
        if part in self.rows:
            return self.rows[part]
        rows = self.rows[ALL]
        assert rows.labels is not None
        chosen = divided(rows.images, rows.labels, part)
        return replace(rows, images=rows.images[chosen], labels=rows.labels[chosen])


def to_predict(path: str | Path, shape: Sequence[int]) -> Rows:
    """Return the images of a table, uint8 [N, C, H, W] of that shape, with their ids where it has them.

    Of several parts it is the test part. Raises DataError for images of another shape.
    """
    rows = read(Path(path))
    chosen = rows.get("test") or rows.get(ALL) or next(iter(rows.values()))
    if chosen.images.shape[1:] != tuple(shape):
        raise DataError(
            f"{printable(path)}: images of {list(chosen.images.shape[1:])}; the network takes {list(shape)}"
        )
    return chosen


def submission(rows: Rows, answers: Sequence[str]) -> str:
    """Return the text of Kaggle's submission.csv: a line for each image, with its id, or its number from 1."""
    return csv.submission(rows.ids, rows.id_name, answers)


def is_table(path: Path) -> bool:
    """Tell whether the path is a table, or a folder that holds one."""
    return path.is_file() or bool(_files(path))


def _files(folder: Path) -> list[Path]:
    """Return the tables in a folder, or in the only folder in it, and so on; Hugging Face's lie in data/."""
    for _ in range(4):
        files = [path for path in visible(folder) if path.is_file() and path.name.lower().endswith(SUFFIXES)]
        files = [path for path in files if "submission" not in path.name.lower()]
        folders = [path for path in visible(folder) if path.is_dir()]
        if files or len(folders) != 1:
            return files
        folder = folders[0]
    return []


def read(path: Path) -> dict[str, Rows]:
    """Return what the tables at a path hold, for each part that they name, else for "all".

    Raises DataError, which names the file, where one is damaged or of no known kind, or where images and labels are not
    as many.
    """
    files = [path] if path.is_file() else _files(path)
    found: dict[str, list[Rows]] = {}
    loose: dict[tuple[str, str], np.ndarray] = {}
    for file in files:
        if file.stat().st_size > MAX_BYTES:
            raise DataError(f"{printable(file)}: {file.stat().st_size:,} bytes; the most is {MAX_BYTES:,}")
        suffix = file.name.lower().removesuffix(".gz").rpartition(".")[2]
        part = part_of(file.name.rpartition(".")[0]) or ALL
        if suffix in ("npz", "npy"):
            _sort_in(numpys.read(file), file, loose)
        elif suffix == "csv":
            found.setdefault(part, []).append(_csv(file))
        elif suffix == "parquet":
            found.setdefault(part, []).append(_parquet(file))
        elif suffix == "pt":
            found.setdefault(part, []).append(_torch(file))
        else:
            raise DataError(f"{printable(file)}: not a table of a kind that is read here ({', '.join(SUFFIXES)})")
    for part in {part for part, _ in loose}:
        found.setdefault(part, []).append(_paired(loose, part, printable(path)))
    if not found:
        raise DataError(f"{printable(path)}: no table with images in it")
    return {part: _joined(rows, printable(path)) for part, rows in found.items()}


def _csv(file: Path) -> Rows:
    table = csv.read(file)
    where = printable(file)
    labels = None if table.labels is None else arrays.as_names(table.labels, where)
    return Rows(arrays.as_images(table.images, where), labels, None, table.ids, table.id_name)


def _parquet(file: Path) -> Rows:
    images, labels, classes = parquet.read(file)
    where = printable(file)
    names = None if labels is None else arrays.as_names(labels, where)
    return _whole(Rows(arrays.as_images(images, where), names, classes), where)


def _torch(file: Path) -> Rows:
    """Read what torchvision kept before version 0.10: (images uint8 [N, H, W], labels int64 [N])."""
    import torch

    where = printable(file)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch answers damaged files with whatever it ran into
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{where}: not a readable pair of tensors ({why})") from error
    if not (
        isinstance(content, tuple | list)
        and len(content) >= 2
        and all(isinstance(item, torch.Tensor) for item in content[:2])
    ):
        raise DataError(f"{where}: not a pair of tensors, images and labels, as torchvision's training.pt is")
    images, labels = (item.detach().numpy() for item in content[:2])
    return _whole(Rows(arrays.as_images(images, where), arrays.as_names(labels, where)), where)


def _sort_in(content: dict[str, np.ndarray], file: Path, loose: dict[tuple[str, str], np.ndarray]) -> None:
    """Put arrays under their part and role, which their own names tell, or else the file's."""
    stem = file.name.rpartition(".")[0]
    for name, array in content.items():
        role = role_of(name) or role_of(stem)
        if role is None:
            continue
        key = (part_of(name) or part_of(stem) or ALL, role)
        if key in loose:
            raise DataError(
                f"{printable(file)}: '{printable(name or stem)}' would be the {key[0]} {role} a second time"
            )
        loose[key] = array
    if not any(role_of(name) or role_of(stem) for name in content):
        held = ", ".join(printable(name) or "one array" for name in content)
        raise DataError(
            f"{printable(file)}: holds {held}; images are named "
            "x_train, train_images, images and so on, labels y_train, train_labels, labels"
        )


def _paired(loose: dict[tuple[str, str], np.ndarray], part: str, where: str) -> Rows:
    if (part, "images") not in loose:
        raise DataError(f"{where}: labels of its {part} part, and no images")
    where = f"{where} ({part})"
    images = arrays.as_images(loose[part, "images"], where)
    labels = loose.get((part, "labels"))
    return _whole(Rows(images, None if labels is None else arrays.as_names(labels, where)), where)


def _whole(rows: Rows, where: str) -> Rows:
    if rows.labels is not None and len(rows.labels) != len(rows.images):
        raise DataError(f"{where}: {len(rows.images):,} images and {len(rows.labels):,} labels")
    return rows


def _joined(parts: list[Rows], where: str) -> Rows:
    """Return the rows of several files of one part, one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    alike = {(rows.images.shape[1:], rows.labels is None, rows.classes, rows.id_name) for rows in parts}
    if len(alike) != 1:
        raise DataError(f"{where}: several tables of one part that are not alike; name one of them")
    labels = (
        None if first.labels is None else np.concatenate([rows.labels for rows in parts if rows.labels is not None])
    )
    ids = None if first.ids is None else np.concatenate([rows.ids for rows in parts if rows.ids is not None])
    return replace(first, images=np.concatenate([rows.images for rows in parts]), labels=labels, ids=ids)
