"""Any picture of a digit, brought to 28x28 as MNIST was made.

LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition (1998), section III.A: the
ink is size-normalised to fit a 20x20 box with its aspect ratio kept, anti-aliased, and centred in 28x28 by its centre
of mass.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lenette.data.pictures import open_picture
from lenette.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, BOX = 28, 20
# In MNIST's test images the centre of mass lies at 14.0 on both axes, counting pixels from 0 (tests/test_prepare.py).
CENTRE = 14
MAX_PIXELS = 64_000_000
# Finding ink needs no more; it keeps a photograph of 48 megapixels from taking seconds.
WORKING_SIDE = 1024
# Grey levels of 255 between ink and paper below which nobody drew anything.
LEAST_CONTRAST = 24
# A speck with less ink than this share of the largest stroke's is dust, and would spoil box and centre.
LEAST_SPECK = 0.02


def as_mnist(path: str | Path) -> np.ndarray:
    """Return the digit in the picture at `path`, dark on light or light on dark, as MNIST would have it.

    The result is uint8 [28, 28], ink 255 on 0. Raises DataError, which names the file, for a picture that is
    unreadable, blank, or of more than 64 megapixels.
    """
    picture = open_picture(path, MAX_PIXELS)
    picture.thumbnail((WORKING_SIDE, WORKING_SIDE))
    ink = _find_ink(_flatten(picture))
    if ink is None:
        raise DataError(f"{path}: blank: no ink stands out from its ground")
    return _centre(_fit(ink))


def _flatten(picture: "Image") -> np.ndarray:
    """Return grey levels, float64 [H, W] in 0..255, with what is transparent laid on a ground that shows the ink."""
    if picture.mode.startswith(("I", "F")):
        levels = np.asarray(picture, dtype=np.float64)
        span = levels.max() - levels.min()
        return (levels - levels.min()) * (255 / span if span else 0)
    if not picture.has_transparency_data:
        return np.asarray(picture.convert("L"), dtype=np.float64)
    grey, alpha = np.asarray(picture.convert("RGBA").convert("LA"), dtype=np.float64).transpose(2, 0, 1)
    opaque = grey[alpha > 127]
    if not opaque.size:
        return np.zeros(grey.shape)
    low, middle, high = np.percentile(opaque, (2, 50, 98))
    # Where the opaque part has a contrast of its own it is a card with a digit on it; else it is the ink itself.
    ground = middle if high - low > 96 else 255.0 * (middle < 128)
    return ground + (grey - ground) * alpha / 255


def _find_ink(grey: np.ndarray) -> np.ndarray | None:
    """Return the ink, float64 in 0..1, cropped to where it is, or None where there is none.

    The ground is what the picture's edge shows; ink is whatever differs from it to the side that differs more. Noise of
    the ground is taken off, and full ink is the median of what Otsu's threshold calls ink.
    """
    from scipy import ndimage

    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ground = float(np.median(edge))
    darker, lighter = ground - np.percentile(grey, 0.1), np.percentile(grey, 99.9) - ground
    strength = np.clip(ground - grey if darker >= lighter else grey - ground, 0, None)
    if strength.max() < LEAST_CONTRAST:
        return None
    inked = strength > _otsu(strength)
    # Half of the ground's noise was clipped to 0, so that its 75th percentile is 0.67 standard deviations: take off
    # two.
    noise = min(3 * float(np.percentile(strength[~inked], 75)), float(strength[inked].min()) / 2)
    ink = np.clip((strength - noise) / (float(np.median(strength[inked])) - noise), 0, 1)

    strokes, num_strokes = ndimage.label(ink > 0.1, structure=np.ones((3, 3)))
    amounts = ndimage.sum_labels(ink, strokes, np.arange(num_strokes + 1))
    amounts[0] = 0
    kept = (amounts >= LEAST_SPECK * amounts.max())[strokes] & (strokes > 0)
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    return np.where(kept, ink, 0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _otsu(strength: np.ndarray) -> float:
    """Return the threshold that parts two classes best (Otsu 1979, equation 18), over 256 levels."""
    counts, edges = np.histogram(strength, bins=256)
    levels = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = below[-1] + counts[-1] - below
    sums = np.cumsum(counts * levels)
    means_apart = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * means_apart**2)])


def _fit(ink: np.ndarray) -> np.ndarray:
    """Scale ink, float64 [h, w], so that its longer side is 20 pixels; float32 with its darkest pixel at 1."""
    from PIL import Image

    height, width = ink.shape
    scale = BOX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Averaging areas is what scanning does; enlarging needs a slope between pixels.
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    fitted = np.asarray(Image.fromarray(ink.astype(np.float32)).resize(size, method))
    return np.clip(fitted / fitted.max(), 0, 1)


def _centre(ink: np.ndarray) -> np.ndarray:
    """Place ink [h, w] in 28x28 so that its centre of mass is nearest to the middle."""
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    total = ink.sum()
    height, width = ink.shape
    top = CENTRE - round(float(ink.sum(1) @ np.arange(height) / total))
    left = CENTRE - round(float(ink.sum(0) @ np.arange(width) / total))
    top, left = min(max(top, 0), SIDE - height), min(max(left, 0), SIDE - width)
    image[top : top + height, left : left + width] = np.rint(ink * 255)
    return image
