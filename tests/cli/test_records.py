import shutil

import numpy as np
import pytest
from PIL import Image

from lenette import data, runs
from lenette.errors import DataError
from lenette.evidence import sealed
from lenette.prepare import ready
from lenette.records import plain


def test_runs(cli, run, store, tmp_path):
    (row,) = cli.json("runs", "--store", store)
    assert (row["run"], row["status"], row["epochs"]) == (run.id, "done", "2/2")
    assert row["accuracy"] == run.validation_accuracy
    lines = cli("runs", "--store", store).stdout.splitlines()
    assert len(lines) == 2
    assert f"{run.validation_accuracy:.2%} (validation)" in lines[1]
    assert cli.json("runs", "--store", tmp_path) == []
    assert "no runs in" in cli("runs", "--store", tmp_path).stdout


@pytest.mark.parametrize("name", ["run.json", "recipe.toml", "metrics.jsonl"])
def test_a_damaged_run_is_listed_beside_the_others(name, cli, run, tmp_path):
    shutil.copytree(run.folder, tmp_path / run.id)
    shutil.copytree(run.folder, tmp_path / "broken")
    (tmp_path / "broken" / name).write_text("{")
    whole, damaged = cli.json("runs", "--store", tmp_path)
    assert (whole["run"], whole["status"]) == (run.id, "done")
    assert (damaged["run"], damaged["status"]) == ("broken", "damaged")
    result = cli("runs", "--store", tmp_path)
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("broken  damaged: ")
    assert name in result.stderr


def test_show(cli, run, store):
    lines = cli("show", "dig", "--store", store).stdout.splitlines()
    assert [line[:9] for line in lines[:2]] == ["epoch 1/2", "epoch 2/2"]
    facts = cli.json("show", run.folder)
    assert facts["metrics"] == plain(run.metrics)
    assert facts["id"] == run.id


def test_report(cli, run, store, tmp_path):
    assert cli("report", "digits", "--store", store).stdout.strip() == str(run.folder / "report.html")
    out = tmp_path / "page.html"
    assert cli("report", "digits", "--store", store, "--out", out).stdout.strip() == str(out)
    page = out.read_text()
    assert page.startswith("<!doctype html>")
    assert "http" not in page.replace("http://www.w3.org", "")


def test_an_error_of_the_disk_is_a_message(cli, run, tmp_path):
    (tmp_path / "file").touch()
    assert "file" in cli.error("report", run.folder, "--out", tmp_path / "file" / "page.html")


def test_evaluate(cli, run, store):
    result = cli.json("evaluate", "digits", "--store", store)
    assert (result["dataset"], result["part"]) == ("optdigits", "validation")
    assert result["accuracy"] == run.validation_accuracy
    text = cli("evaluate", "digits", "--part", "train", "--store", store).stdout
    assert text.startswith(f"optdigits train: {run.train_accuracy:.2%} (")
    assert len(text.splitlines()) == 11


def test_evaluate_on_integers_is_near_the_floats_and_not_the_same(cli, run, store):
    exact, whole = (cli.json("evaluate", "digits", "--store", store, *more) for more in ([], ["--integer"]))
    assert abs(exact["accuracy"] - whole["accuracy"]) < 0.02
    assert exact["loss"] != whole["loss"]


def test_the_test_set_is_sealed_until_it_is_opened(cli, run, tmp_path):
    copy = runs.Run(shutil.copytree(run.folder, tmp_path / run.id))
    assert "say --open-test" in cli.error("evaluate", copy.folder, "--part", "test")
    assert sealed.openings(copy) == []
    text = cli("evaluate", copy.folder, "--open-test").stdout
    assert text.startswith("optdigits test: ")
    assert f"look 1 at these images by runs of the store {tmp_path}" in text
    again = cli.json("evaluate", copy.folder, "--part", "test", "--open-test")
    assert again["looks"].startswith("look 2 at these images")
    assert len(sealed.openings(copy)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--part", "tset", "--open-test"], "has no part 'tset'; did you mean 'test'?"),
        (["--dataset", "optdigit", "--open-test"], "unknown data set 'optdigit'; did you mean 'optdigits'?"),
        (["--dataset", "mnist", "--open-test"], "data set 'mnist' (test) was not found. Three ways out"),
    ],
)
def test_evaluate_refuses(arguments, message, cli, run):
    assert message in cli.error("evaluate", run.folder, *arguments)
    assert sealed.openings(run) == []


@pytest.fixture
def drawn(tmp_path):
    """A picture, dark on light, of the first digit of the test images."""
    image = 255 - data.load("optdigits", "test").images[0, 0].numpy()
    path = tmp_path / "drawn.png"
    Image.fromarray(np.pad(image, 30, constant_values=255)).resize((200, 180)).save(path)
    return path


def test_predict(cli, run, store, drawn, tmp_path):
    import torch

    (answer,) = cli.json("predict", "digits", drawn, "--store", store, "--save", tmp_path / "seen")
    seen = ready(drawn, run.preparation, run.about.data.shape)
    expected = run.network().probabilities(torch.from_numpy(seen.copy())[None])[0]
    assert list(answer["probabilities"]) == [str(digit) for digit in range(10)]
    assert list(answer["probabilities"].values()) == pytest.approx(expected.tolist())
    assert answer["class"] == str(expected.argmax().item())
    assert np.array_equal(np.asarray(Image.open(answer["seen"])), seen[0])


def test_a_run_predicts_pictures_as_the_command_does(cli, run, store, drawn, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    drawn.rename(pictures / "a.png")
    (pictures / "b.png").write_text("no picture")
    told = cli.json("predict", "digits", pictures, "--store", store, code=1)
    first, second = run.predict(str(pictures))
    assert (first.image, first.name, first.probabilities) == tuple(
        told[0][name] for name in ("image", "class", "probabilities")
    )
    assert (second.name, second.fault) == (None, told[1]["fault"])
    assert [answer.name for answer in run.predict([pictures / "a.png", str(pictures)])] == [
        first.name,
        first.name,
        None,
    ]
    assert [answer.name for answer in run.predict(pictures / "a.png")] == [first.name]
    with pytest.raises(DataError, match="7 is no picture's path"):
        run.predict([7])


def test_predict_shows_what_it_saw(cli, run, store, drawn):
    lines = cli("predict", "digits", drawn, drawn, "--show", "--store", store).stdout.splitlines()
    assert len(lines) == 2 * 29
    assert lines[0].startswith(f"{drawn}: ")
    assert lines[0].count("%") == 3
    assert any("@@" in line for line in lines[1:29])


def test_predict_refuses_what_is_no_picture(cli, run, drawn, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (40, 40), 255).save(tmp_path / "empty.png")
    for name in ("text.png", "empty.png", "missing.png"):
        assert name in cli.error("predict", run.folder, tmp_path / name)


def test_a_damaged_run_is_a_message(cli, run, tmp_path, drawn):
    copy = shutil.copytree(run.folder, tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"")
    assert "are damaged" in cli.error("predict", copy, drawn)
    (copy / "metrics.jsonl").write_text("{")
    assert "metrics.jsonl" in cli.error("show", copy)
    (copy / "run.json").write_text("[")
    assert "run.json" in cli.error("evaluate", copy)
