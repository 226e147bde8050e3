"""Arrays of any making, brought to what a Dataset holds: images uint8 [N, C, H, W] and labels with class names."""

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np

from lenette.data.names import printable
from lenette.errors import DataError

MAX_BYTES = 4 << 30  # of a part's images, all together
MAX_CLASSES = 10_000


def as_images(array: np.ndarray, where: str) -> np.ndarray:
    """Return images uint8 [N, C, H, W], contiguous, for [N, H, W], [N, H, W, C], [N, C, H, W] or rows [N, C*H*H].

    C is 1 or 3. Numbers are grey levels 0 to 255, or fractions of 255 where none exceeds 1 and they are no whole
    numbers. Raises DataError, which begins with `where`, for other shapes and numbers.
    """
    array = _levels(np.asarray(array), where)
    shape = array.shape
    if array.ndim == 2:
        channels = next((c for c in (1, 3) if shape[1] % c == 0 and isqrt(shape[1] // c) ** 2 * c == shape[1]), None)
        if channels is None:
            raise DataError(f"{where}: {shape[1]} numbers an image; a square grey or coloured one has another number")
        side = isqrt(shape[1] // channels)
        array = array.reshape(len(array), channels, side, side)
    elif array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or 0 in array.shape:
        raise DataError(f"{where}: an array of {list(shape)}; images are [N, H, W], [N, H, W, 3] or [N, 3, H, W]")
    return np.ascontiguousarray(array)


def _levels(array: np.ndarray, where: str) -> np.ndarray:
    """Return grey levels uint8 for numbers of any type."""
    if array.nbytes > MAX_BYTES:
        raise DataError(f"{where}: {array.nbytes:,} bytes; the most is {MAX_BYTES:,}")
    if array.dtype == np.uint8 or not array.size:
        return array.astype(np.uint8)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "iuf":
        raise DataError(f"{where}: an array of {array.dtype}, where images are numbers")
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # NaN too
        raise DataError(
            f"{where}: numbers from {low:g} to {high:g}; images are 0 to 255, or 0 to 1: leave normalising to lenette"
        )
    if array.dtype.kind == "f":
        whole = (array == np.rint(array)).all()
        if high <= 1 and not whole:
            return np.rint(array * np.asarray(255, array.dtype)).astype(np.uint8)
        if not whole:
            raise DataError(f"{where}: fractions up to {high:g}; images are whole numbers 0 to 255, or 0 to 1")
    return array.astype(np.uint8)


def as_names(labels: np.ndarray | Sequence[Any], where: str) -> np.ndarray:
    """Return a label for each image as whole numbers int64 [N], or else as names, an array of str [N].

    Takes whole numbers of any type, [N] or [N, 1], one-hot rows [N, classes], and text. Raises DataError for others.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if (
        array.ndim == 2
        and array.dtype.kind in "biuf"
        and ((array == 0) | (array == 1)).all()
        and (array.sum(1) == 1).all()
    ):
        array = array.argmax(1)
    if array.ndim != 1 or not len(array):
        raise DataError(f"{where}: labels of {list(array.shape)}; they are [N], or one-hot rows [N, classes]")
    if array.dtype.kind in "SU":
        text = np.char.decode(array, "utf-8", "backslashreplace") if array.dtype.kind == "S" else array
        numeric = _whole(text)
        return numeric if numeric is not None else np.array([printable(name) for name in text.tolist()])
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all() or (array != np.rint(array)).any():
        raise DataError(f"{where}: labels are whole numbers or names, not {array.dtype} such as {array.flat[0]!r}")
    return array.astype(np.int64)


def _whole(text: np.ndarray) -> np.ndarray | None:
    """Return int64 where every text is a whole number, "5" or "5.0", else None."""
    try:
        numbers = text.astype(np.float64)
    except ValueError:
        return None
    return numbers.astype(np.int64) if (np.abs(numbers) < 1e9).all() and (numbers == np.rint(numbers)).all() else None


def class_names(names: np.ndarray, where: str) -> tuple[str, ...]:
    """Return the classes of training labels as `as_names` gives them: in order, a whole number's name its digits."""
    found = [str(name) for name in np.unique(names)]
    if len(found) < 2:
        raise DataError(f"{where}: {len(found)} class; at least 2 are needed")
    if len(found) > MAX_CLASSES:
        raise DataError(f"{where}: {len(found):,} different labels; the most is {MAX_CLASSES:,}")
    return tuple(found)


def as_labels(names: np.ndarray, classes: Sequence[str], where: str) -> np.ndarray:
    """Return int64 [N], the place of each name in `classes`; raises DataError for names that are not there."""
    unique, inverse = np.unique(names, return_inverse=True)
    places = {name: place for place, name in enumerate(classes)}
    if unknown := [str(name) for name in unique if str(name) not in places]:
        raise DataError(
            f"{where}: {'class' if len(unknown) == 1 else 'classes'} {', '.join(map(repr, unknown[:10]))} "
            f"not among training's ({', '.join(classes)})"
        )
    return np.array([places[str(name)] for name in unique], dtype=np.int64)[inverse]
