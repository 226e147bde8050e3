"""The first commands of a newcomer: lenette alone, lenette new, lenette doctor."""

import re

import nbformat
import pytest

from lenette import runs
from lenette.cli import main


def test_alone_it_shows_the_five_commonest_commands(cli):
    text = cli().stdout
    shown = re.findall(r"^  lenette (\w+)", text, re.M)
    assert len(shown) == 5
    assert set(shown) <= set(main.commands)


def test_new_makes_a_folder_that_trains(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "lenette train work/work.toml" in cli("new", "work").stdout
    cli("train", "work/work.toml", "--dataset", "optdigits", "--epochs", 1, "--threads", 1)
    monkeypatch.chdir(tmp_path / "work")
    assert "Conv2d" in cli("summary", "net.py:net").stdout
    recipe = tmp_path / "work" / "work.toml"
    recipe.write_text(recipe.read_text().replace('"mnist"', '"optdigits"').replace("epochs = 10", "epochs = 1"))
    notebook = nbformat.read("work.ipynb", as_version=4)
    nbformat.validate(notebook)
    space = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, space)
    assert runs.find("work").status == "done"


def test_new_overwrites_nothing(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli("new", "work")
    (tmp_path / "work" / "net.py").write_text("mine")
    assert "work exists already" in cli.error("new", "work")
    assert (tmp_path / "work" / "net.py").read_text() == "mine"
    for name in ("a b", "..", "x:y"):
        assert "a name of letters" in cli.error("new", name)


def test_doctor_names_what_is_missing(cli, tiny_mnist, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = cli.json("doctor")
    assert list(found) == ["versions", "machine", "compiler", "threads", "GPU", "data", "disk"]
    assert f"mnist in {tiny_mnist}" in found["data"]
    assert "not here: " in found["data"]
    assert "GB free for runs in runs" in found["disk"]
    monkeypatch.setenv("CXX", "no-such-compiler")
    lines = cli("doctor").stdout.splitlines()
    assert len(lines) == 7
    assert "no-such-compiler" in lines[2]
    assert not list(tmp_path.iterdir())


@pytest.fixture(autouse=True)
def own_sources(tmp_path, monkeypatch):
    """Keep the networks that these tests trust out of the user's list."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path.parent / "home"))
