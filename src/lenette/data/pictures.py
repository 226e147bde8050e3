"""Opening a picture file that may be anything at all, and bringing it to a size."""

import re
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np

from lenette.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Fit = Literal["pad", "crop", "squash"]

# What Pillow may try: none of these starts another program or nests pictures that lie about their size.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm", ".pbm")
# What else people hand over: how such a file begins, what it is, and what to do.
OTHERS = (
    (rb".{4}ftyp(hei|hev|mif1|msf1)", "HEIC, an iPhone's picture", "export it as JPEG or PNG"),
    (rb".{4}ftypavi", "AVIF", "save it as JPEG or PNG"),
    (rb"%PDF", "a PDF", "save the page as PNG"),
    (rb"\s*(<\?xml.*)?<svg", "SVG, a drawing", "export it as PNG"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript", "save it as PNG"),
    (rb"\0\0[\1\2]\0", "an icon", "save it as PNG"),
    (rb"8BPS", "a Photoshop file", "save it as PNG"),
    (rb"\s*<(!doctype )?html", "a web page", "save the picture itself"),
)


def open_picture(path: str | Path, max_pixels: int) -> "Image":
    """Return the picture at `path` upright, as its EXIF orientation says, and read to its end; of several frames the
    first.

    Raises DataError, which names the file, where it can't be read or has more than `max_pixels` pixels; the size is
    looked at before anything is unpacked.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: a folder, where a picture is needed")
    try:
        stream = path.open("rb")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: can't be read ({getattr(error, 'strerror', None) or error})") from error
    with stream:
        return _opened(stream, str(path), max_pixels)


def _opened(stream: IO[bytes], name: str, max_pixels: int) -> "Image":
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(stream, formats=FORMATS) as opened:
                too_large = opened.width * opened.height > max_pixels
                picture = opened if too_large else ImageOps.exif_transpose(opened)
    except Image.DecompressionBombError as error:
        raise DataError(f"{name}: the most is {max_pixels:,} pixels in all ({error})") from error
    except Image.UnidentifiedImageError as error:
        raise DataError(f"{name}: not a readable picture ({_what(stream)})") from error
    # Pillow's decoders answer damaged files with whatever their arithmetic ran into: struct.error, IndexError, ...
    except Exception as error:
        raise DataError(f"{name}: not a readable picture ({str(error) or type(error).__name__})") from error
    if too_large:
        raise DataError(f"{name}: {picture.width}x{picture.height} pixels; the most is {max_pixels:,} in all")
    return picture


def _what(stream: IO[bytes]) -> str:
    """Say what a file is that is no picture of a kind that is read here."""
    stream.seek(0)
    start = stream.read(512)
    for pattern, what, way_out in OTHERS:
        if re.match(pattern, start, re.DOTALL | re.IGNORECASE):
            return f"it is {what}: {way_out}"
    return f"it is none of {', '.join(FORMATS)}"


def pixels(path: str | Path, max_pixels: int, size: int = 0, fit: Fit = "pad") -> np.ndarray:
    """Return the picture at `path` as uint8 [H, W] where it shows greys alone, however it is stored, else [H, W, 3].

    `size` brings it to a square of so many pixels (see `fitted`); 0 leaves it as it is. Raises DataError, which names
    the file, also for more than 8 bits a pixel and for a picture that is transparent anywhere.
    """
    image = _plain(open_picture(path, max_pixels), path)
    return without_colour(np.asarray(fitted(image, size, fit) if size else image))


def decoded(stream: IO[bytes], name: str) -> np.ndarray:
    """Return the picture in a stream as `pixels` does; `name` is what errors call it."""
    return without_colour(np.asarray(_plain(_opened(stream, name, 1024 * 1024), name)))


def _plain(image: "Image", name: str | Path) -> "Image":
    """Return the picture in mode L or RGB."""
    if image.mode.startswith(("I", "F")):
        raise DataError(f"{name}: more than 8 bits a pixel (mode {image.mode}); save it with 8")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise DataError(f"{name}: parts of it are transparent; flatten it onto its background")
    return image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")


def without_colour(array: np.ndarray) -> np.ndarray:
    """Return uint8 [H, W, 3] as [H, W] where its three channels are the same everywhere; any other as it is."""
    if array.ndim == 3 and (array == array[..., :1]).all():
        return array[..., 0]
    return array


def fitted(image: "Image", size: int, fit: Fit) -> "Image":
    """Return the picture, of mode L or RGB, as a square of `size` pixels; one that is that already is left alone.

    "pad" fits its longer side and fills the rest with the median colour of the picture's edge, "crop" fits its shorter
    side and keeps the middle, "squash" lets its sides shrink differently. Sampling is Pillow's bilinear, anti-aliased.
    """
    from PIL import Image

    width, height = image.size
    method = Image.Resampling.BILINEAR
    if (width, height) == (size, size):
        return image
    if fit == "squash":
        return image.resize((size, size), method)
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return image.resize((size, size), method, box=(left, top, left + side, top + side))
    scale = size / max(width, height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    ground = edge_median(np.asarray(image))
    square = Image.new(image.mode, (size, size), tuple(ground.tolist()) if ground.size > 1 else int(ground[0]))
    square.paste(image.resize(inner, method), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return square


def edge_median(array: np.ndarray) -> np.ndarray:
    """Return the median colour, uint8 [channels], of the outermost pixels of uint8 [H, W] or [H, W, C]."""
    edge = np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])
    return np.median(edge.reshape(len(edge), -1), axis=0).astype(np.uint8)
