"""The candidates for our own recipes: within their budgets, and three of them are what is shipped."""

import re
import runpy
from pathlib import Path

import pytest

from lenette import recipes
from lenette.evidence.rule import PRESETS
from lenette.models import build, count_parameters
from lenette.recipes import Recipe

ROOT = Path(__file__).parent.parent
SCRIPT = runpy.run_path(str(ROOT / "benchmarks" / "candidates.py"))
CANDIDATES, COMMON, network = (SCRIPT[name] for name in ("CANDIDATES", "COMMON", "network"))


@pytest.mark.parametrize("name", CANDIDATES)
def test_is_within_its_budget(name):
    words, changes = CANDIDATES[name]
    (budget,) = (limits for preset, limits in PRESETS.items() if preset.endswith(f"{_size(name)}k"))
    assert count_parameters(network(words)) <= budget["max_parameters"]
    assert {**COMMON, **changes}["epochs"] <= budget["max_epochs"]


@pytest.mark.parametrize("size", [8, 10, 20])
def test_the_chosen_one_is_shipped(size):
    words, changes = CANDIDATES[f"separable{size}"]
    shipped = recipes.load(f"under_{size}k")
    assert str(network(words)) == str(build(shipped.model))
    assert not Recipe(**{**COMMON, **changes, "model": shipped.model}).differences(shipped)


def test_every_candidate_is_in_the_log():
    log = (ROOT / "docs" / "LOG.md").read_text(encoding="utf-8")
    assert [name for name in CANDIDATES if f"| `{name}` |" not in log] == []


def test_the_log_says_what_choosing_is_worth():
    log = (ROOT / "docs" / "LOG.md").read_text(encoding="utf-8")
    assert "\n".join(SCRIPT["winners"](log)) in log
    (_, _, *rows) = SCRIPT["winners"]("| `a8` | 1 | 4 | 99.5 | 0.03 | 0 |\n| `b8` | 1 | 4 | 99.6 | 0.03 | 0 |\n" + log)
    assert rows[0].startswith("| 8,000 | 37 | `b8` | 99.6 |")


def _size(name):
    return next(size for size in (8, 10, 20) if re.search(rf"\D{size}(_|$)", name))
