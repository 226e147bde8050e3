"""Typed records as JSON: what is read is checked against its type, and an error names the file and the field."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from lenette import files
from lenette.errors import LenetteError

MAX_BYTES = 64 << 20  # of a record; the largest proof of ours has 40 kB

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Loss = Annotated[float, Meta(ge=0)] | None  # None where it is not finite
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]  # SHA-256, hex


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what is written to a file and read again; its fields' types, bounds included, are what is accepted."""


Kind = TypeVar("Kind")


def read(path: Path, kind: type[Kind], error: type[LenetteError] = LenetteError) -> Kind:
    """Return the record of that type in a JSON file.

    Raises:
        error: the file can't be read, is larger than MAX_BYTES, or differs from the type; the field is named.
    """
    return decode(content(path, error), kind, path, error)


def content(path: Path, error: type[LenetteError] = LenetteError) -> bytes:
    """Return what a record's file holds.

    Raises:
        error: the file can't be read, or is larger than MAX_BYTES.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error(f"{path} has more than {MAX_BYTES >> 20} MiB: that is no record of lenette's")
        return path.read_bytes()
    except OSError as failure:
        raise error(f"can't read {path}: {failure.strerror or failure}") from failure


def decode(text: bytes | str, kind: type[Kind], where: object, error: type[LenetteError] = LenetteError) -> Kind:
    """Return the record of that type which the JSON text holds; `where` names the text in an error."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as failure:
        raise error(f"{where} is damaged: {str(failure).replace('`$.', '`')}") from failure


def convert(value: Any, kind: Any, where: object, error: type[LenetteError] = LenetteError) -> Any:
    """Return the record of that type which plain values make."""
    try:
        return msgspec.convert(value, type=kind)
    except (msgspec.MsgspecError, RecursionError) as failure:
        raise error(f"{where} is damaged: {str(failure).replace('`$.', '`')}") from failure


def plain(record: Any) -> Any:
    """Return a record as JSON can hold it: dicts, lists and plain values, None for a number that isn't finite."""
    return files.finite(msgspec.to_builtins(record))


def line(record: Any) -> str:
    """Return a record as one line of JSON, without the line's end."""
    return msgspec.json.encode(plain(record)).decode()


def write(path: Path, record: Any) -> None:
    """Write a record as JSON, at once or not at all."""
    files.write_json(path, plain(record))
