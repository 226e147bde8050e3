"""`lenette export` and `lenette.export`: which files come out, and what is refused before any is written."""

import subprocess

import pytest

import lenette
from lenette.errors import LenetteError
from tests.evidence.conftest import ROOT

PROOF = ROOT / "results" / "certificates" / "under_8k.json"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return lenette.train(
        "sigmoid_mlp", dataset="optdigits", epochs=1, store=tmp_path_factory.mktemp("store"), say=lambda line: None
    )


def test_every_form_of_a_run_and_the_c_that_proves_itself(cli, run, tmp_path):
    told = cli("export", run.id, "--store", run.folder.parent, "--out", tmp_path / "out", "--prefix", "digit").stdout
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert {"digit.h", "digit.c", "main.c", "Makefile", "card.txt", "card.html"} < names
    assert {path.rpartition(".")[2] for path in names} >= {"onnx", "py", "pt"}
    assert sorted(told.split()) == sorted(str(tmp_path / "out" / name) for name in names)
    subprocess.run(["make", "test"], cwd=tmp_path / "out", check=True, capture_output=True)
    cli("export", run.id, "--store", run.folder.parent, "--out", tmp_path / "out", "--prefix", "digit")


def test_a_seed_of_a_proof(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (written,) = lenette.export(PROOF, "onnx", seed=1000)
    assert str(written) == "exports/under_8k-s1000/under_8k-s1000.onnx"
    with pytest.raises(LenetteError, match="no weights of seed 3"):
        lenette.export(PROOF, "onnx", seed=3)


def test_nothing_is_written_where_something_is_refused(cli, run, tmp_path):
    asked = ("export", run.id, "--store", run.folder.parent, "--out", tmp_path)
    assert "did you mean 'onnx'?" in cli.error(*asked, "--to", "onx")
    assert "is no name in C" in cli.error(*asked, "--to", "c", "--prefix", "1st")
    (tmp_path / "net.c").write_text("mine")
    assert "not as lenette wrote it" in cli.error(*asked, "--to", "c")
    assert [path.name for path in tmp_path.iterdir()] == ["net.c"]
