"""The word for an unsure answer: its figures are those of the committed result."""

import json
from pathlib import Path

import pytest

from lenette.data.preparation import MNIST, Preparation
from lenette.prepare import doubt

RESULT = json.loads((Path(__file__).parents[1] / "results" / "unsure.json").read_text())
DIGITS = "0123456789"


def test_the_figures_are_those_of_the_committed_result():
    assert RESULT["threshold"] == doubt.THRESHOLD
    mean = RESULT["mean"]
    shares = [mean[name] for name in ("digits", "letters", "clothes", "noise")]
    assert pytest.approx(shares, abs=0.0005) == [doubt.DIGITS, doubt.LETTERS, doubt.CLOTHES, doubt.NOISE]


def test_the_threshold_tells_more_of_what_is_no_digit_than_of_digits():
    assert doubt.DIGITS < 0.03
    assert min(doubt.LETTERS, doubt.CLOTHES, doubt.NOISE) > 5 * doubt.DIGITS
    for row in RESULT["networks"].values():
        assert row["wrong answers"] > 10 * row["digits"]


def test_an_answer_below_it_is_called_unsure_and_no_other():
    below, at = doubt.THRESHOLD - 1e-6, doubt.THRESHOLD
    assert doubt.unsure(below, MNIST, DIGITS).startswith(f"unsure: under {at:.0%}, as ")
    assert doubt.unsure(at, MNIST, DIGITS) == ""
    assert doubt.unsure(below, MNIST, ["cat", "dog"]) == ""
    assert doubt.unsure(below, Preparation(), DIGITS) == ""
