"""The device card counts what it says it counts."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lenette import integer
from lenette.exports import card
from lenette.inference import Network


@pytest.fixture
def network() -> integer.IntegerNetwork:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3))
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), np.uint8))
    return integer.quantise(Network(model.eval(), ["a", "b", "c"], [1, 8, 8], [0.5], [0.3]), images)


def test_multiply_adds_are_those_of_the_layers(network):
    assert list(card.card(network).layers.values()) == [4 * 9 * 36, 36 * 3]


def test_the_card_says_what_fits(network):
    text, page = (content.decode() for content in card.contents(network, "a <small> network").values())
    assert "multiply-adds of one image" in text
    assert "a &lt;small&gt; network" in page
    if shutil.which("arm-none-eabi-gcc"):
        assert any(line.startswith("STM32F401RE ") and line.endswith("fits") for line in text.splitlines())


def test_the_stack_is_the_deepest_that_was_measured():
    found = json.loads((Path(__file__).parents[2] / "results/shipping/emulated.json").read_text())
    assert max(machine["stack_bytes"] for machine in found["machines"].values()) == card.STACK


def test_a_chip_that_is_too_small_is_told_with_what_it_lacks():
    made = card.Card({"AVR": 40000}, {"conv": 1}, 3000, 784, 20, 516)
    told = dict(card.rows(made))
    assert told["ATmega328P (Arduino Uno)"].startswith(
        "doesn't fit, flash: 40,000 of 32,768 bytes, RAM: 4,320 of 2,048"
    )
