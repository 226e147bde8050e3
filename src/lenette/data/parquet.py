"""Parquet as Hugging Face keeps data sets of pictures: a column of encoded pictures or of lists, and one of labels."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from lenette.data.names import IMAGE_WORDS, LABEL_WORDS, printable
from lenette.data.pictures import decoded
from lenette.errors import DataError

MAX_BYTES = 4 << 30


def read(path: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...] | None]:
    """Return images (uint8 [N, H, W] or [N, H, W, 3], or numbers as they are), labels or None, and class names or None.

    Raises DataError where pyarrow is not installed, the file is damaged, or has no column of images.
    """
    where = printable(path)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(f"{where}: reading parquet needs pyarrow: pip install pyarrow") from error
    try:
        with parquet.ParquetFile(path) as file:
            size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
            if size > MAX_BYTES:
                raise DataError(f"{where}: {size:,} bytes; the most is {MAX_BYTES:,}")
            names = file.schema_arrow.names
            image, label = (_column(names, words) for words in (("image", *IMAGE_WORDS), ("label", *LABEL_WORDS)))
            if image is None:
                raise DataError(f"{where}: no column of images among {', '.join(map(printable, names))}")
            table = file.read(columns=[image, *([label] if label else [])])
            classes = _class_names(file.schema_arrow.metadata, label)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{where}: not readable parquet ({str(error).splitlines()[0]})") from error
    images = [_pixels(cell, f"{where}, row {row}") for row, cell in enumerate(table[image].to_pylist())]
    if not images or any(picture.shape != images[0].shape for picture in images):
        images = _same_shape(images, where)
    labels = np.array(table[label].to_pylist()) if label else None
    return np.stack(images), labels, classes


def _column(names: list[str], words: tuple[str, ...]) -> str | None:
    """Return the first column that is named by a word, the words in order."""
    return next((name for word in words for name in names if name.lower() == word), None)


def _pixels(cell: Any, where: str) -> np.ndarray:
    """Return a cell's picture: an encoded one as Hugging Face's dict(bytes, path) or bytes, or lists of numbers."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(content, bytes):
        return decoded(io.BytesIO(content), where)
    try:
        array = np.asarray(content)
        if array.dtype.kind in "biuf":
            return array
    except ValueError:
        pass
    raise DataError(f"{where}: no picture in it (a picture is stored as bytes or as a list of numbers)")


def _same_shape(images: list[np.ndarray], where: str) -> list[np.ndarray]:
    """Return pictures of one size with three channels where any has three."""
    sizes = {picture.shape[:2] for picture in images}
    if len(sizes) != 1:
        raise DataError(f"{where}: its pictures have {len(sizes)} sizes; save them as a folder and give image_size")
    return [np.dstack([picture] * 3) if picture.ndim == 2 else picture for picture in images]


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> tuple[str, ...] | None:
    """Return the names of the classes that Hugging Face keeps beside the columns, or None."""
    try:
        names = json.loads((metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
        return tuple(printable(name) for name in names)
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
