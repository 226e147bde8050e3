"""Proofs of a small network on scikit-learn's digits, made once."""

import contextlib
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lenette import data as datasets
from lenette import records
from lenette.errors import LenetteError
from lenette.evidence.proof import Proof, sealed_up
from lenette.evidence.prove import prove
from lenette.recipes import Recipe

ROOT = Path(__file__).parents[2]

TINY = Recipe(
    name="tiny",
    model="sigmoid_mlp",
    dataset="optdigits",
    protocol="course",
    epochs=2,
    batch_size=64,
    max_parameters=80_000,
)


@pytest.fixture(scope="session")
def proofs(tmp_path_factory) -> Path:
    """A folder with the proofs course.json, faster.json (a higher rate) and sealed.json, and the store "runs"."""
    folder = tmp_path_factory.mktemp("proofs")
    for name, recipe in (
        ("course", TINY),
        ("faster", TINY.but(lr=0.2)),
        ("sealed", TINY.but(protocol="sealed")),
    ):
        prove(recipe, 0.85, seeds=3, out=folder / f"{name}.json", store=folder / "runs", processes=1)
    return folder


@pytest.fixture
def own(proofs, tmp_path) -> Path:
    """A copy of the proofs that a test may spoil; the store stays where it is."""
    for path in proofs.glob("*.*"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def loaded_once(monkeypatch):
    """Read the data once for many checks."""
    monkeypatch.setattr(datasets, "load", functools.cache(datasets.load))


def plain(path: Path) -> dict[str, Any]:
    """Return what a proof's file holds, as a forger would read it."""
    return json.loads(path.read_text())


def write(path: Path, proof: dict[str, Any]) -> None:
    """Write a proof as a forger would: with a digest that fits."""
    with contextlib.suppress(LenetteError):  # beyond the form no digest helps
        proof = {**proof, "digest": sealed_up(records.convert(proof, Proof, path)).digest}
    path.write_text(json.dumps(proof))
