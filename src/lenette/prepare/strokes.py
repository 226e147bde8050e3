"""Ink [H, W] brought to the box and the middle of a small square, as MNIST and others were made; digits told apart."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lenette.prepare.ink import EIGHT

Centre = Literal["mass", "box"]


@dataclass(frozen=True)
class Found:
    """One digit's ink, float64 [h, w] in 0..1, and where it lies: left, top, right, bottom, of the picture's 0..1."""

    ink: np.ndarray
    box: tuple[float, float, float, float]


def cropped(ink: np.ndarray) -> np.ndarray:
    """Return the ink cut to where it is."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def fit(ink: np.ndarray, box: int, brightest: bool = True) -> np.ndarray:
    """Scale ink, float64 [h, w], so that its longer side is `box` pixels; float32 in 0..1, its darkest pixel at 1."""
    from PIL import Image

    height, width = ink.shape
    scale = box / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Averaging areas is what scanning does; enlarging needs a slope between pixels.
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    fitted = np.asarray(Image.fromarray(ink.astype(np.float32)).resize(size, method))
    return np.clip(fitted / fitted.max() if brightest else fitted, 0, 1)


def centred(ink: np.ndarray, side: int, by: Centre) -> np.ndarray:
    """Place ink [h, w] in a square uint8 [side, side] so that its centre of mass, or its box, is in the middle."""
    image = np.zeros((side, side), dtype=np.uint8)
    height, width = ink.shape
    if by == "box":
        top, left = (side - height) // 2, (side - width) // 2
    else:
        # In MNIST's images the centre of mass lies at 14.0 on both axes, counting pixels from 0.
        total, middle = ink.sum(), side // 2
        top = middle - round(float(ink.sum(1) @ np.arange(height) / total))
        left = middle - round(float(ink.sum(0) @ np.arange(width) / total))
        top, left = min(max(top, 0), side - height), min(max(left, 0), side - width)
    image[top : top + height, left : left + width] = np.rint(ink * 255)
    return image


def apart(ink: np.ndarray) -> list[Found]:
    """Return the digits in the ink [H, W], in reading order: rows from the top, each from the left.

    Strokes are one digit where one lies above the other: where they share more than half of the narrower one's columns
    and lie in one row. Digits that touch are not parted.
    """
    from scipy import ndimage

    strokes, _ = ndimage.label(ink > 0.1, EIGHT)
    boxes = [[rows.start, rows.stop, columns.start, columns.stop] for rows, columns in ndimage.find_objects(strokes)]
    members = [[part] for part in range(1, len(boxes) + 1)]
    tallest = max(box[1] - box[0] for box in boxes)
    merging = True
    while merging:
        merging = False
        for one in range(len(boxes)):
            for other in range(one + 1, len(boxes)):
                if _are_one(boxes[one], boxes[other], tallest):
                    boxes[one] = _around(boxes[one], boxes.pop(other))
                    members[one] += members.pop(other)
                    merging = True
                    break
            if merging:
                break
    height, width = ink.shape
    found = []
    for place in _reading_order(boxes):
        top, bottom, left, right = boxes[place]
        itself = np.isin(strokes[top:bottom, left:right], members[place])
        box = (left / width, top / height, right / width, bottom / height)
        found.append(Found(np.where(itself, ink[top:bottom, left:right], 0), box))
    return found


def _are_one(one: list[int], other: list[int], tallest: int) -> bool:
    """Say whether two boxes (top, bottom, left, right) are strokes of one digit."""
    shared = min(one[3], other[3]) - max(one[2], other[2])
    if shared <= 0.5 * min(one[3] - one[2], other[3] - other[2]):
        return False
    gap = max(one[0], other[0]) - min(one[1], other[1])
    heights = one[1] - one[0], other[1] - other[0]
    return gap <= 0.25 * max(heights) and (gap < 0 or min(heights) < 0.6 * tallest)


def _around(one: list[int], other: list[int]) -> list[int]:
    return [min(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), max(one[3], other[3])]


def _reading_order(boxes: list[list[int]]) -> list[int]:
    """Return the boxes' places row by row: a row is what overlaps its first box by half a height."""
    left = sorted(range(len(boxes)), key=lambda place: boxes[place][0] + boxes[place][1])
    order: list[int] = []
    while left:
        top, bottom = boxes[left[0]][:2]
        row = [p for p in left if 2 * top <= boxes[p][0] + boxes[p][1] <= 2 * bottom]
        order += sorted(row, key=lambda place: boxes[place][2])
        left = [place for place in left if place not in row]
    return order
