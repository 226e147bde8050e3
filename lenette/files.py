"""Files that are either whole or not there."""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lenette.errors import DiskFull


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; put it in the place of `path` once it has been written without an error.

    Raises:
        DiskFull: there is no room left for it.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(
                f"the disk is full, no room for {path}: make room and give the same command again"
            ) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def is_disk_full(error: Exception) -> bool:
    """Say whether the error tells of a disk, or a quota, without room."""
    numbers = (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OSError):
        return error.errno in numbers
    # safetensors writes from Rust and keeps the number in its text alone
    return any(f"os error {number})" in str(error) for number in numbers)


def write_text(path: Path, text: str) -> None:
    """Write the text at once or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write the value as JSON at once or not at all; a figure that isn't finite becomes null.

    Each field is a line, and so is each list of plain values, so that a change shows where it is.
    """
    write_text(path, _laid_out(finite(value)) + "\n")


def finite(value: Any) -> Any:
    """Return the value as JSON can hold it: None for what isn't finite, since JSON knows neither NaN nor infinity."""
    if isinstance(value, float) and value - value != 0:
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def _laid_out(value: Any, margin: str = "") -> str:
    inner = margin + " "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{json.dumps(str(key))}: {_laid_out(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[\n" + ",\n".join(inner + _laid_out(item, inner) for item in value) + f"\n{margin}]"
    return json.dumps(value, allow_nan=False)
