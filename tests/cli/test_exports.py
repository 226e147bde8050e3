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
    for form in ("c", "all"):
        assert "is no name in C" in cli.error(*asked, "--to", form, "--prefix", "1st")
    (tmp_path / "net.c").write_text("mine")
    assert "not as lenette wrote it" in cli.error(*asked, "--to", "c")
    assert [path.name for path in tmp_path.iterdir()] == ["net.c"]


def test_where_all_are_wanted_a_form_that_a_network_lacks_is_named_and_the_others_are_written(cli, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef net(num_classes, in_channels, image_size):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), "
        "nn.Linear(4 * (image_size - 2) ** 2, num_classes))\n"
    )
    model = f"{tmp_path / 'net.py'}:net"
    run = lenette.train(model, dataset="optdigits", epochs=1, store=tmp_path / "runs", say=lambda line: None)
    told = cli("export", run.id, "--store", tmp_path / "runs", "--out", tmp_path / "out").stderr
    assert "has no form 'c'" in told
    assert "group_norm" in told
    assert {path.suffix for path in (tmp_path / "out").iterdir()} >= {".onnx", ".py", ".pt"}
    assert not list((tmp_path / "out").glob("*.c"))
    assert "group_norm" in cli.error("export", run.id, "--store", tmp_path / "runs", "--out", tmp_path, "--to", "c")
