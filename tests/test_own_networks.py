"""Networks of one's own from the command line: what is said before the first step, and that their runs stand alone."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from lenette.cli import main

HEAD = """\
import random

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(42)


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.a, self.b = nn.Linear(784, 16), nn.Linear(16, classes)

    def forward(self, x):
        x = self.a(x.flatten(1)).relu()
"""
SOFTMAX = HEAD + "        return F.softmax(self.b(x), 1)\n"
DICE = HEAD + "        return self.b(x * random.random() if self.training else x)\n"
LOST = HEAD + "        return self.b(F.dropout(x))\n"


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def train(text, *arguments):
        (tmp_path / "net.py").write_text(text)
        command = ["train", "net.py:Net", "--dataset", "optdigits", "--epochs", "1", "--threads", "1", *arguments]
        return CliRunner().invoke(main, command)

    return train


def test_a_softmax_and_seeds_are_told_before_the_first_step_and_training_goes_on(train):
    result = train(SOFTMAX)
    assert result.exit_code == 0, result.output
    told, _, rest = result.output.partition("epoch 1/1")
    assert "net.py:Net calls torch.manual_seed: that was left out, since the run's seed decides" in told
    assert "net.py:Net: the network was made by Net(classes=10)" in told
    assert "*** the network ends in a softmax" in told
    assert "validation images right" in rest


def test_ten_seeds_differ_and_one_seed_twice_does_not(train, tmp_path):
    weights = []
    for seed, store in ((0, "a"), (1, "a"), (0, "b")):
        result = train(DICE, "--seed", str(seed), "--store", store, "--json")
        assert result.exit_code == 0, result.output
        folder = json.loads(result.stdout)["folder"]
        weights.append(load_file(tmp_path / folder / "model.safetensors")["a.weight"])
    assert weights[0].equal(weights[2])
    assert not weights[0].equal(weights[1])


def test_dropout_that_never_stops_is_refused_by_its_line(train):
    result = train(LOST)
    assert result.exit_code == 1
    assert "dropout (net.py:17) never stops" in result.stderr
    assert not Path("runs").exists()


def test_a_run_needs_nothing_of_what_lay_beside_its_network(train, tmp_path):
    (tmp_path / "blocks.py").write_text("WIDTH = 16\n")
    result = train(SOFTMAX.replace("import random", "from blocks import WIDTH").replace("16", "WIDTH"))
    assert result.exit_code == 0, result.output
    (tmp_path / "blocks.py").write_text("WIDTH = 3\n")
    (tmp_path / "net.py").unlink()
    shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    result = CliRunner().invoke(main, ["evaluate", "Net", "--store", "elsewhere", "--part", "validation"])
    assert result.exit_code == 0, result.output
