"""Pictures of things that are no digits, made up: letters in print, clothes, noise, and blank sheets.

They stand in for EMNIST's letters and Fashion-MNIST's clothes, so that whoever has neither can measure the same.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

LETTERS = "ACEFGHJKMNPRTUVWXYacdefhkmnprtuvwxy"  # without those that are written as digits are: O, I, l, S, Z, b, q ...
FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold", "STIXGeneral", "STIXGeneralItalic", "cmss10")
SIDE = 84


def letter(dice: np.random.Generator) -> Image.Image:
    """Return a printed letter, dark on white, turned by up to 15 degrees."""
    sheet = Image.new("L", (SIDE, SIDE), 255)
    font = _font(str(dice.choice(FONTS)), int(dice.integers(44, 60)))
    ImageDraw.Draw(sheet).text((SIDE / 2, SIDE / 2), str(dice.choice(list(LETTERS))), fill=0, font=font, anchor="mm")
    return sheet.rotate(float(dice.uniform(-15, 15)), Image.Resampling.BICUBIC, fillcolor=255)


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name}.ttf"), size)


# Outlines of clothes, in shares of the sheet.
CLOTHES = {
    "shirt": [(0.1, 0.3), (0.35, 0.1), (0.65, 0.1), (0.9, 0.3), (0.78, 0.45), (0.7, 0.36), (0.7, 0.9), (0.3, 0.9),
              (0.3, 0.36), (0.22, 0.45)],
    "trousers": [(0.32, 0.1), (0.68, 0.1), (0.75, 0.9), (0.58, 0.9), (0.5, 0.35), (0.42, 0.9), (0.25, 0.9)],
    "dress": [(0.42, 0.1), (0.58, 0.1), (0.56, 0.4), (0.75, 0.9), (0.25, 0.9), (0.44, 0.4)],
    "shoe": [(0.1, 0.45), (0.35, 0.45), (0.55, 0.58), (0.9, 0.64), (0.92, 0.74), (0.1, 0.74)],
    "boot": [(0.2, 0.15), (0.5, 0.15), (0.52, 0.6), (0.85, 0.72), (0.85, 0.85), (0.2, 0.85)],
    "bag": [(0.15, 0.45), (0.3, 0.45), (0.38, 0.25), (0.62, 0.25), (0.7, 0.45), (0.85, 0.45), (0.85, 0.85),
            (0.15, 0.85)],
}  # fmt: skip


def garment(dice: np.random.Generator) -> Image.Image:
    """Return a garment in one grey, light on black, its outline shaken."""
    sheet = Image.new("L", (SIDE, SIDE), 0)
    outline = CLOTHES[str(dice.choice(list(CLOTHES)))]
    points = [tuple((np.array(point) + dice.uniform(-0.04, 0.04, 2)) * SIDE) for point in outline]
    ImageDraw.Draw(sheet).polygon(points, fill=int(dice.integers(120, 250)))
    return sheet


def noise(dice: np.random.Generator) -> Image.Image:
    """Return random greys, fine or coarse, or clouds of ink."""
    side = int(dice.choice([7, 14, 28, 84]))
    sheet = Image.fromarray(dice.integers(0, 256, (side, side)).astype(np.uint8)).resize((SIDE, SIDE))
    if dice.random() < 0.5:
        sheet = sheet.filter(ImageFilter.GaussianBlur(float(dice.uniform(2, 6))))
        return sheet.point(lambda level: 0 if level < 110 else 255)
    return sheet


def blank(dice: np.random.Generator) -> Image.Image:
    """Return a sheet of one grey, now and then with the noise of a camera."""
    sheet = np.full((SIDE, SIDE), dice.integers(0, 256), dtype=np.float64)
    sheet += dice.normal(0, float(dice.choice([0, 2])), sheet.shape)
    return Image.fromarray(np.clip(sheet, 0, 255).astype(np.uint8))


KINDS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "letters": letter,
    "clothes": garment,
    "noise": noise,
    "blank sheets": blank,
}
