"""Reader of IDX files, the format of MNIST: plain or gzip, distrusted until the last byte.

Format: http://yann.lecun.com/exdb/mnist/ ("The IDX file format"): two zero bytes, a type, the number of dimensions, the
dimensions as big-endian uint32, and the values in row-major, big-endian order.
"""

import hashlib
import zlib
from math import prod
from pathlib import Path

import numpy as np

from lenette.errors import DataError

TYPES: dict[int, np.dtype] = {0x08: np.dtype("u1"), 0x0C: np.dtype(">i4")}
KINDS = {"images": (0x08, 3), "labels": (0x08, 1), "table": (0x0C, 2)}
# EMNIST's largest file holds 697,932 images of 784 bytes, 522 MiB; nothing honest passes the double of it.
MAX_BYTES = 2**30
STEP = 4096  # bytes that are unpacked at once
GZIP_MAGIC = b"\x1f\x8b"


def read(path: str | Path, kind: str, sha256: str | None = None) -> np.ndarray:
    """Read the IDX file at `path`, plain or gzip, as a writable array in native byte order.

    `kind` is "images" (uint8 [N, H, W]), "labels" (uint8 [N]) or "table" (int32 [N, columns]); `sha256` is the digest
    that the decompressed file must have. Raises DataError, which names the file, where anything is amiss.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{path}: {size:,} bytes, more than any IDX file may have here ({MAX_BYTES:,})")
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    return parse(raw, kind, str(path), sha256)


def parse(raw: bytes, kind: str, name: str, sha256: str | None = None) -> np.ndarray:
    """Read the bytes of an IDX file as `read` does; `name` is what errors call them."""
    type_code, num_dimensions = KINDS[kind]
    header_size = 4 + 4 * num_dimensions
    packed = raw[:2] == GZIP_MAGIC
    header = _inflate(raw, header_size, name)[:header_size] if packed else raw[:header_size]
    if header[:2] != b"\0\0" or len(header) < 4:
        raise DataError(f"{name}: not an IDX file (it begins with {header[:4]!r})")
    if header[2] not in TYPES:
        raise DataError(f"{name}: IDX type 0x{header[2]:02X} is not known here (0x08 uint8 and 0x0C int32 are)")
    if (header[2], header[3]) != (type_code, num_dimensions):
        raise DataError(
            f"{name}: IDX type 0x{header[2]:02X} with {header[3]} dimensions; "
            f"{kind} have type 0x{type_code:02X} and {num_dimensions}"
        )
    if len(header) < header_size:
        raise DataError(f"{name}: truncated within its header ({len(header)} of {header_size} bytes)")
    shape = tuple(int(length) for length in np.frombuffer(header, ">u4", offset=4))
    dtype = TYPES[type_code]
    size = header_size + prod(shape) * dtype.itemsize
    if 0 in shape or size > MAX_BYTES:
        raise DataError(f"{name}: absurd dimensions {shape} ({size:,} bytes; the most is {MAX_BYTES:,})")

    content = _inflate(raw, size, name) if packed else raw
    if len(content) != size:
        fault = f"truncated: {len(content):,} of" if len(content) < size else "too long: more than"
        raise DataError(f"{name}: {fault} the {size:,} bytes that its dimensions {shape} make")
    if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise DataError(f"{name}: the sha256 of its content is {found}, and should be {sha256}")
    # astype copies, which makes the array writable, as torch wants it.
    return np.frombuffer(content, dtype, offset=header_size).reshape(shape).astype(dtype.newbyteorder("="))


def encode(array: np.ndarray) -> bytes:
    """Return an array uint8 of any dimensions as the bytes of an IDX file."""
    return bytes((0, 0, 0x08, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def _inflate(raw: bytes, size: int, name: str) -> bytes:
    """Unpack gzip bytes to `size` + 1 bytes at most: the one byte more tells a longer file from a whole one."""
    parts: list[bytes] = []
    room, place, member = size + 1, 0, zlib.decompressobj(wbits=31)
    while place < len(raw) and room > 0:
        if member.eof:
            member = zlib.decompressobj(wbits=31)
        piece = raw[place : place + STEP]  # what a member leaves over is copied: not all the rest each time
        try:
            parts.append(member.decompress(piece, room))
        except zlib.error as error:
            raise DataError(f"{name}: damaged gzip ({error})") from error
        room -= len(parts[-1])
        place += len(piece) - len(member.unused_data) - len(member.unconsumed_tail)
    if room > 0 and not member.eof:
        raise DataError(f"{name}: truncated gzip ({size + 1 - room:,} bytes unpacked)")
    return b"".join(parts)
