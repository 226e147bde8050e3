"""What may be said of cells: differences, the preferred one, convergence, diagnosis."""

import random
from dataclasses import asdict

import pytest

from lenette.stats import paired_difference
from lenette.studies import compare
from tests.studies.made_up import EPOCHS, cell, diverged, errors, rates, run, study


def test_the_preferred_cell_has_the_lowest_error_of_those_that_diverged_least() -> None:
    found = rates(r0_1=errors(0.03), r0_2=errors(0.02), r0_5=[*errors(0.01, 4), diverged(4)])
    best = compare.preferred(found)
    assert best is not None
    assert best.name == "lr 0.2"
    assert compare.preferred(rates(r0_5=[diverged(0), diverged(1)])) is None


def test_differences_are_paired_by_seed_and_bonferroni_widens_them() -> None:
    found = rates(r0_1=errors(0.03), r0_2=errors(0.02), r0_5=[*errors(0.021, 4), diverged(4)])
    by_name = {one["second"]: one for one in compare.from_preferred(found)}
    assert set(by_name) == {"lr 0.1", "lr 0.5"}
    assert by_name["lr 0.1"]["verdict"] == "higher"
    assert by_name["lr 0.5"]["num_seeds"] == 4
    one, two = found.cells[1].values("test_error"), found.cells[0].values("test_error")
    expected = paired_difference(list(two.values()), list(one.values()), 0.975)
    assert by_name["lr 0.1"]["low"] == pytest.approx(expected.low)
    assert by_name["lr 0.1"]["level"] == pytest.approx(0.975)


def test_the_truly_best_is_seldom_called_worse() -> None:
    """Five cells that differ in nothing: each is truly best, and is to be called worse in at most 5 % of studies."""
    draw = random.Random(0)
    wrong = 0
    for _ in range(400):
        cells = [[run(seed, error=draw.gauss(0.02, 0.001)) for seed in range(5)] for _ in range(5)]
        found = compare.from_preferred(rates(**{f"r0_{place + 1}": runs for place, runs in enumerate(cells)}))
        wrong += any(one["second"] == "lr 0.1" and one["verdict"] == "higher" for one in found)
    assert wrong / 400 < 0.05


def test_epochs_to_a_loss_are_linear_between_the_ends_of_epochs() -> None:
    curve = [0.5, 0.3, 0.4, 0.1]
    assert compare.epochs_to(curve, 0.6) == 1.0
    assert compare.epochs_to(curve, 0.4) == pytest.approx(1.5)
    assert compare.epochs_to(curve, 0.3) == 2.0
    assert compare.epochs_to(curve, 0.2) == pytest.approx(3 + 2 / 3)
    assert compare.epochs_to(curve, 0.05) is None


def test_convergence_is_held_against_what_every_seed_of_the_first_cell_has() -> None:
    slow = [run(seed, train_loss=0.08 + seed / 1000) for seed in range(3)]
    fast = [run(seed, train_loss=0.04 + seed / 1000) for seed in range(3)]
    stuck = [run(seed, curve={"train_loss": [1.0] * EPOCHS}) for seed in range(2)] + [diverged(2)]
    found = compare.convergence(
        study("schedule", [cell("fixed", slow), cell("falling", fast), cell("stuck", stuck)]), "train_loss"
    )
    assert [one["epoch"] for one in found] == [2, 4, 8]
    last = found[-1]
    assert last["goal"] == pytest.approx(0.082)
    assert last["cells"]["fixed"]["num_reached"] == 3
    assert last["cells"]["fixed"]["epochs"]["high"] >= 8 >= last["cells"]["fixed"]["epochs"]["low"]
    assert last["cells"]["falling"]["epochs"]["mean"] < 7
    assert last["cells"]["stuck"] == {"num_seeds": 3, "num_reached": 0, "epochs": None}


def rising(seed: int) -> list[float]:
    return [0.2, 0.1, 0.07, 0.06 + seed / 1e4, 0.065, 0.07, 0.08, 0.09]


def test_a_test_loss_that_rises_while_train_falls_is_overfitting() -> None:
    runs = [run(seed, loss=0.09, train_loss=0.04 + seed / 1e4, curve={"test_loss": rising(seed)}) for seed in range(5)]
    found = compare.diagnosis(study("sweep", [cell("one", runs)]), cell("one", runs))
    assert found["verdict"] == "overfits"
    assert found["rise"]["epoch"] == 4
    assert found["rise"]["part_loss"]["mean"] == pytest.approx(0.0298)
    assert found["rise"]["train_loss"]["mean"] < 0


def test_noise_in_the_test_loss_is_no_rise_and_a_gap_is_told_from_none() -> None:
    draw = random.Random(1)

    def verdict(loss: float) -> str:
        runs = []
        for seed in range(5):
            curve = [max(loss, 0.04) + draw.gauss(0, 0.002) for _ in range(EPOCHS)]
            train = 0.04 + draw.gauss(0, 0.001)
            runs.append(run(seed, loss=curve[-1], train_loss=train, curve={"test_loss": curve}))
        one = cell("one", runs)
        return compare.diagnosis(study("sweep", [one]), one)["verdict"]

    assert verdict(0.08) == "gap"
    assert verdict(0.04) == "no gap"
    single = cell("one", errors(0.02, 1))
    assert compare.diagnosis(study("sweep", [single]), single)["verdict"] == "unknown"


def test_seeds_that_failed_are_named() -> None:
    found = rates(r0_1=[run(0), run(1, error=0.4), run(2, error=0.9), run(3, error=0.03)], r0_5=errors(0.5))
    assert compare.failed(found, found.cells[0]) == {1: 0.4}
    assert compare.failed(found, found.cells[1]) == {}


def test_intervals_end_where_errors_and_losses_do() -> None:
    spread = cell("x", [run(0, error=0.01, loss=0.01), run(1, error=0.9, loss=2.0)])
    error, loss, gap = (asdict(spread.mean(name)) for name in ("test_error", "test_loss", "gap_error"))
    assert (error["low"], error["high"], loss["low"]) == (0, 1, 0)
    assert loss["high"] > 2
    assert gap["low"] < 0


def test_seeds_at_chance_are_named() -> None:
    found = rates(r0_1=[run(0), run(1, error=0.9)])
    assert compare.at_chance(found, found.cells[0]) == [1]
