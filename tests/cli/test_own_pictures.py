"""predict with a network that was trained on a folder of one's own."""

import json
import os
import subprocess
import sys

import numpy as np
from click.testing import CliRunner
from PIL import Image

from lenette.cli import main


def test_pictures_are_taken_as_in_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 4)):
        for name, level in (("dark", 40), ("light", 200)):
            folder = tmp_path / "mine" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(level - 30, level + 30, (12, 12, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    command = ["train", "sigmoid_mlp", "--dataset", "mine", "--epochs", "20", "--batch-size", "8"]
    result = CliRunner().invoke(main, [*command, "--engine", "reference"])
    assert result.exit_code == 0, result.output
    pictures = ["mine/test/dark/0.png", "mine/test/light/0.png"]
    result = CliRunner().invoke(main, ["predict", "sigmoid_mlp", *pictures, "--json"])
    assert [answer["class"] for answer in json.loads(result.stdout)] == ["dark", "light"]
    Image.new("RGB", (9, 9), (200, 200, 200)).save("small.png")
    result = CliRunner().invoke(main, ["predict", "sigmoid_mlp", "small.png", "--json"])
    (answer,) = json.loads(result.stdout)
    assert (answer["class"], result.exit_code) == ("light", 0)
    assert "it was brought to their size, which may not be how they were made" in answer["notes"][0]


def test_one_bad_picture_never_ends_the_others_and_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["train", "sigmoid_mlp", "--dataset", "optdigits", "--epochs", "1"])
    assert result.exit_code == 0, result.output
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        image = Image.new("L", (60, 60), 255)
        image.paste(0, (28, 10, 33, 50))
        image.save(tmp_path / folder / "one.png")
    (tmp_path / "a" / "broken.png").write_text("no picture")
    result = CliRunner().invoke(main, ["predict", "sigmoid_mlp", "a", "b/one.png", "--save", "seen", "--json"])
    assert result.exit_code == 1
    broken, first, second = json.loads(result.stdout)
    assert "broken.png" in broken["fault"]
    assert (first["image"], second["image"]) == ("a/one.png", "b/one.png")
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["one-seen-2.png", "one-seen.png"]


def pictures(root, parts, levels):
    noise = np.random.default_rng(0)
    for part, count in parts.items():
        for name, level in levels.items():
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(level - 30, level + 30, (12, 12)).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")


def lenette(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def train(*arguments):
    result = lenette("train", "sigmoid_mlp", "--epochs", 20, "--batch-size", 8, "--engine", "reference", *arguments)
    assert result.exit_code == 0, result.output
    return result


def test_data_that_changed_since_training_are_refused_and_data_that_moved_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "mine", {"train": 24}, {"dark": 40, "light": 200})
    train("--dataset", "mine", "--protocol", "sealed")
    right = lenette("evaluate", "sigmoid_mlp", "--part", "validation").output
    assert "100.00%" in right
    (tmp_path / "mine").rename(tmp_path / "moved")
    assert "unknown data set 'mine'" in lenette("evaluate", "sigmoid_mlp", "--part", "validation").output
    assert lenette("evaluate", "sigmoid_mlp", "--part", "validation", "--data", "moved").output == right
    on_integers = lenette("evaluate", "sigmoid_mlp", "--part", "validation", "--data", "moved", "--integer")
    assert on_integers.exit_code == 0, on_integers.output
    assert lenette("export", "sigmoid_mlp", "--to", "c", "--data", "moved").exit_code == 0
    (tmp_path / "moved" / "train" / "dark" / "0.png").unlink()
    for part in ("validation", "train"):
        result = lenette("evaluate", "sigmoid_mlp", "--part", part, "--data", "moved")
        assert result.exit_code == 1
        assert "are no longer those that it was trained on: it has 39 training images now, and had 40" in result.output
    (tmp_path / "moved" / "train" / "dark").rename(tmp_path / "moved" / "train" / "night")
    result = lenette("evaluate", "sigmoid_mlp", "--part", "validation", "--data", "moved")
    assert "its classes are others: night is new and dark is missing" in result.output


def test_a_course_run_of_a_set_without_a_test_part_is_evaluated_on_the_part_that_was_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "mine", {"train": 24}, {"dark": 40, "light": 200})
    result = train("--dataset", "mine", "--protocol", "course")
    assert "mine has no test part of its own" in result.stderr
    result = lenette("evaluate", "sigmoid_mlp", "--part", "test")
    assert "mine test: 100.00% (0 errors of 8;" in result.output


def test_another_place_of_the_same_set_is_the_set_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "mine", {"train": 24}, {"dark": 40, "light": 200})
    train("--dataset", "mine", "--protocol", "sealed")
    own = lenette("evaluate", "sigmoid_mlp", "--part", "validation").output
    other = lenette("evaluate", "sigmoid_mlp", "--part", "validation", "--dataset", tmp_path / "mine").output
    assert other.partition(":")[2] == own.partition(":")[2] != ""


def test_a_class_of_one_picture_is_told_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures(tmp_path / "mine", {"train": 24}, {"dark": 40, "light": 200})
    (tmp_path / "mine" / "train" / "rare").mkdir()
    Image.new("L", (12, 12), 128).save(tmp_path / "mine" / "train" / "rare" / "0.png")
    result = train("--dataset", "mine")
    assert "one image alone of 'rare': it is trained on, and never held out" in result.stderr


def test_answers_of_a_table_are_a_submission(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = noise.integers(0, 60, (60, 36)) + labels[:, None] * 150
    (tmp_path / "kaggle").mkdir()
    names = ",".join(f"pixel{number}" for number in range(36))
    rows = np.concatenate([labels[:, None], images], 1)
    np.savetxt("kaggle/train.csv", rows, "%d", ",", header=f"label,{names}", comments="")
    np.savetxt("kaggle/test.csv", images[:7], "%d", ",", header=names, comments="")
    train("--dataset", "kaggle")
    result = lenette("predict", "sigmoid_mlp", "kaggle/test.csv")
    assert (result.exit_code, result.output) == (0, "kaggle/test.csv: 7 images; their classes are in submission.csv\n")
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert lines == ["ImageId,Label", *(f"{number},{label}" for number, label in enumerate(labels[:7].tolist(), 1))]
    answers = json.loads(lenette("predict", "sigmoid_mlp", "kaggle/test.csv", "--json", "--save", "out").output)
    assert [answer["class"] for answer in answers] == [str(label) for label in labels[:7]]
    assert (tmp_path / "out" / "submission.csv").exists()
    np.savetxt("small.csv", images[:2, :25], "%d", ",", header=",".join(names.split(",")[:25]), comments="")
    result = lenette("predict", "sigmoid_mlp", "small.csv")
    assert result.exit_code == 1
    assert "images of [1, 5, 5]; the network takes [1, 6, 6]" in result.output


def test_names_that_a_code_page_lacks_never_end_a_command(tmp_path):
    pictures(tmp_path / "zh", {"train": 12}, {"Ж": 40, "Я": 200})
    train("--dataset", tmp_path / "zh", "--store", tmp_path / "runs")
    command = [sys.executable, "-m", "lenette", "evaluate", "sigmoid_mlp", "--part", "train", "--store", "runs"]
    result = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=True
    )
    assert rb"\u0416: " in result.stdout
