"""Proofs of a small network on scikit-learn's digits, made once."""

import json
import shutil
from pathlib import Path

import pytest

from lenette.evidence.proof import prove
from lenette.evidence.schema import digest
from lenette.recipes import Recipe

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


def write(path: Path, proof: dict) -> None:
    """Write a proof as a forger would: with a digest that fits."""
    path.write_text(json.dumps({**proof, "digest": digest(proof)}))
