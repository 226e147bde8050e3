"""The range test: its rates rise, it stops where the loss breaks away, and its suggestion follows its rule."""

import json
from pathlib import Path

import pytest
import torch

from lenette.errors import RecipeError
from lenette.recipes import Recipe
from lenette.studies import RangeTest, range_test
from lenette.studies.range_test import RisingPlan, suggest


def test_the_rates_rise_exponentially_from_low_to_high() -> None:
    plan = RisingPlan(Recipe(model="lenet5", epochs=2, batch_size=50), 0, 300)
    plan.low, plan.high = 1e-3, 10.0
    rates = plan.rates().double()
    assert len(rates) == 12
    assert rates[0] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(10.0)
    torch.testing.assert_close(rates[1:] / rates[:-1], torch.full((11,), 1e4 ** (1 / 11), dtype=torch.float64))


def test_the_suggestion_is_a_tenth_of_the_rate_of_the_lowest_smoothed_loss() -> None:
    assert suggest([0.1, 0.2, 0.4, 0.8], [2.0, 1.5, 1.2, 3.0]) == pytest.approx(0.04)
    assert suggest([0.1, 0.2], [2.0, 3.0]) is None
    assert suggest([], []) is None


def test_a_range_test_on_images_stops_where_the_loss_breaks_away(tiny_folder: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    recipe = Recipe(name="tiny", model="lenet5", dataset=str(tiny_folder), batch_size=10)
    found = range_test(recipe, low=1e-3, high=1e3, epochs=6, seeds=2, threads=1)
    assert torch.get_num_threads() == threads
    assert found.num_steps == 150
    assert all(len(losses) < 150 for losses in found.losses)
    assert found.suggestion is not None
    assert 1e-3 < found.suggestion < 1
    assert found.losses[0] != found.losses[1]
    text = " ".join(found.answer)
    assert f"{found.suggestion:.2g} is suggested" in text
    assert "the loss went up beyond 4 times its lowest" in text

    found.save(tmp_path)
    assert json.loads((tmp_path / "study.json").read_text())["suggestion"] == found.suggestion
    rows = (tmp_path / "runs.csv").read_text().splitlines()
    assert len(rows) == 1 + sum(map(len, found.losses))


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    found = RangeTest("t", "mnist", 2, [0], [0.1, 0.2], [[2.0, 3.0]], [[2.0, 2.5]], [None])
    assert found.suggestion is None
    assert found.answer == ["The loss never fell between the rates 0.1 and 0.2: nothing to suggest."]


def test_rates_that_dont_rise_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"low = 1, high = 0\.1"):
        range_test(Recipe(model="lenet5"), low=1, high=0.1)
