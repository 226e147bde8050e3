"""predict with a network that was trained on a folder of one's own."""

import json

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
