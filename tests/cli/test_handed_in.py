"""From a network of one's own to a proof of it, handed in and verified where nothing else lies."""

import csv
import json
import shutil

import pytest

from lenette.models import trust
from tests.cli.test_catalogue import OWN

PROVE = ("--dataset", "optdigits", "--protocol", "course", "--epochs", 1, "--seeds", 2, "--processes", 1)


@pytest.fixture(scope="module")
def student(cli, tmp_path_factory):
    """A folder with net.py, its proof, and a run of it of two epochs."""
    folder = tmp_path_factory.mktemp("student")
    (folder / "net.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_DATA_HOME", str(folder / "home"))
        cli("prove", "net.py:small", *PROVE)
        cli("prove", "net.py:small", *PROVE, "--lr", 0.2, "--out", "faster.json")
        cli("train", "net.py:small", "--dataset", "optdigits", "--protocol", "course", "--epochs", 2, "--lr", 0.2)
    return folder


@pytest.fixture
def teacher(student, tmp_path, monkeypatch):
    """An empty folder of somebody who never saw net.py; in it what was handed in, a folder each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(trust, "_agreed", set())
    for name in ("ann", "bob"):
        shutil.copytree(student / "proofs", tmp_path / "work" / name)
    return tmp_path / "work"


def test_a_network_of_ones_own_is_proven_with_fields_changed(student):
    (path,) = (student / "proofs").glob("*.json")
    proof = json.loads(path.read_text())
    assert "epochs = 1\n" in proof["recipe"]
    assert proof["network"]["source"].startswith("from torch import nn")
    assert [len(run["curve"]["train_loss_running"]) for run in proof["runs"]] == [1, 1]


def test_a_run_is_proven_as_it_was_trained(cli, student, monkeypatch):
    monkeypatch.chdir(student)
    monkeypatch.setenv("XDG_DATA_HOME", str(student / "home"))
    (run,) = [path.name for path in (student / "runs").glob("*-s0-*")]
    proof = cli.json("prove", run, "--seeds", 1, "--processes", 1, "--out", "of_run.json")
    assert "epochs = 2\n" in proof["recipe"]
    assert "lr = 0.2\n" in proof["recipe"]
    assert "no run" in cli.error("prove", "smal-s0", "--seeds", 1) or "unknown recipe" in cli.error("prove", "smal-s0")


def test_a_hand_in_is_verified_where_nothing_else_lies(cli, teacher):
    (file,) = (teacher / "ann").glob("*.json")
    result = cli("verify", file, code=3)
    assert "--run-code" in result.stdout
    result = cli("verify", file, "--run-code")
    assert "is verified" in result.stdout
    assert result.stderr.count("as recorded") == 2


def test_several_end_in_a_table_that_names_the_identical(cli, student, teacher):
    (teacher / "carl.json").write_text("{")
    (forged,) = (teacher / "bob").glob("*.json")
    shutil.copytree(teacher / "bob", teacher / "dora")
    (teacher / "dora" / forged.name).write_text(forged.read_text().replace('"none"', '"proven"'))
    result = cli("verify", teacher, "--run-code", "--csv", "table.csv", code=1)
    assert f"{teacher / 'ann' / forged.name}: seed 1000: " in result.stderr
    rows = list(csv.DictReader((teacher.parent / "table.csv").read_text().splitlines()))
    assert [row["file"].split("/")[-2] for row in rows] == ["ann", "bob", "work", "dora"]
    assert [row["end"] for row in rows] == ["verified", "verified", "no proof", "refused"]
    assert f"same weights as {forged}" in rows[0]["same"]
    assert rows[2]["why"]
    pair = cli.json("verify", student / "faster.json", teacher / "ann", "--run-code")
    assert [row["same"] for row in pair] == [
        [f"same network file as {teacher / 'ann' / forged.name}"],
        [f"same network file as {student / 'faster.json'}"],
    ]
    lines = result.stdout.splitlines()
    assert lines[-5].split()[:3] == ["file", "recipe", "end"]


def test_an_empty_folder_and_a_page_of_many_are_refused(cli, teacher):
    (teacher / "empty").mkdir()
    assert "holds no file named *.json" in cli.error("verify", teacher / "empty")
    assert "--page is that of one proof" in cli.error("verify", teacher, "--page", "page.html", code=2)
