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
    Image.new("RGB", (9, 9)).save("small.png")
    result = CliRunner().invoke(main, ["predict", "sigmoid_mlp", "small.png"])
    assert result.exit_code == 1
    assert "takes uint8 [N, 3, 12, 12]" in result.output
