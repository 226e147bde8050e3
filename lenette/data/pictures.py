"""Opening a picture file that may be anything at all."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from lenette.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


def open_picture(path: str | Path, max_pixels: int) -> "Image":
    """Return the picture at `path` upright, as its EXIF orientation says, and read to its end.

    Raises DataError, which names the file, where it can't be read or has more than `max_pixels` pixels; the size is
    looked at before anything is unpacked.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                too_large = opened.width * opened.height > max_pixels
                picture = opened if too_large else ImageOps.exif_transpose(opened)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: the most is {max_pixels:,} pixels in all ({error})") from error
    # Pillow's decoders answer damaged files with whatever their arithmetic ran into: struct.error, IndexError, ...
    except Exception as error:
        raise DataError(f"{path}: not a readable picture ({str(error) or type(error).__name__})") from error
    if too_large:
        raise DataError(f"{path}: {picture.width}x{picture.height} pixels; the most is {max_pixels:,} in all")
    return picture
