"""lenette study and sweep."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lenette import many, runs
from lenette.cli import main
from lenette.many import Estimate


@pytest.fixture
def base(tiny_folder: Path, tmp_path: Path) -> list[str]:
    changes = {"dataset": tiny_folder, "epochs": 2}
    options = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    return [*options, "--store", str(tmp_path / "store"), "--out", str(tmp_path / "out"), "--processes", "1"]


def lenette(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_sweep_trains_a_grid_and_writes_its_page(base: list[str], tmp_path: Path) -> None:
    words = ["sweep", "sigmoid_mlp", "--over", "lr=0.1,0.5", "--over", "batch-size=50,100", "--seeds", "2", *base]
    result = lenette(*words)
    assert result.exit_code == 0, result.output
    assert "8 runs to train: about" in result.output
    assert "8 of 8 runs" in result.output
    assert "is preferred" in result.output
    page = (tmp_path / "out" / "index.html").read_text()
    assert "lenette sweep sigmoid_mlp --over lr=0.1,0.5 --over batch-size=50,100 --seeds 2 --set " in page
    assert "--store" not in page

    result = lenette(*words, "--json")
    assert "nothing to train: 8 runs found" in result.stderr
    assert len(json.loads(result.stdout)["summary"]) == 4


def test_each_question_has_its_command(base: list[str], tmp_path: Path) -> None:
    for number, words in enumerate(
        (
            ["learning-rate", "sigmoid_mlp", "--rates", "0.1,0.5"],
            ["batch-size", "sigmoid_mlp", "--sizes", "50,100"],
            ["schedule", "sigmoid_mlp"],
            ["ladder", "sigmoid_mlp", "lenet5"],
            ["augmentation", "sigmoid_mlp", "--set", "rotation=5"],
        ),
        1,
    ):
        result = lenette("study", *words, "--seeds", "1", *base)
        assert result.exit_code == 0, result.output
        place = tmp_path / ("out" if number == 1 else f"out-{number}")  # a study never takes another's place
        assert f"lenette study {' '.join(words[:2])}" in (place / "index.html").read_text()
    made = json.loads((place / "study.json").read_text())
    assert [cell["recipe"]["rotation"] for cell in made["cells"]][:2] == [0, 5]


def test_a_second_study_never_overwrites_the_first(base: list[str], tmp_path: Path) -> None:
    words = ["sweep", "sigmoid_mlp", "--over", "lr=0.1,0.5", "--seeds", "1", *base]
    assert lenette(*words).exit_code == 0
    first = (tmp_path / "out" / "study.json").read_bytes()
    other = lenette(*words, "--set", "momentum=0.5")
    assert f"another study lies in {tmp_path / 'out'}: this one goes to {tmp_path / 'out-2'}" in other.stderr
    assert (tmp_path / "out-2" / "index.html").exists()
    assert (tmp_path / "out" / "study.json").read_bytes() == first
    again = lenette(*words)
    assert "another study" not in again.output
    assert not (tmp_path / "out-3").exists()
    (tmp_path / "out" / "study.json").write_text("torn")
    assert f"this one goes to {tmp_path / 'out-3'}" in lenette(*words).stderr


def test_a_range_test_suggests_a_rate(base: list[str], tmp_path: Path) -> None:
    result = lenette("study", "range-test", "lenet5", "--seeds", "1", "--epochs", "4", "--low", "0.001", *base)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "loss.svg").exists()
    again = ("study", "range-test", "lenet5", "--seeds", "1", "--epochs", "4", *base)
    assert "another study" not in lenette(*again, "--low", "0.001").output
    assert "this one goes to" in lenette(*again, "--low", "0.01").stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep", "sigmoid_mlp", "--over", "lrr=0.1"], "unknown field 'lrr'; did you mean 'lr'"),
        (["sweep", "sigmoid_mlp", "--over", "lr=a,b"], "field 'lr' = 'a': must be a number"),
        (["sweep", "sigmoid_mlp"], "Missing option '--over'"),
        (["sweep", "sigmoid", "--over", "lr=0.1"], "did you mean 'sigmoid_mlp'"),
        (["study", "learning-rate", "sigmoid_mlp", "--rates", "x"], "'x' is no list of numbers"),
        (["study", "learning-rate", "sigmoid_mlp", "--rates", "0.1,0.1"], "the value 0.1 is given twice"),
        (["study", "schedule", "sigmoid_mlp", "--set", "lr=0.1,0.2"], "--set lr: one value, not 2"),
        (["study", "learning-rate", "lenet5", "--set", "lr=0.1"], "--set lr: this study sets lr itself"),
        (["sweep", "lenet5", "--over", "lr=0.1,0.2", "--set", "lr=0.3"], "--set lr: this study sets lr itself"),
        (["sweep", "lenet5", "--over", "dataset=mnist,optdigits"], "a sweep over dataset: the figures would not be"),
        (["study", "ladder", "lenet5"], "at least two rungs"),
    ],
)
def test_slips_are_named(words: list[str], message: str) -> None:
    result = lenette(*words)
    assert result.exit_code in (1, 2)
    assert message in result.output


def test_hours_of_work_are_asked_about(base: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def days(jobs: list, **how: object) -> Estimate:
        return Estimate(len(jobs), len(jobs), 100_000.0, "nothing")

    monkeypatch.setattr(many, "estimate", days)
    words = ["sweep", "sigmoid_mlp", "--over", "lr=0.1", "--seeds", "1", *base]
    result = lenette(*words)
    assert result.exit_code == 1
    assert "about 27 h 46 min" in result.output
    assert "add --yes" in result.output
    assert not runs.in_store(tmp_path / "store")
    assert lenette(*words, "--yes").exit_code == 0
