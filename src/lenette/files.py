"""Files that are either whole or not there."""

import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lenette.errors import DiskFull

WINDOWS_TRIES, WINDOWS_PAUSE = 50, 0.02  # of replacing a file that is being read, seconds


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
        with temporary.open("r+b") as written:  # Windows syncs no handle that is for reading alone
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        _move(temporary, path)
        _sync_folder(path.parent)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(
                f"the disk is full, no room for {path}: make room and give the same command again"
            ) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    """Put the file in the place of another, for which Windows must wait while anybody reads that one."""
    for _ in range(WINDOWS_TRIES if os.name == "nt" else 0):
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(WINDOWS_PAUSE)
    os.replace(source, target)


def _sync_folder(folder: Path) -> None:
    """Let a rename in the folder outlive a power cut, where the system can say so."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that syncs no folders
            raise
    finally:
        os.close(handle)


def is_disk_full(error: Exception) -> bool:
    """Say whether the error tells of a disk, or a quota, without room."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # safetensors writes from Rust and keeps the system's own number in its text alone
    numbers = (39, 112) if os.name == "nt" else (errno.ENOSPC, errno.EDQUOT)
    return any(f"os error {number})" in str(error) for number in numbers)


def write_text(path: Path, text: str) -> None:
    """Write the text at once or not at all; the bytes are the same on every system."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())


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
