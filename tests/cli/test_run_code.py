"""A run's folder that came from somebody else: none of its code runs until the user says so."""

import shutil

import pytest
from PIL import Image

from lenette.models import trust
from lenette.runs import SOURCE, Run

NETWORK = """
from pathlib import Path
from torch import nn

with Path({marker!r}).open("a") as marker:
    marker.write("run\\n")


def net(num_classes=10, in_channels=1, image_size=28):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))
"""


@pytest.fixture
def marker(tmp_path):
    """The file that the network's source writes when it runs."""
    return tmp_path / "ran"


@pytest.fixture
def received(cli, tmp_path, marker, monkeypatch):
    """A run's folder in the hands of another user, to whom its network's file was not given."""
    source = tmp_path / "net.py"
    source.write_text(NETWORK.format(marker=str(marker)))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "author"))
    arguments = ("--dataset", "optdigits", "--epochs", 1, "--threads", 1, "--max-bytes", 10**6)
    cli("train", f"{source}:net", *arguments, "--store", tmp_path / "theirs")
    (folder,) = (tmp_path / "theirs").glob("net-*")
    assert marker.read_text()
    copy = shutil.copytree(folder, tmp_path / "mine" / folder.name)
    source.unlink()
    marker.unlink()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(trust, "_agreed", set())  # of this process
    return copy


@pytest.fixture
def picture(tmp_path):
    image = Image.new("L", (28, 28), 255)
    image.paste(0, (12, 4, 16, 24))
    image.save(tmp_path / "one.png")
    return tmp_path / "one.png"


def test_show_needs_no_code(cli, received, marker):
    text = cli("show", received).stdout
    assert "budget: 31,400 of at most 1,000,000 bytes of weights: met" in text
    assert cli.json("show", received)["parameters"] == 7_850
    assert not marker.exists()


def test_report_leaves_out_what_needs_code_and_says_so(cli, received, marker, tmp_path):
    result = cli("report", received, "--out", tmp_path / "page.html")
    assert "left out: the layers and the images that it gets wrong" in result.stderr
    assert "--run-code" in result.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Left out here are the layers and the images that it gets wrong" in page
    assert "--run-code" in page
    assert "Confusion matrix" in page
    assert "multiply-adds" not in page
    assert "data:image/png" not in page
    assert not marker.exists()
    assert cli("report", received, "--run-code", "--out", tmp_path / "page.html").stderr == ""
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "multiply-adds" in page
    assert "data:image/png" in page
    assert marker.exists()


@pytest.mark.parametrize("command", ["evaluate", "predict", "train", "resume"])
def test_what_needs_code_is_refused_until_it_is_allowed(command, cli, received, marker, picture, tmp_path):
    if command == "resume":
        Run(received).set_status("interrupted")
    if command == "train":
        arguments = ("train", received, "--again", "--threads", 1, "--store", tmp_path / "mine")
    else:
        arguments = (command, received, *([picture] if command == "predict" else []))
    message = cli.error(*arguments)
    assert SOURCE in message
    assert "--run-code" in message
    assert not marker.exists()
    cli(*arguments, "--run-code")
    assert marker.exists()
    cli(*arguments)


def test_consent_is_to_the_text_that_was_read(cli, received, marker):
    cli("evaluate", received, "--run-code")
    marker.unlink()
    with (received / SOURCE).open("a") as source:
        source.write("# edited\n")
    assert "--run-code" in cli.error("evaluate", received)
    assert not marker.exists()


def test_a_file_that_only_the_recipe_names_is_not_run(cli, received, marker, tmp_path):
    (received / SOURCE).rename(received / "other.py")
    recipe = Run(received).recipe.but(model=f"{received / 'other.py'}:net")
    (received / "recipe.toml").write_text(recipe.to_toml())
    for command in ("evaluate", "train"):
        assert SOURCE in cli.error(command, received)
        assert SOURCE in cli.error(command, received, "--run-code")
    assert SOURCE in cli("report", received).stderr
    assert not marker.exists()


def test_who_trained_a_network_is_not_asked(cli, received, marker, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "author"))
    assert cli("report", received).stderr == ""
    assert marker.exists()
