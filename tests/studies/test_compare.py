"""What may be said of cells: differences, the preferred one, convergence, diagnosis."""

import random
from dataclasses import asdict

import pytest

from lenette import stats
from lenette.stats import difference_among, paired_difference
from lenette.studies import compare
from tests.studies.made_up import EPOCHS, cell, diverged, errors, rates, run, study


def test_the_preferred_cell_has_the_lowest_error_of_those_that_diverged_least() -> None:
    found = rates(r0_1=errors(0.03), r0_2=errors(0.02), r0_5=[*errors(0.01, 4), diverged(4)])
    best = compare.preferred(found)
    assert best is not None
    assert best.name == "lr 0.2"
    assert compare.preferred(rates(r0_5=[diverged(0), diverged(1)])) is None


def test_settled_differences_are_paired_by_seed_and_bonferroni_widens_them() -> None:
    cells = [cell("a", errors(0.03)), cell("b", errors(0.02)), cell("c", [*errors(0.021, 4), diverged(4)])]
    one, two = compare.from_first(study("augmentation", cells))
    assert (one.first, one.second, one.verdict, one.mean.count) == ("a", "b", "lower", 5)
    assert (two.second, two.mean.count) == ("c", 4)
    first, second = (list(cells[place].values("test_error").values()) for place in (0, 1))
    assert one.mean == paired_difference(second, first, 0.975)
    steps = compare.step_by_step(study("ladder", cells))
    assert [(step.first, step.second) for step in steps] == [("a", "b"), ("b", "c")]


def test_against_the_preferred_cell_intervals_hold_for_all_pairs() -> None:
    found = rates(r0_1=errors(0.03), r0_2=errors(0.02), r0_5=[*errors(0.021, 4), diverged(4)])
    by_name = {one.second: one for one in compare.from_preferred(found)}
    assert set(by_name) == {"lr 0.1", "lr 0.5"}
    assert by_name["lr 0.1"].verdict == "higher"
    assert by_name["lr 0.5"].mean.count == 4
    first, second = (list(found.cells[place].values("test_error").values()) for place in (1, 0))
    assert by_name["lr 0.1"].mean == difference_among(second, first, 3)


def test_the_power_is_that_of_the_pooled_spread() -> None:
    draw = random.Random(2)
    cells = [cell(f"{place}", [run(seed, error=draw.gauss(0.01, 0.001)) for seed in range(10)]) for place in range(4)]
    found = compare.power(study("augmentation", cells), 0.001)
    assert found is not None
    assert found.deviation == pytest.approx(0.001 * 2**0.5, rel=0.2)
    assert found.power == stats.power(0.001, found.deviation, 10, 1 - 0.05 / 3)
    assert found.seeds_needed is not None
    assert stats.power(0.001, found.deviation, found.seeds_needed, 1 - 0.05 / 3) >= 0.8
    assert stats.power(0.001, found.deviation, found.seeds_needed - 1, 1 - 0.05 / 3) < 0.8
    alike = [cell(name, [run(seed) for seed in range(3)]) for name in "ab"]
    assert compare.power(study("augmentation", alike), 0.001) is None
    assert compare.power(study("augmentation", [cell("a", errors(0.02, 1)), cell("b", errors(0.02, 1))]), 0.001) is None


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
    assert [one.epoch for one in found] == [2, 4, 8]
    last = found[-1]
    assert last.goal == pytest.approx(0.082)
    assert last.cells["fixed"].num_reached == 3
    assert last.cells["fixed"].epochs.high >= 8 >= last.cells["fixed"].epochs.low
    assert last.cells["falling"].epochs.mean < 7
    assert last.cells["stuck"] == compare.Reached(3, 0, None)


def rising(seed: int) -> list[float]:
    return [0.2, 0.1, 0.07, 0.06 + seed / 1e4, 0.065, 0.07, 0.08, 0.09]


def test_a_test_loss_that_rises_while_train_falls_is_overfitting() -> None:
    runs = [run(seed, loss=0.09, train_loss=0.04 + seed / 1e4, curve={"test_loss": rising(seed)}) for seed in range(5)]
    found = compare.diagnosis(study("sweep", [cell("one", runs)]), cell("one", runs))
    assert found.verdict == "overfits"
    assert found.rise.epoch == 4
    assert found.rise.part_loss.mean == pytest.approx(0.0298)
    assert found.rise.train_loss.mean < 0


def test_noise_in_the_test_loss_is_no_rise_and_a_gap_is_told_from_none() -> None:
    draw = random.Random(1)

    def verdict(loss: float) -> str:
        runs = []
        for seed in range(5):
            curve = [max(loss, 0.04) + draw.gauss(0, 0.002) for _ in range(EPOCHS)]
            train = 0.04 + draw.gauss(0, 0.001)
            runs.append(run(seed, loss=curve[-1], train_loss=train, curve={"test_loss": curve}))
        one = cell("one", runs)
        return compare.diagnosis(study("sweep", [one]), one).verdict

    assert verdict(0.08) == "gap"
    assert verdict(0.04) == "no gap"
    single = cell("one", errors(0.02, 1))
    assert compare.diagnosis(study("sweep", [single]), single).verdict == "unknown"


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
