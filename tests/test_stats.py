import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from lenette import stats
from lenette.errors import LenetteError

# Hours of sleep gained with two drugs, ten patients: the data of Student's paper of 1908 (Cushny and Peebles, 1905).
SLEEP_FIRST = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
SLEEP_SECOND = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)

RESULTS = Path(__file__).parents[1] / "results"

accuracies = st.lists(st.integers(9800, 10_000).map(lambda correct: correct / 10_000), min_size=1, max_size=12)


def test_one_run_of_9941_in_10000():
    interval = stats.accuracy_interval(9941, 10_000)
    assert interval.proportion == 0.9941
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.9924, 0.9954)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_meets_newcombes_table(correct, total, low, high):
    interval = stats.accuracy_interval(correct, total)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


@pytest.mark.parametrize("accuracy", [0.90, 0.99, 0.994])
def test_wilson_covers_an_accuracy_at_its_level(accuracy):
    total = 10_000
    correct = np.arange(total * accuracy - 80 * math.sqrt(1 - accuracy) * 5, total).astype(int)
    covered = [
        interval.low <= accuracy <= interval.high for k in correct if (interval := stats.accuracy_interval(k, total))
    ]
    assert scipy_stats.binom.pmf(correct, total, accuracy) @ covered == pytest.approx(0.95, abs=0.006)


@pytest.mark.parametrize(("correct", "total"), [(5, 4), (-1, 4), (0, 0), (0.5, 1), (float("nan"), 10), ("5", 10)])
def test_impossible_counts_are_refused(correct, total):
    with pytest.raises(LenetteError, match=str(correct) if total else "at least 1 image"):
        stats.accuracy_interval(correct, total)


def test_mean_interval_meets_scipy():
    values = np.random.default_rng(0).normal(0.994, 4e-4, 10)
    mean = stats.mean_interval(values, 0.9)
    low, high = scipy_stats.t.interval(0.9, 9, values.mean(), scipy_stats.sem(values))
    assert (mean.count, mean.mean, mean.deviation) == (10, values.mean(), values.std(ddof=1))
    assert (mean.low, mean.high) == pytest.approx((low, high), rel=1e-12)


def shipped(name):
    proof = json.loads((RESULTS / f"{name}.json").read_text())
    return [run["accuracy"] for run in proof["runs"]]


@pytest.mark.parametrize(
    ("name", "places"),
    [("claims/ladder_12k", [4, 5]), ("claims/lenet5", [2])]
    + [(f"claims/{name}", []) for name in ("sigmoid_mlp", "ladder_7k", "ladder_15k", "deep_19k", "four_conv_593k")]
    + [(f"certificates/under_{size}k", []) for size in (8, 10, 20)],
)
def test_the_shipped_seeds_that_lost_a_class_are_found_and_no_others(name, places):
    assert stats.collapsed(shipped(name)) == places


def test_a_spread_says_what_an_interval_above_every_seed_hides():
    values = shipped("claims/lenet5")
    assert stats.mean_interval(values).high > max(values)
    found = stats.spread(values)
    assert (found.count, found.minimum, found.maximum, found.collapsed) == (10, 0.97, 0.9918, (2,))
    assert found.median == pytest.approx(0.99095)
    assert stats.spread([0.5]) == stats.Spread(1, 0.5, 0.5, 0.5, ())


def test_seeds_that_scatter_alike_have_not_collapsed():
    assert stats.collapsed([0.99, 0.99, 0.99, 0.985]) == []
    assert stats.collapsed([0.99, 0.99, 0.99, 0.97]) == [3]
    assert "more than 1 point and more than 10 robust deviations" in stats.COLLAPSE_RULE
    draws = np.random.default_rng(2).normal(0.7, 0.03, (2000, 10))
    wrong = np.mean([bool(stats.collapsed(row)) for row in draws])
    assert wrong < 0.004
    with pytest.raises(LenetteError, match="accuracies"):
        stats.collapsed([])


def test_paired_difference_meets_the_sleep_data():
    difference = stats.paired_difference(SLEEP_SECOND, SLEEP_FIRST)
    assert difference.mean == pytest.approx(1.58)
    assert (difference.low, difference.high) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)


def test_a_difference_among_groups_meets_published_tables_and_welch():
    one, two = [1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.0, 13.0, 14.0, 15.0]
    found = stats.difference_among(two, one, 5)
    # q(0.05; 5 groups, 8 degrees of freedom) = 4.886, Pearson and Hartley's table
    assert found.high - found.mean == pytest.approx(4.886 * math.sqrt((2.5 / 5 + 2.5 / 5) / 2), abs=5e-4)
    assert (found.count, found.mean, found.deviation) == (5, 10.0, pytest.approx(math.sqrt(5)))
    welch = scipy_stats.ttest_ind(one, two, equal_var=False).confidence_interval(0.95)
    pair = stats.difference_among(one, two, 2)
    assert (pair.low, pair.high) == pytest.approx((welch.low, welch.high))
    # a group without any scatter counts, with the other's degrees of freedom
    assert stats.difference_among([1.0] * 5, two, 2).high < 0


def test_a_difference_without_a_spread_has_no_interval_and_slips_are_named():
    assert stats.difference_among([1.0], [2.0], 3).low == -math.inf
    assert stats.difference_among([1.0, 1.0], [2.0, 2.0], 3).high == math.inf
    with pytest.raises(LenetteError, match="among 1 groups"):
        stats.difference_among([1.0, 2.0], [1.0, 2.0], 1)


def test_the_power_is_how_often_intervals_leave_out_zero():
    draws = np.random.default_rng(3).normal(0.1, 0.1, (4000, 8))
    seen = np.mean([stats.mean_interval(row, 0.99).low > 0 for row in draws])
    assert stats.power(0.1, 0.1, 8, 0.99) == pytest.approx(seen, abs=0.025)
    assert stats.power(-0.1, 0.1, 8, 0.99) == stats.power(0.1, 0.1, 8, 0.99)
    assert stats.power(0.0, 0.1, 8, 0.95) == pytest.approx(0.025)
    assert stats.power(0.1, 0.1, 1) == 0
    for deviation, count in ((0.0, 8), (0.1, 0)):
        with pytest.raises(LenetteError, match="deviation is 0.0" if count else "count is 0"):
            stats.power(0.1, deviation, count)


# Known since Tippett: 1 / sqrt(pi) of two, 3 / (2 sqrt(pi)) of three, and his table's of 10, 100 and 1,000.
@pytest.mark.parametrize(
    ("count", "mean"),
    [(1, 0.0), (2, math.pi**-0.5), (3, 1.5 * math.pi**-0.5), (10, 1.53875), (100, 2.50759), (1000, 3.24144)],
)
def test_the_largest_of_many_draws(count, mean):
    assert stats.expected_maximum(count) == pytest.approx(mean, abs=1e-5)
    assert np.random.default_rng(count).normal(size=(4000, count)).max(1).mean() == pytest.approx(mean, abs=0.05)


def test_the_largest_of_no_draws_is_refused():
    with pytest.raises(LenetteError, match="largest of 0"):
        stats.expected_maximum(0)


def test_a_paired_difference_sees_what_the_seeds_share():
    rng = np.random.default_rng(1)
    seeds, effect = rng.normal(0.99, 1e-3, 10), rng.normal(3e-4, 1e-4, 10)
    assert stats.paired_difference(seeds + effect, seeds).low > 0
    assert stats.mean_interval(seeds + effect).low < seeds.mean()


@pytest.mark.parametrize("values", [[0.9952], [0.9952] * 10])
def test_without_a_spread_there_is_no_bound(values):
    mean, decision, place = (
        stats.mean_interval(values),
        stats.verdict(values, 0.994),
        stats.position(0.9945, values),
    )
    assert (mean.mean, mean.low, mean.high) == (pytest.approx(0.9952), -math.inf, math.inf)
    assert (decision.verdict, decision.low, decision.high) == ("undecided", -math.inf, math.inf)
    assert ("one value" if len(values) == 1 else "all 10 values are the same") in decision.note
    assert (place.below, place.above, place.low, place.high) == (0, len(values), -math.inf, math.inf)


def test_differences_equal_but_for_rounding_have_no_spread():
    first, second = np.array([0.2, 0.3, 0.4]), np.array([0.1, 0.2, 0.3])
    assert np.ptp(first - second) > 0
    assert stats.paired_difference(first, second).deviation == 0
    assert stats.paired_difference(first, second).high == math.inf


def test_verdicts_and_their_bounds():
    values = [0.9950, 0.9952, 0.9949, 0.9955, 0.9951]
    half_width = scipy_stats.t.ppf(0.95, 4) * scipy_stats.sem(values)
    decision = stats.verdict(values, 0.9948)
    assert (decision.low, decision.high) == pytest.approx((np.mean(values) - half_width, np.mean(values) + half_width))
    assert (decision.verdict, decision.note) == ("proven", "")
    assert stats.verdict(values, 0.9951).verdict == "undecided"
    assert stats.verdict(values, 0.9955).verdict == "refuted"


@given(accuracies, st.floats(0.98, 1), st.sampled_from([0.6, 0.95, 0.99]))
def test_a_verdict_is_the_place_of_the_threshold(values, threshold, level):
    decision = stats.verdict(values, threshold, level)
    assert (decision.verdict == "proven") == (threshold <= decision.low)
    assert (decision.verdict == "refuted") == (threshold > decision.high)
    assert decision.low <= decision.mean <= decision.high
    assert bool(decision.note) == math.isinf(decision.high)


TRIALS = 4000


def rates(mean, threshold, level, grid=0.0):
    """Shares of proven and refuted in simulated proofs of 5 seeds each, on values rounded to `grid`."""
    values = np.random.default_rng(2).normal(mean, 4e-4, (TRIALS, 5))
    if grid:
        values = np.round(values / grid) * grid
    verdicts = [stats.verdict(row, threshold, level).verdict for row in values]
    return verdicts.count("proven") / TRIALS, verdicts.count("refuted") / TRIALS


def four_errors(rate, trials=TRIALS):
    """Four standard errors of a simulated rate."""
    return 4 * math.sqrt(rate * (1 - rate) / trials)


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("grid", [0.0, 1e-4])
def test_at_the_threshold_each_verdict_errs_at_its_level(level, grid):
    """The hardest case of a true claim, and the limit of the false ones; on exact values and on counts of images."""
    proven, refuted = rates(0.994, 0.994, level, grid)
    assert proven == pytest.approx(1 - level, abs=four_errors(1 - level))
    assert refuted == pytest.approx(1 - level, abs=four_errors(1 - level))


@pytest.mark.parametrize("shortfall", [2e-4, 5e-4])
def test_a_false_claim_is_refuted_at_the_rate_of_the_noncentral_t(shortfall):
    proven, refuted = rates(0.994 - shortfall, 0.994, 0.95)
    power = scipy_stats.nct.cdf(-scipy_stats.t.ppf(0.95, 4), 4, -shortfall / 4e-4 * math.sqrt(5))
    assert refuted == pytest.approx(power, abs=four_errors(power))
    assert proven < 0.05


def test_a_true_claim_is_hardly_ever_refuted():
    proven, refuted = rates(0.9945, 0.994, 0.95)
    assert refuted < 0.005
    assert proven > 0.5


def test_intervals_cover_at_their_level():
    values = np.random.default_rng(3).normal(0.994, 4e-4, (TRIALS, 6))
    means = [stats.mean_interval(row) for row in values]
    assert np.mean([mean.low <= 0.994 <= mean.high for mean in means]) == pytest.approx(0.95, abs=four_errors(0.95))
    inside = [stats.position(row[0], row[1:], 0.9).inside for row in values]
    assert np.mean(inside) == pytest.approx(0.9, abs=four_errors(0.9))


def test_mcnemar_counts_and_tests_the_images_that_changed_sides():
    first = [True] * 20 + [True] + [False] * 9 + [False] * 3
    second = [True] * 20 + [False] + [True] * 9 + [False] * 3
    result = stats.mcnemar(first, second)
    assert (result.both, result.only_first, result.only_second, result.neither) == (20, 1, 9, 3)
    assert result.p_value == pytest.approx(2 * (1 + 10) / 2**10)
    assert stats.mcnemar(np.array(second), np.array(first)).p_value == result.p_value
    assert stats.mcnemar(first, first).p_value == 1


def test_mcnemar_rarely_tells_equal_networks_apart():
    rng = np.random.default_rng(4)
    correct = rng.random((1000, 2, 300)) < 0.9
    share = np.mean([stats.mcnemar(*pair).p_value <= 0.05 for pair in correct])
    assert 0.01 < share < 0.05 + four_errors(0.05, 1000)


def test_position_of_a_claim():
    values = [0.9940, 0.9945, 0.9948, 0.9943]
    place = stats.position(99.45 / 100, values)
    assert (place.below, place.equal, place.above, place.inside) == (2, 1, 1, True)
    reach = scipy_stats.t.ppf(0.975, 3) * np.std(values, ddof=1) * math.sqrt(1 + 1 / 4)
    assert (place.low, place.high) == pytest.approx((np.mean(values) - reach, np.mean(values) + reach))
    assert stats.position(np.float32(0.9945), np.float32(values)).equal == 1
    assert not stats.position(0.9980, values).inside


BAD = [[], [0.99, math.nan], [0.99, math.inf], [[0.99, 0.98]], ["high", "low"], 0.99, None]


@pytest.mark.parametrize("values", BAD)
@pytest.mark.parametrize(
    "function",
    [
        stats.mean_interval,
        lambda values: stats.verdict(values, 0.994),
        lambda values: stats.position(0.994, values),
        lambda values: stats.paired_difference(values, values),
        lambda values: stats.mcnemar(values, values),
    ],
)
def test_bad_values_are_refused(function, values):
    with pytest.raises(LenetteError, match=r"must be (numbers|a list)|number 2 of the 2"):
        function(values)


def test_a_failed_run_is_named_in_the_message():
    with pytest.raises(LenetteError, match="number 2 of the 3 values is nan"):
        stats.verdict([0.99, math.nan, 0.98], 0.994)


def test_pairs_of_different_lengths_are_refused():
    with pytest.raises(LenetteError, match="2 and 1"):
        stats.paired_difference([0.1, 0.2], [0.1])
    with pytest.raises(LenetteError, match="2 and 1"):
        stats.mcnemar([True, False], [True])


def test_counts_are_no_truth_values():
    with pytest.raises(LenetteError, match="truth value"):
        stats.mcnemar([0, 1, 2], [0, 1, 1])


@pytest.mark.parametrize("level", [0.05, 95, 1.0, math.nan])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(LenetteError, match=r"such as 0\.95"):
        stats.verdict([0.99, 0.98], 0.994, level)
    with pytest.raises(LenetteError, match=r"such as 0\.95"):
        stats.accuracy_interval(9, 10, level)


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(LenetteError, match="threshold is nan"):
        stats.verdict([0.99, 0.98], math.nan)
    with pytest.raises(LenetteError, match="claimed figure is inf"):
        stats.position(math.inf, [0.99, 0.98])
