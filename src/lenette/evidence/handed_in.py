"""Proofs that several people handed in, each verified: a table of them, in which those that are identical are named."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lenette.errors import LenetteError
from lenette.evidence.proof import Proof, read_done
from lenette.evidence.verify import Verification
from lenette.records import Record

WORST_FIRST = ("no proof", "refused", "not verifiable here", "verified")


class HandedIn(Record, frozen=True, kw_only=True):
    """One file: how its verification ended, and, where it is verified, what follows from the recomputed figures.

    `accuracy` is the mean over seeds, a fraction. `same` names the files of identical weights, or of the same network's
    source; `why` says what is wrong or missing.
    """

    file: str
    recipe: str
    end: Literal["verified", "refused", "not verifiable here", "no proof"]
    verdict: str
    accuracy: float | None
    parameters: int | None
    certificate: Literal["granted", "not granted", ""]
    same: list[str]
    why: str


def files_of(named: Sequence[Path]) -> list[Path]:
    """Return the files that were named, and those named *.json in the folders that were, each once; no run's own.

    Raises:
        LenetteError: there is none in a folder.
    """
    found: dict[Path, None] = {}
    for path in named:
        inside = sorted(one for one in path.rglob("*.json") if not (one.parent / "run.json").exists())
        if path.is_dir() and not inside:
            raise LenetteError(f"there is no proof in the folder {path}: it holds no file named *.json")
        found |= dict.fromkeys(inside if path.is_dir() else [path])
    return list(found)


def rows(found: Mapping[Path, Verification | str]) -> list[HandedIn]:
    """Return a row a file, given what `verify` found, or why it could not begin."""
    proofs = {path: read_done(path) for path, result in found.items() if not isinstance(result, str)}
    return [
        _unread(path, result) if isinstance(result, str) else _row(path, result, proofs)
        for path, result in found.items()
    ]


def worst(rows: Sequence[HandedIn]) -> str:
    """Return the end that is worst."""
    return min((row.end for row in rows), key=WORST_FIRST.index)


def as_csv(rows: Sequence[HandedIn]) -> str:
    """Return the rows as CSV, with a line of names first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HandedIn.__struct_fields__)
    for row in rows:
        values: list[Any] = [getattr(row, name) for name in HandedIn.__struct_fields__]
        writer.writerow("; ".join(value) if isinstance(value, list) else value for value in values)
    return text.getvalue()


def _unread(path: Path, why: str) -> HandedIn:
    return HandedIn(
        file=str(path), recipe="", end="no proof", verdict="", accuracy=None, parameters=None, certificate="", same=[],
        why=why,
    )  # fmt: skip


def _row(path: Path, result: Verification, proofs: Mapping[Path, Proof]) -> HandedIn:
    conclusion, granted = result.conclusion, result.certificate
    faults = [fault for check in result.checks for fault in check.faults]
    return HandedIn(
        file=str(path),
        recipe=result.name,
        end=result.end,
        verdict=conclusion.verdict.verdict if conclusion else "",
        accuracy=conclusion.summary.mean if conclusion else None,
        parameters=proofs[path].network.counts.trainable if conclusion else None,
        certificate="" if granted is None else "granted" if granted.granted else "not granted",
        same=list(_same(path, proofs)),
        why="; ".join(faults or result.missing),
    )


def _same(path: Path, proofs: Mapping[Path, Proof]) -> Iterator[str]:
    """Yield what the proof shares with each of the others: all its weights, else its network's file."""
    mine = proofs[path]
    for other, theirs in proofs.items():
        if other == path:
            continue
        if _weights(mine) and _weights(mine) == _weights(theirs):
            yield f"same weights as {other}"
        elif mine.network.digest and mine.network.digest == theirs.network.digest:
            yield f"same network file as {other}"


def _weights(proof: Proof) -> set[tuple[int, str]]:
    return {(run.seed, run.weights) for run in proof.runs if run.weights is not None}
