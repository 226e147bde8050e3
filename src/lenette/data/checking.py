"""Is this file what it says it is? Every file passes here, whether read, fetched or imported."""

import hashlib
from pathlib import Path

import numpy as np

from lenette.data import idx
from lenette.data.catalogue import DATASETS, File
from lenette.errors import DataError


def read_checked(path: Path, file: File) -> np.ndarray:
    """Read the IDX file at `path`, which must be `file`; raises DataError, with both digests, where it is not.

    The content's digest is checked where it is known, and else the digest of the .gz; a plain file of which only the
    .gz is known is checked for structure alone (see `checked_by`).
    """
    try:
        if file.sha256 is None and checked_by(path, file) != "structure":
            _check_packed(path, file)
        return idx.read(path, file.kind, file.sha256)
    except DataError as error:
        raise DataError(f"{error}{_belongs_to(path, file)}") from error


def checked_by(path: Path, file: File) -> str:
    """Return what vouches for the file at `path`: "content sha256", "gzip sha256", "gzip md5" or "structure"."""
    if file.sha256:
        return "content sha256"
    if is_gzip(path) and file.gz_sha256:
        return "gzip sha256"
    if is_gzip(path) and file.gz_md5:
        return "gzip md5"
    return "structure"


def is_gzip(path: Path) -> bool:
    """Tell whether the file at `path` begins as a gzip file does."""
    with open(path, "rb") as stream:
        return stream.read(2) == idx.GZIP_MAGIC


def hash_file(path: Path, algorithm: str = "sha256") -> str:
    """Return the hex digest of the file at `path`."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _check_packed(path: Path, file: File) -> None:
    algorithm, expected = ("sha256", file.gz_sha256) if file.gz_sha256 else ("md5", file.gz_md5)
    if (found := hash_file(path, algorithm)) != expected:
        raise DataError(f"{path}: its {algorithm} is {found}, and should be {expected}")


def _belongs_to(path: Path, file: File) -> str:
    """Say whose file it is where another set's published .gz lies in its place."""
    if not path.is_file():
        return ""
    found = hash_file(path)
    for entry in DATASETS.values():
        for other in entry.files:
            if other != file and found in (other.gz_sha256, other.sha256):
                return f" (it is {other.name} of '{entry.name}')"
    return ""
