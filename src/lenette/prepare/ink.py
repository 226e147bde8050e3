"""Ink told from its ground: on paper in uneven light, on ruled lines, within a frame, dim, or cut out tightly."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

# Finding ink needs no more; it keeps a photograph of 48 megapixels from taking seconds.
WORKING_SIDE = 1024
# Grey levels of 255 between ink and ground below which nobody drew anything.
LEAST_CONTRAST = 24
# A speck with less ink than this share of the largest stroke's is dust, and would spoil box and centre.
LEAST_SPECK = 0.02
# Of the picture's contrast: ground that varies more than this along the picture's edge lies in uneven light.
UNEVEN = 0.2
LIGHT_SIDE = 256  # pixels: the light is followed in a picture of this side
EIGHT = np.ones((3, 3), dtype=int)  # neighbours, the diagonal ones too


def find(picture: "Image") -> np.ndarray | None:
    """Return the ink of a picture, float64 [H, W] in 0..1, 0 where there is none; None where there is none at all.

    Ground is what the picture's edge shows most of, after Otsu's threshold; ink is what differs from it. Noise of the
    ground is taken off, full ink is the median of what Otsu's threshold calls ink, and frames, ruled lines and dust go.
    """
    picture = picture.copy()
    picture.thumbnail((WORKING_SIDE, WORKING_SIDE))
    grey = evened(flattened(picture))
    strength = _strength(grey)
    if strength.max() < LEAST_CONTRAST:
        return None
    ink = _levels(strength)
    within = _within_frame(ink)
    if within is not None:
        top, bottom, left, right = within
        strength = _strength(grey[top:bottom, left:right])
        if strength.max() < LEAST_CONTRAST:
            return None
        ink = np.pad(_levels(strength), ((top, len(grey) - bottom), (left, grey.shape[1] - right)))
    return _without_dust(_without_lines(ink))


def flattened(picture: "Image") -> np.ndarray:
    """Return grey levels, float64 [H, W] in 0..255, with what is transparent laid on a ground that shows the ink.

    They are luminance, or the colour that has more than twice its contrast: blue on black is nearly black in luminance.
    """
    if picture.mode.startswith(("I", "F")):
        levels = np.asarray(picture, dtype=np.float64)
        span = levels.max() - levels.min()
        return (levels - levels.min()) * (255 / span if span else 0)
    if not picture.has_transparency_data:
        grey = np.asarray(picture.convert("L"), dtype=np.float64)
        if picture.mode in ("1", "L"):
            return grey
        colours = np.asarray(picture.convert("RGB"), dtype=np.float64).transpose(2, 0, 1)
        spans = [_contrast(colour) for colour in colours]
        return colours[int(np.argmax(spans))] if max(spans) > 2 * _contrast(grey) else grey
    grey, alpha = np.asarray(picture.convert("RGBA").convert("LA"), dtype=np.float64).transpose(2, 0, 1)
    opaque = grey[alpha > 127]
    if not opaque.size:
        return np.zeros(grey.shape)
    low, middle, high = np.percentile(opaque, (2, 50, 98))
    # Where the opaque part has a contrast of its own it is a card with a digit on it; else it is the ink itself.
    ground = middle if high - low > 96 else 255.0 * (middle < 128)
    return ground + (grey - ground) * alpha / 255


def evened(grey: np.ndarray) -> np.ndarray:
    """Return grey levels as in even light: divided by the paper's own, or with the board's own taken off.

    Paper is the picture without dark strokes (a closing), a board without light ones (an opening). Where light is
    uneven, both vary along the picture's edge, and alike; else nothing is done. It is a board where taking that off
    parts ink and ground better.
    """
    from PIL import Image
    from scipy import ndimage

    scale = min(1.0, LIGHT_SIDE / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    small = np.asarray(Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BOX))
    small = ndimage.median_filter(small, 3, mode="nearest")
    kernel = tuple(max(3, side // 4) for side in small.shape)
    # a slope goes on beyond the edge, where a mirror would bend it
    margins = [(min(side - 1, size),) * 2 for side, size in zip(small.shape, kernel, strict=True)]
    inside = tuple(slice(margin, margin + side) for (margin, _), side in zip(margins, small.shape, strict=True))
    wider = np.pad(small, margins, mode="reflect", reflect_type="odd")
    paper, board = ndimage.grey_closing(wider, kernel)[inside], ndimage.grey_opening(wider, kernel)[inside]
    spread = float(np.ptp(np.percentile(edge(paper + board) / 2, (5, 95))))
    if spread < max(UNEVEN * _contrast(small), LEAST_CONTRAST / 2) or edge(paper - board).mean() > UNEVEN * spread:
        return grey
    is_board = _apart(_off_board(small, board)) > _apart(_off_paper(small, paper))
    ground = Image.fromarray(board if is_board else paper).resize(grey.shape[::-1], Image.Resampling.BILINEAR)
    return (_off_board if is_board else _off_paper)(grey, np.asarray(ground, dtype=np.float64))


def _off_paper(grey: np.ndarray, paper: np.ndarray) -> np.ndarray:
    return 255 * np.clip(grey / np.maximum(paper, 1), 0, 1)


def _off_board(grey: np.ndarray, board: np.ndarray) -> np.ndarray:
    return np.clip(grey - board, 0, 255)


def _apart(levels: np.ndarray) -> float:
    """Return how well Otsu's threshold parts the levels: the share of their variance that lies between its classes."""
    if not np.ptp(levels):
        return 0.0
    above = levels > otsu(levels)
    share = above.mean()
    return float(share * (1 - share) * (levels[above].mean() - levels[~above].mean()) ** 2 / levels.var())


def edge(levels: np.ndarray) -> np.ndarray:
    """Return the outermost pixels of [H, W]."""
    return np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])


def otsu(levels: np.ndarray) -> float:
    """Return the threshold that parts two classes best (Otsu 1979, equation 18), over 256 levels."""
    counts, edges = np.histogram(levels, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = below[-1] + counts[-1] - below
    sums = np.cumsum(counts * middles)
    means_apart = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * means_apart**2)])


def _contrast(levels: np.ndarray) -> float:
    return float(np.ptp(np.percentile(levels, (0.1, 99.9))))


def _strength(grey: np.ndarray) -> np.ndarray:
    """Return by how many grey levels each pixel differs from the ground to the ink's side, float64 [H, W]."""
    if not np.ptp(grey):
        return np.zeros(grey.shape)
    threshold = otsu(grey)
    outer = edge(grey)
    light_ground = (outer > threshold).mean() >= 0.5
    ground = float(np.median(outer[outer > threshold] if light_ground else outer[outer <= threshold]))
    return np.clip(ground - grey if light_ground else grey - ground, 0, None)


def _levels(strength: np.ndarray) -> np.ndarray:
    """Return ink in 0..1 for its strength: noise taken off, full ink at 1."""
    inked = strength > otsu(strength)
    # Half of the ground's noise was clipped to 0, so that its 75th percentile is 0.67 standard deviations: take off
    # two.
    noise = min(3 * float(np.percentile(strength[~inked], 75)), float(strength[inked].min()) / 2)
    return np.clip((strength - noise) / (float(np.median(strength[inked])) - noise), 0, 1)


def _within_frame(ink: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return the rows and columns (first, behind the last) of a sheet that lies on another ground, or of a drawn frame.

    A sheet is ink that fills most of its box and leaves something out within; a frame is a thin line around more ink.
    """
    from scipy import ndimage

    parts, _ = ndimage.label(ink > 0.3, EIGHT)
    for part, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if height < 0.5 * ink.shape[0] or width < 0.5 * ink.shape[1]:
            continue
        itself = parts[rows, columns] == part
        inner = ndimage.binary_fill_holes(itself)
        if inner.sum() < 0.85 * height * width:
            continue
        sheet = itself.mean() > 0.6
        others = (parts[rows, columns] > 0) & ~itself & inner
        if not sheet and others.sum() < LEAST_SPECK * itself.sum():
            continue
        border = max(2, round(0.02 * max(ink.shape))) if sheet else _thickness(itself) + 1
        if height > 2 * border + 4 and width > 2 * border + 4:
            return (rows.start + border, rows.stop - border, columns.start + border, columns.stop - border)
    return None


def _thickness(frame: np.ndarray) -> int:
    """Return how thick the sides of a frame [h, w] are, at most."""
    middle_row, middle_column = frame[len(frame) // 2], frame[:, frame.shape[1] // 2]
    runs = [int(np.argmin(line)) for line in (middle_row, middle_row[::-1], middle_column, middle_column[::-1])]
    return max(runs) + 2


def _without_lines(ink: np.ndarray) -> np.ndarray:
    """Take off ruled lines, thin ones from edge to edge, where other ink remains; mend the strokes that cross them."""
    from scipy import ndimage

    for turned in (False, True):
        page = ink.T if turned else ink
        mask = page > 0.1
        long = ndimage.binary_opening(np.pad(mask, ((1, 1), (0, 0))), np.ones((1, max(3, page.shape[1] // 4))))[1:-1]
        covered = ndimage.binary_dilation(long, EIGHT)
        parts, _ = ndimage.label(covered, EIGHT)
        lines = np.zeros_like(covered)
        most = max(3, 0.03 * len(page))
        for part, (rows, columns) in enumerate(ndimage.find_objects(parts), 1):
            itself = parts[rows, columns] == part
            thin = itself.sum(0) <= most + 2  # where a stroke runs along the line both stay
            if columns.start <= 2 and columns.stop >= page.shape[1] - 2 and thin.mean() > 0.4:
                lines[rows, columns] |= itself & thin
        if not lines.any():
            continue
        rest = np.where(lines, 0, page)
        beside = np.flatnonzero((rest > 0.3).any(0))
        if not len(beside) or beside[0] == 0 or beside[-1] == page.shape[1] - 1:
            continue
        tall = int(most) + 4
        mended = ndimage.grey_closing(rest, (tall, 1))
        page = np.where(lines, np.minimum(mended, page), page)
        ink = page.T if turned else page
    return ink


def _without_dust(ink: np.ndarray) -> np.ndarray | None:
    """Return the ink without specks; None where nothing is left."""
    from scipy import ndimage

    strokes, number = ndimage.label(ink > 0.1, EIGHT)
    if not number:
        return None
    amounts = ndimage.sum_labels(ink, strokes, np.arange(number + 1))
    amounts[0] = 0
    return np.where((amounts >= LEAST_SPECK * amounts.max())[strokes] & (strokes > 0), ink, 0)
