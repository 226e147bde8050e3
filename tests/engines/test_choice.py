"""What is said of the engine that was chosen."""

import json
from pathlib import Path

import pytest
from torch import nn

from lenette import data, engines
from lenette.engines import TIMES_SLOWER
from lenette.models import build
from lenette.recipes import Recipe

MEASURED = Path(__file__).parents[2] / "results" / "benchmarks" / "engines.json"


def said(network, engine="auto", threads=2):
    digits = data.load("optdigits")
    return engines.words(engines.choose(engine, "cpu", threads, network, Recipe(model="own"), digits))


def test_of_the_native_engine_it_is_the_threads():
    assert said(nn.Sequential(nn.Flatten(), nn.Linear(784, 10))) == "engine: native, 2 CPU threads"


@pytest.mark.parametrize(
    ("network", "engine", "why"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Mish()), "auto", "'2' (Mish)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "reference", "as asked"),
    ],
)
def test_of_the_reference_it_is_the_reason_and_the_cost(network, engine, why):
    line = said(network, engine, threads=1)
    assert line.startswith("engine: reference, 1 CPU thread: ")
    assert why in line
    assert "1.5 to 10 times as slow" in line
    assert "\n" not in line


def test_a_missing_compiler_is_a_reason(monkeypatch):
    monkeypatch.setenv("CXX", "none")
    assert "finds none" in said(build("sigmoid_mlp"))


def test_the_cost_is_what_was_measured():
    networks = json.loads(MEASURED.read_text(encoding="utf-8"))["networks"].values()
    times = [network["times_faster"] for network in networks]
    low, high = TIMES_SLOWER
    assert low == pytest.approx(min(times), rel=0.2)
    assert high == pytest.approx(max(times), rel=0.2)
