"""Tables of pixels as text: Kaggle's digits (label,pixel0,...), MNIST in CSV (no header), and others of their kind."""

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import numpy as np

from lenette.data.names import LABEL_WORDS, printable
from lenette.errors import DataError

MAX_BYTES = 4 << 30  # of text, unpacked
MAX_LINE = 1 << 22
CHUNK_BYTES = 1 << 24
IDS = ("id", "imageid", "image_id", "index", "unnamed: 0", "")


@dataclass(frozen=True)
class Csv:
    """A table: images uint8 [N, numbers], labels as text [N] or None, ids as text [N] or None, and the id's name."""

    images: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray | None
    id_name: str


@dataclass(frozen=True)
class Columns:
    """Where what lies in a line: `ids` and `label` are columns, or None; the pixels are all the others."""

    number: int
    separator: bytes
    header: bool
    ids: int | None
    label: int | None
    id_name: str = ""


def read(path: Path) -> Csv:
    """Read a table of pixels, plain or gzip; the label is its first or last column, or there is none.

    Raises DataError, which names the file and the line, where a line has another number of columns, or what is no pixel
    (0 to 255, or 0 to 1 in a table of fractions).
    """
    where = printable(path)
    images: list[np.ndarray] = []
    labels: list[bytes] = []
    ids: list[bytes] = []
    columns: Columns | None = None
    number = 1
    for chunk in _chunks(path, where):
        lines = chunk
        if columns is None:
            columns = _columns(chunk[0], where)
            if columns.header:
                lines, number = chunk[1:], 2
        if not lines:
            continue
        pixels = _take_apart(lines, number, columns, labels, ids, where)
        images.append(_parsed(pixels, number, columns, where))
        number += len(lines)
    if not images or columns is None:
        raise DataError(f"{where}: no images in it")
    return Csv(
        np.concatenate([image.astype(np.result_type(*{part.dtype for part in images})) for image in images]),
        np.array(labels) if columns.label is not None else None,
        np.array(ids) if columns.ids is not None else None,
        columns.id_name,
    )


def _chunks(path: Path, where: str) -> Iterator[list[bytes]]:
    """Yield the file's lines that aren't empty, many at a time, without quotes and line ends."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            rest, total = b"", 0
            while chunk := stream.read(CHUNK_BYTES):
                total += len(chunk)
                if total > MAX_BYTES:
                    raise DataError(f"{where}: more than {MAX_BYTES >> 30} GiB of text")
                whole, newline, rest = (rest + chunk).rpartition(b"\n")
                if len(rest) > MAX_LINE:
                    raise DataError(f"{where}: a line of more than {MAX_LINE:,} bytes: not a table of images")
                if newline and (lines := _lines(whole)):
                    yield lines
            if lines := _lines(rest):
                yield lines
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where}: can't be read ({getattr(error, 'strerror', None) or error})") from error


def _lines(text: bytes) -> list[bytes]:
    return [line for line in text.translate(None, b'"\r\0').removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]


def _columns(first: bytes, where: str) -> Columns:
    """Say what the columns are, by the names in the first line, or else by their number."""
    separator = max((b",", b";", b"\t"), key=first.count)
    cells = [cell.strip().decode("utf-8", "replace").lower() for cell in first.split(separator)]
    names = [cell.strip().decode("utf-8", "replace") for cell in first.split(separator)]
    number = len(cells)
    header = any(not _is_number(cell) for cell in cells[1:])
    ids = 0 if header and cells[0] in IDS else None
    label = next((place for place in range(number) if header and cells[place] in LABEL_WORDS), None)
    if not header and not _is_image(number) and _is_image(number - 1):
        label = 0
    pixels = number - (ids is not None) - (label is not None)
    if label not in (None, 0, 1 if ids is not None else 0, number - 1):
        raise DataError(f"{where}: column {label} is the label; it must be the first or the last")
    if not _is_image(pixels):
        raise DataError(
            f"{where}: {number} columns, of which {pixels} are pixels: not a table of square images, one a line, "
            "with the label first"
        )
    return Columns(number, separator, header, ids, label, names[0] if ids is not None else "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_image(number: int) -> bool:
    return number >= 4 and any(number % c == 0 and isqrt(number // c) ** 2 * c == number for c in (1, 3))


def _take_apart(
    lines: list[bytes], number: int, columns: Columns, labels: list[bytes], ids: list[bytes], where: str
) -> list[bytes]:
    """Return each line's pixels; add its label and its id to the lists."""
    pixels = []
    for place, line in enumerate(lines, number):
        found = line.count(columns.separator) + 1
        if found != columns.number:
            raise DataError(f"{where}, line {place}: {found} columns, where the first line has {columns.number}")
        rest = line
        if columns.ids is not None:
            first, _, rest = rest.partition(columns.separator)
            ids.append(first.strip())
        if columns.label is not None and columns.label == columns.number - 1:
            rest, _, last = rest.rpartition(columns.separator)
            labels.append(last.strip())
        elif columns.label is not None:
            first, _, rest = rest.partition(columns.separator)
            labels.append(first.strip())
        pixels.append(rest)
    return pixels


def _parsed(lines: list[bytes], number: int, columns: Columns, where: str) -> np.ndarray:
    """Return the pixels of lines, the first of which has that number, as uint8 or float32 [N, numbers]."""
    separator = columns.separator.decode()

    def good(text: bytes, size: int) -> np.ndarray | None:
        for dtype in (np.int64, np.float64):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    values = np.fromstring(text, dtype=dtype, sep=separator)  # text, which is not what is deprecated
            except (ValueError, DeprecationWarning):
                continue
            if len(values) == size and (values >= 0).all() and (values <= 255).all():
                return values
        return None

    width = lines[0].count(columns.separator) + 1
    values = good(columns.separator.join(lines), len(lines) * width)
    if values is None:
        for place, line in enumerate(lines, number):
            if good(line, width) is None:
                bad = next((cell for cell in line.split(columns.separator) if good(cell, 1) is None), line[:20])
                what = f"{printable(bad.decode('utf-8', 'replace'))[:40]!r} is no pixel"
                raise DataError(f"{where}, line {place}: {what}: pixels are whole numbers 0 to 255, or 0 to 1")
        raise DataError(f"{where}, lines {number} to {number + len(lines) - 1}: can't be read as numbers")
    return values.reshape(len(lines), width).astype(np.uint8 if values.dtype == np.int64 else np.float32)


def submission(ids: np.ndarray | None, id_name: str, answers: Sequence[str]) -> str:
    """Return the text of Kaggle's submission.csv: a line for each image, with its id, or its number from 1."""
    import csv

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((id_name, "label") if ids is not None else ("ImageId", "Label"))
    names = [name.decode("utf-8", "replace") for name in ids] if ids is not None else range(1, len(answers) + 1)
    writer.writerows(zip(names, answers, strict=True))
    return text.getvalue()
