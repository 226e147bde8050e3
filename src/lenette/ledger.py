"""Who looked at which test set, and when: a record that belongs to the test images, not to a run.

STORE/looks/DIGEST.jsonl holds a line a look, DIGEST being that of the images. Lines are only ever added.
"""

import os
from pathlib import Path
from typing import BinaryIO, Literal

from filelock import FileLock

from lenette import records
from lenette.errors import LenetteError
from lenette.records import Count, Digest, Fraction, Loss, Record
from lenette.text import count

FOLDER = "looks"


class Look(Record, frozen=True, kw_only=True):
    """One look at a test set: a course run's, at every epoch, or one opening of it for some weights.

    An opening holds what it showed, of the weights of that digest: accuracy, loss and the indices of the wrong images.
    A line of the record that can't be read counts as a look of which no more is known (`what` is "unreadable").
    """

    what: Literal["every epoch", "opening", "unreadable"]
    time: str = ""
    dataset: str = ""
    part: str = ""
    run: str = ""
    key: str = ""
    recipe: str = ""
    protocol: str = ""
    weights: Digest | None = None
    num_images: Count = 0
    accuracy: Fraction | None = None
    loss: Loss = None
    wrong: list[Count] | None = None


def look(store: Path, digest: str, made: Look) -> None:
    """Add a look at the images of that digest to the store's record; it is on the disk when this returns.

    Raises:
        LenetteError: the digest is none, or the record can't be written.
    """
    path = _path(store, digest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / ".lock"), path.open("ab+") as record:
            record.write(("" if _is_whole(record) else "\n").encode() + f"{records.line(made)}\n".encode())
            record.flush()
            os.fsync(record.fileno())
    except OSError as error:
        raise LenetteError(f"can't write down the look at the test images in {path}: {error}") from error


def looks(store: Path, digest: str) -> list[Look]:
    """Return all looks at the images of that digest by runs of the store, the first one first.

    Raises:
        LenetteError: the digest is none, or the record can't be read.
    """
    path = _path(store, digest)
    return [_read(line) for line in records.content(path).splitlines()] if path.exists() else []


def every_look(store: Path) -> dict[str, list[Look]]:
    """Return all looks by runs of the store, by the digest of the images."""
    return {path.stem: looks(store, path.stem) for path in sorted((store / FOLDER).glob("*.jsonl"))}


def told(found: list[Look]) -> str:
    """Return how many looks there were, by how many runs and recipes: "4 looks (3 runs, 2 recipes)"."""
    known = [each for each in found if each.what != "unreadable"]
    by = f"{count(len({each.key for each in known}), 'run')}, {count(len({each.recipe for each in known}), 'recipe')}"
    damaged = len(found) - len(known)
    by += f", {count(damaged, 'damaged line')}" if damaged else ""
    return f"{count(len(found), 'look')} ({by})"


def _path(store: Path, digest: str) -> Path:
    return store / FOLDER / f"{records.convert(digest, Digest, 'the digest of the test images')}.jsonl"


def _is_whole(record: BinaryIO) -> bool:
    """Say whether the last line was written to its end, or there is none."""
    if record.seek(0, os.SEEK_END) == 0:
        return True
    record.seek(-1, os.SEEK_END)
    return record.read(1) == b"\n"


def _read(line: bytes) -> Look:
    try:
        return records.decode(line, Look, "a look")
    except LenetteError:
        return Look(what="unreadable")
