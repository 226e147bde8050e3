"""Any picture, made ready as the images that a network was trained on (see `data.Preparation`).

"strokes" is what LeCun, Bottou, Bengio and Haffner did for MNIST (Gradient-based learning applied to document
recognition, 1998, section III.A): the ink is size-normalised to fit a 20x20 box with its aspect ratio kept,
anti-aliased, and centred in 28x28 by its centre of mass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lenette.data.pictures import edge_median, fitted, open_picture, pixels
from lenette.data.preparation import MNIST, Preparation
from lenette.errors import DataError
from lenette.prepare import ink, strokes

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 64_000_000
SIDE = 28
# Measured on MNIST's 60,000 training images (tests/test_prepare.py): a wider or a thicker one is hardly a digit.
WIDEST = 2.3  # width of a digit's box by its height
THICKEST = 0.28  # half of its thickest stroke by its longer side
MOST_HOLES = 4
MOST_DIGITS = 100


@dataclass(frozen=True)
class Seen:
    """What a network sees of a picture: `image` uint8 [C, H, W]; where it lay in it (left, top, right, bottom, each
    0..1, None for all of it); and what to know about it, in sentences."""

    image: np.ndarray
    box: tuple[float, float, float, float] | None = None
    notes: tuple[str, ...] = ()


def ready(path: str | Path, preparation: Preparation, shape: Sequence[int]) -> np.ndarray:
    """Return the picture at `path` as uint8 [C, H, W], of that shape, made ready as the preparation says.

    Raises DataError, which names the file, for a picture that is unreadable, blank, or of more than 64 megapixels.
    """
    return look(path, preparation, shape).image


def look(path: str | Path, preparation: Preparation, shape: Sequence[int]) -> Seen:
    """Return what `ready` does, with what there is to say about it.

    A picture that has the training images' size and looks as they do is taken as it is.
    """
    if preparation.kind == "pictures":
        return _whole_picture(path, preparation, shape)
    picture = open_picture(path, MAX_PIXELS)
    as_it_is = _as_it_is(picture, preparation, shape)
    if as_it_is is not None:
        return Seen(_shaped(as_it_is, shape))
    if preparation.kind == "object":
        return Seen(_shaped(_object(picture, preparation, shape[-1], str(path)), shape))
    found = _ink(picture, path)
    image = _made(strokes.cropped(found), preparation, shape[-1])
    return Seen(_shaped(image, shape), None, _doubts(found))


def split(path: str | Path, preparation: Preparation, shape: Sequence[int]) -> list[Seen]:
    """Return each digit in the picture at `path`, in reading order, with its box.

    Raises DataError as `ready` does, and where the preparation is not of strokes, or there are more than MOST_DIGITS.
    """
    if preparation.kind != "strokes":
        raise DataError(
            f"{path}: only pictures of digits or letters can be split, and the network saw {preparation.words}"
        )
    found = strokes.apart(_ink(open_picture(path, MAX_PIXELS), path))
    if len(found) > MOST_DIGITS:
        raise DataError(f"{path}: {len(found)} separate strokes; a picture is split into {MOST_DIGITS} digits at most")
    return [
        Seen(_shaped(_made(one.ink, preparation, shape[-1]), shape), one.box, _unlike(strokes.cropped(one.ink)))
        for one in found
    ]


def as_mnist(path: str | Path) -> np.ndarray:
    """Return the digit in the picture at `path`, dark on light or light on dark, as MNIST would have it.

    The result is uint8 [28, 28], ink 255 on 0. Raises DataError, which names the file, for a picture that is
    unreadable, blank, or of more than 64 megapixels.
    """
    return _made(strokes.cropped(_ink(open_picture(path, MAX_PIXELS), path)), MNIST, SIDE)


def _ink(picture: "Image", path: str | Path) -> np.ndarray:
    found = ink.find(picture)
    if found is None:
        raise DataError(f"{path}: blank: no ink stands out from its ground")
    return found


def _made(found: np.ndarray, preparation: Preparation, side: int) -> np.ndarray:
    return strokes.centred(strokes.fit(found, min(preparation.box, side)), side, preparation.centre)


def _shaped(image: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return grey [H, W] or colour [H, W, 3] as [C, H, W]: grey in three channels where the shape has them."""
    image = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    return np.ascontiguousarray(np.broadcast_to(image, (shape[0], *image.shape[1:])))


def _whole_picture(path: str | Path, preparation: Preparation, shape: Sequence[int]) -> Seen:
    from PIL import Image

    array = pixels(path, MAX_PIXELS)
    notes = []
    if array.ndim == 3 and shape[0] == 1:
        array = np.asarray(Image.fromarray(array).convert("L"))
        notes.append("it is coloured, and the training images are grey: its colours were taken away")
    if array.shape[:2] != tuple(shape[1:]):
        if not preparation.image_size:
            notes.append(
                f"it has {array.shape[1]}x{array.shape[0]} pixels, and the training images {shape[2]}x{shape[1]}: "
                "it was brought to their size, which may not be how they were made"
            )
        array = np.asarray(fitted(Image.fromarray(array), shape[-1], preparation.fit))
    return Seen(_shaped(array, shape), None, tuple(notes))


def _as_it_is(picture: "Image", preparation: Preparation, shape: Sequence[int]) -> np.ndarray | None:
    """Return uint8 [H, W] of a grey picture that already looks as the training images do, else None."""
    if (picture.height, picture.width) != tuple(shape[1:]) or picture.mode.startswith(("I", "F")):
        return None
    if picture.has_transparency_data:
        return None
    colours = np.asarray(picture.convert("RGB"))
    grey = colours[..., 0]
    if (colours != grey[..., None]).any():
        return None
    if preparation.kind == "object":
        return grey if _corners(grey).min() < 128 else 255 - grey
    rows, columns = np.flatnonzero(grey.any(1)), np.flatnonzero(grey.any(0))
    if not len(rows) or edge_median(grey)[0] > 0:
        return None
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    middles = [grey.sum(axis) @ np.arange(grey.shape[1 - axis]) / grey.sum(dtype=np.float64) for axis in (0, 1)]
    near = all(abs(middle - shape[-1] / 2) <= 3 for middle in middles)
    return grey if near and preparation.box - 4 <= longer <= preparation.box + 2 else None


def _corners(grey: np.ndarray) -> np.ndarray:
    """Return the median of each corner's four pixels."""
    return np.array(
        [np.median(grey[rows, columns]) for rows in (np.s_[:2], np.s_[-2:]) for columns in (np.s_[:2], np.s_[-2:])]
    )


def _object(picture: "Image", preparation: Preparation, side: int, name: str) -> np.ndarray:
    """Return what stands out from the corners' colour, its own greys light on black, fitted into the box."""
    grey = ink.flattened(picture)
    ground = float(np.median(_corners(grey)))
    level = 255 - grey if ground > 127 else grey
    ground = 255 - ground if ground > 127 else ground
    apart = np.abs(level - ground)
    if apart.max() < ink.LEAST_CONTRAST:
        raise DataError(f"{name}: blank: nothing stands out from its ground")
    stands_out = apart > max(0.1 * apart.max(), 8)
    rows, columns = np.flatnonzero(stands_out.mean(1) > 0.005), np.flatnonzero(stands_out.mean(0) > 0.005)
    if not len(rows) or not len(columns):
        raise DataError(f"{name}: blank: nothing stands out from its ground")
    found = np.clip(level - ground, 0, None)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255
    return strokes.centred(strokes.fit(found, min(preparation.box, side), brightest=False), side, "box")


def _doubts(found: np.ndarray) -> tuple[str, ...]:
    """Say where ink [H, W] isn't one digit."""
    number = len(strokes.apart(found))
    if number > MOST_DIGITS:
        return (f"{number} separate strokes: this is no digit",)
    if number > 1:
        return (f"{number} digits, it seems, that were taken as one: --split answers each",)
    return _unlike(strokes.cropped(found))


def _unlike(found: np.ndarray) -> tuple[str, ...]:
    """Say where the ink [h, w] of one digit is unlike any."""
    from scipy import ndimage

    height, width = found.shape
    if width > WIDEST * height:
        return ("wider than any digit: two that touch, or none",)
    thickest = ndimage.distance_transform_edt(np.pad(found > 0.5, 1)).max()
    if thickest > THICKEST * max(height, width) and min(height, width) > 0.4 * max(height, width):
        return ("a filled shape and no strokes: hardly a digit",)
    gaps, _ = ndimage.label(np.pad(found <= 0.5, 1, constant_values=True))
    if (np.bincount(gaps.ravel())[2:] > 0.002 * found.size).sum() > MOST_HOLES:
        return ("strokes with more holes than any digit has: noise, or a pattern",)
    return ()
