"""NumPy's files, .npy and .npz, read without pickle and without believing what they say about their size."""

import io
import zipfile
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from lenette.data.names import printable
from lenette.errors import DataError

MAX_BYTES = 4 << 30  # of all arrays of a file together
MAX_ARRAYS = 1000


def read(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz by their names, or that of a .npy under the name "".

    Raises DataError, which names the file, where it is damaged, holds objects (which only pickle could read), or has
    more than MAX_BYTES.
    """
    where = printable(path)
    try:
        with path.open("rb") as stream:
            if stream.read(2) != b"PK":
                stream.seek(0)
                return {"": _array(stream, path.stat().st_size, where)}
            stream.seek(0)
            with zipfile.ZipFile(stream) as archive:
                return _arrays(archive, where)
    except DataError:
        raise
    # zipfile and numpy's header reader answer damaged files with whatever they ran into
    except Exception as error:
        raise DataError(f"{where}: not a readable NumPy file ({error or type(error).__name__})") from error


def _arrays(archive: zipfile.ZipFile, where: str) -> dict[str, np.ndarray]:
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if len(members) > MAX_ARRAYS or sum(member.file_size for member in members) > MAX_BYTES:
        raise DataError(f"{where}: more than {MAX_ARRAYS} arrays, or than {MAX_BYTES >> 30} GiB")
    arrays = {}
    for member in members:
        with archive.open(member) as stream:
            name = member.filename.removesuffix(".npy")
            arrays[name] = _array(stream, member.file_size, f"{where}, array '{printable(name)}'")
    return arrays


def _array(stream: IO[bytes], size: int, where: str) -> np.ndarray:
    """Read one array from a stream of `size` bytes."""
    from numpy.lib import format as npy

    start = stream.read(npy.MAGIC_LEN)
    if start[:6] != b"\x93NUMPY":
        raise DataError(f"{where}: not a NumPy array (it begins with {start[:6]!r})")
    wide = start[6] > 1
    length_bytes = stream.read(4 if wide else 2)
    length = int.from_bytes(length_bytes, "little")
    if length > 10_000:
        raise DataError(f"{where}: its header has {length:,} bytes")
    header = io.BytesIO(length_bytes + stream.read(length))
    shape, fortran, dtype = (npy.read_array_header_2_0 if wide else npy.read_array_header_1_0)(header)
    if dtype.hasobject:
        raise DataError(f"{where}: holds Python objects, which are never read here; save it as numbers")
    expected = prod(shape) * dtype.itemsize
    found = size - npy.MAGIC_LEN - len(length_bytes) - length
    if expected != found or min(shape, default=1) < 0 or expected > MAX_BYTES:
        raise DataError(f"{where}: {found:,} bytes, where its shape {shape} of {dtype} makes {expected:,}")
    content = bytearray(stream.read(expected))
    if len(content) != expected:
        raise DataError(f"{where}: truncated: {len(content):,} of {expected:,} bytes")
    array = np.frombuffer(content, dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
