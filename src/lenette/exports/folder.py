"""Files into a folder that may hold others' already: whole ones, and none in the place of what isn't lenette's own."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from lenette import files, records
from lenette.errors import LenetteError

RECORD = ".lenette-export.json"  # digests of what was written here: what has one of these may be written anew


def write(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write the files, by their names in the folder; return their paths.

    Raises:
        LenetteError: as `require_free`; then none is written.
    """
    own = require_free(folder, contents)
    for name, content in contents.items():
        with files.replacing(folder / name) as temporary:
            temporary.write_bytes(content)
    records.write(folder / RECORD, own | {name: _digest(content) for name, content in contents.items()})
    return [folder / name for name in contents]


def require_free(folder: Path, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Return the digests of what lenette wrote into the folder before, by name.

    Raises:
        LenetteError: a file of one of the names is there that lenette did not write, or that was changed since.
    """
    record = folder / RECORD
    own: dict[str, str] = records.read(record, dict[str, str]) if record.exists() else {}
    for name, content in contents.items():
        path = folder / name
        if path.is_dir() or (path.exists() and _digest(path.read_bytes()) not in (own.get(name), _digest(content))):
            raise LenetteError(f"{path} is there, and not as lenette wrote it: name another folder, or move it away")
    return own


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
