"""Intervals and paired tests, on plain numbers."""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Literal

import numpy as np

from lenette.errors import LenetteError

# Values that differ by less than this, relative to the largest of them, are the same number after rounding.
ROUNDING = 1e-12

# A seed collapsed that lies so far below the median of its kind: as a fraction, and in robust deviations.
COLLAPSE = 0.01
COLLAPSE_DEVIATIONS = 10.0
COLLAPSE_RULE = (
    f"A seed has collapsed that lies more than {100 * COLLAPSE:g} point and more than {COLLAPSE_DEVIATIONS:g} robust "
    "deviations below the median of the seeds."
)

Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Proportion:
    """`correct` of `total` images, with the interval `low` to `high` of the proportion; fractions."""

    correct: int
    total: int
    proportion: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Mean:
    """The mean of `count` values, their sample standard deviation (nan for one value) and the mean's interval."""

    count: int
    mean: float
    deviation: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Spread:
    """The median and the range of `count` seeds' accuracies, and the places, from 0, of those that collapsed."""

    count: int
    median: float
    minimum: float
    maximum: float
    collapsed: tuple[int, ...]


@dataclass(frozen=True)
class Verdict:
    """What `count` values say of "the mean is at least `threshold`".

    `low` and `high` are two one-sided bounds, each of which holds at `level`; `note` says in words why no bound can be
    given, and is empty where there is one.
    """

    verdict: Literal["proven", "refuted", "undecided"]
    threshold: float
    level: float
    count: int
    mean: float
    deviation: float
    low: float
    high: float
    note: str


@dataclass(frozen=True)
class McNemar:
    """How many images both, one or neither of two networks get right, and the two-sided exact p-value."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


@dataclass(frozen=True)
class Position:
    """Where `claimed` lies among `count` values, and whether one further value at `level` would lie so (`inside`)."""

    claimed: float
    count: int
    below: int
    equal: int
    above: int
    low: float
    high: float
    level: float
    inside: bool


def accuracy_interval(correct: int, total: int, level: float = 0.95) -> Proportion:
    """Return the Wilson score interval of an accuracy: `correct` of `total` images.

    It takes the images as independent draws and the network as given: it speaks of other images, not of other seeds.
    From Wilson, "Probable inference, the law of succession, and statistical inference", 1927; unlike the normal
    interval it keeps its level near 100 % (Newcombe, "Two-sided confidence intervals for the single proportion", 1998).
    Raises LenetteError for counts that aren't 0 <= correct <= total, total >= 1.
    """
    _check_level(level)
    try:
        correct, total = operator.index(correct), operator.index(total)
    except TypeError:
        raise LenetteError(f"an accuracy needs two whole numbers, not {correct!r} of {total!r} images") from None
    if total < 1:
        raise LenetteError(f"an accuracy needs at least 1 image, not {total}")
    if not 0 <= correct <= total:
        raise LenetteError(f"{correct} correct of {total} images: the correct ones must be between 0 and {total}")
    # By hand, since SciPy's statistics take a second to load.
    z, share = NormalDist().inv_cdf((1 + level) / 2), correct / total
    centre = (share + z**2 / (2 * total)) / (1 + z**2 / total)
    half = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2) / (1 + z**2 / total)
    low, high = (0.0 if correct == 0 else centre - half), (1.0 if correct == total else centre + half)
    return Proportion(correct, total, share, low, high, level)


def mean_interval(values: Numbers, level: float = 0.95) -> Mean:
    """Return the mean of one value a seed with its two-sided Student-t interval at `level`.

    From Student, "The probable error of a mean", 1908. Assumes that the seeds' values are independent draws from one
    normal distribution; the interval speaks of other seeds on the same images. One value, or values that are all the
    same, hold no estimate of the spread: the interval is then -inf to inf. Raises LenetteError for no values, or one
    that isn't a finite number.
    """
    _check_level(level)
    numbers = _numbers(values, "values")
    return _mean(numbers, np.abs(numbers).max(), level)


def spread(accuracies: Numbers) -> Spread:
    """Return the median and range of the seeds' accuracies, fractions, and which of them collapsed (`collapsed`).

    Where one did, this is what to print: their mean lies where no seed does, and Student's interval of it, made for
    seeds that scatter alike, can lie above the best of them. Raises LenetteError as `collapsed` does.
    """
    numbers = _numbers(accuracies, "accuracies")
    lost = tuple(collapsed(numbers))
    return Spread(len(numbers), float(np.median(numbers)), float(numbers.min()), float(numbers.max()), lost)


def collapsed(accuracies: Numbers) -> list[int]:
    """Return the places, from 0, of the seeds that ended far below the others: those that lost a class, say.

    COLLAPSE_RULE has the rule in words. A robust deviation is 1.4826 times the median distance from the median, which
    for normal draws is their standard deviation, and which the collapsed hardly move while they are the fewer. Both
    bounds are needed: seeds that agree to a hundredth of a point are not far apart at ten deviations, and seeds that
    scatter by points are not at one point. In the shipped proofs, two seeds of ladder_12k, each without one of ten
    classes, lie 10 points and 41 deviations below the median, one of lenet5 with a fifth of a class lost 2.1 points and
    19; of the others none lies more than 0.6 points or 3 deviations below. Of normal seeds that scatter by more than a
    point, one is called collapsed, wrongly, in 5 % of draws of 3, 2 % of 5 and 0.1 % of 10. Raises LenetteError for no
    accuracies, or one that isn't a finite number.
    """
    numbers = _numbers(accuracies, "accuracies")
    below = np.median(numbers) - numbers
    deviation = 1.4826 * np.median(np.abs(below))
    return [int(place) for place in np.flatnonzero(below > max(COLLAPSE, COLLAPSE_DEVIATIONS * deviation))]


def paired_difference(first: Numbers, second: Numbers, level: float = 0.95) -> Mean:
    """Return the mean of first - second, pair by pair (one pair a seed), with its Student-t interval at `level`.

    Assumes that the differences are independent draws from one normal distribution; the values themselves need not be.
    One pair, or differences that are all the same, give no interval: see `mean_interval`. Raises LenetteError for
    lengths that differ, no values, or one that isn't a finite number.
    """
    _check_level(level)
    one, two = _numbers(first, "first values"), _numbers(second, "second values")
    _check_pairs(one, two)
    return _mean(one - two, max(np.abs(one).max(), np.abs(two).max()), level)


def difference_among(first: Numbers, second: Numbers, num_groups: int, level: float = 0.95) -> Mean:
    """Return mean(first) - mean(second) of two of `num_groups` groups, with an interval that holds for all pairs.

    All pairs' intervals hold together at `level`, so that the data may choose which pairs are looked at. From Games and
    Howell, "Pairwise multiple comparison procedures with unequal n's and variances", 1976: the studentized range, each
    group with a variance of its own (one for all, as in Tukey's, doesn't hold where groups scatter unalike), Welch's
    degrees of freedom, here rounded down. Assumes normal draws, each group's about its own mean; what the groups share,
    seed by seed, only widens the interval. Of 2,000 studies of 3 to 9 equal cells over 3 to 10 seeds, one cell's
    deviation the same as the others', ten times or a tenth of it, 2.3 to 5.4 % were told by their answers that a cell
    is worse, at 95 %; with a fifth of the variance shared 1.2 to 3.3 % (`python -m tests.studies.levels`).

    `deviation` is that of one difference. One value in a group, or values all the same in both, give the interval -inf
    to inf. Raises LenetteError for less than 2 groups, no values, or one that isn't a finite number.
    """
    _check_level(level)
    one, two = _numbers(first, "first values"), _numbers(second, "second values")
    if num_groups < 2:
        raise LenetteError(f"a difference among {num_groups} groups: there must be at least 2")
    count, mean = min(len(one), len(two)), float(one.mean() - two.mean())
    if count == 1:
        return Mean(1, mean, float("nan"), float("-inf"), float("inf"), level)
    scale = ROUNDING * max(np.abs(one).max(), np.abs(two).max())
    parts = [0.0 if np.ptp(numbers) <= scale else float(numbers.var(ddof=1)) for numbers in (one, two)]
    if not any(parts):
        return Mean(count, mean, 0.0, float("-inf"), float("inf"), level)
    errors = [part / len(numbers) for part, numbers in zip(parts, (one, two), strict=True)]
    freedom = sum(errors) ** 2 / sum(e**2 / (len(n) - 1) for e, n in zip(errors, (one, two), strict=True))
    reach = _range_quantile(level, num_groups, math.floor(freedom * (1 + ROUNDING))) * (sum(errors) / 2) ** 0.5
    return Mean(count, mean, sum(parts) ** 0.5, mean - reach, mean + reach, level)


def power(difference: float, deviation: float, count: int, level: float = 0.95) -> float:
    """Return the chance that `count` pairs show a true mean difference: that its interval at `level` leaves out 0.

    `deviation` is the standard deviation of the pairs' differences, taken as known; the interval is that of
    `paired_difference`, on the side of the difference. From the noncentral t distribution (Johnson and Welch, 1940).
    With one pair there is none: 0. Raises LenetteError for a deviation that isn't above 0, or fewer than 1 pair.
    """
    from scipy.stats import nct, t

    _check_level(level)
    difference, deviation = _finite(difference, "difference"), _finite(deviation, "deviation")
    if deviation <= 0:
        raise LenetteError(f"the deviation is {deviation}; it must be above 0")
    if count < 1:
        raise LenetteError(f"the count is {count}; it must be at least 1")
    if count == 1:
        return 0.0
    bound = t.ppf((1 + level) / 2, count - 1)
    return float(nct.sf(bound, count - 1, abs(difference) / deviation * count**0.5))


def expected_maximum(count: int) -> float:
    """Return the mean of the largest of `count` draws from the standard normal distribution.

    The best of n candidates that are all alike is measured better than it is by this times the noise of a measurement,
    for independent noise: what choosing is worth (Tippett, "On the extreme individuals", 1925). Raises LenetteError for
    fewer than 1.
    """
    from scipy.integrate import quad
    from scipy.stats import norm

    if count < 1:
        raise LenetteError(f"the largest of {count} draws: there must be at least 1")
    return float(quad(lambda x: x * count * norm.pdf(x) * norm.cdf(x) ** (count - 1), -10, 10)[0])


def verdict(values: Numbers, threshold: float, level: float = 0.95) -> Verdict:
    """Say whether the mean over seeds is at least `threshold`: proven, refuted, or undecided at `level`.

    With n values of mean m and sample standard deviation s, and t the `level` quantile of Student's t with n - 1
    degrees of freedom (Student, 1908), the one-sided bounds are m - t s / sqrt(n) and m + t s / sqrt(n). The claim is
    proven when the lower one is at or above the threshold, refuted when the upper one is below it, else undecided.

    Assumes that the values are independent draws from one normal distribution (one fresh seed each), and that their
    number, the threshold and the level were fixed before the first was seen. Then a false claim is proven with a chance
    of at most 1 - level, and a true one refuted with at most 1 - level, for each claim on its own. One value, or values
    that are all the same, hold no estimate of the spread: undecided, and `note` says so. Raises LenetteError for no
    values, or one that isn't a finite number.
    """
    _check_level(level)
    threshold = _finite(threshold, "threshold")
    numbers = _numbers(values, "values")
    # The two-sided interval that leaves out 1 - level on either side consists of the two one-sided bounds.
    mean = _mean(numbers, np.abs(numbers).max(), 2 * level - 1)
    decision: Literal["proven", "refuted", "undecided"] = "undecided"
    if mean.low >= threshold:
        decision = "proven"
    elif mean.high < threshold:
        decision = "refuted"
    note = ""
    if mean.count == 1:
        note = "one value says nothing about the spread over seeds"
    elif np.isinf(mean.low):
        note = f"all {mean.count} values are the same, so their spread can't be estimated"
    return Verdict(decision, threshold, level, mean.count, mean.mean, mean.deviation, mean.low, mean.high, note)


def mcnemar(first_correct: Sequence[bool] | np.ndarray, second_correct: Sequence[bool] | np.ndarray) -> McNemar:
    """Return McNemar's exact test of two networks on the same images.

    The arguments hold one truth value an image: did the network get it right? If the networks were equally accurate,
    each image that only one gets right would be either's with chance 1/2; the p-value is the two-sided binomial one.
    From McNemar, "Note on the sampling error of the difference between correlated proportions", 1947. Assumes that the
    images are independent draws; it speaks of these two networks, not of other seeds. Raises LenetteError for lengths
    that differ, no images, or a value that is neither true nor false.
    """
    from scipy.stats import binomtest

    first, second = (
        _numbers(first_correct, "first network's images"),
        _numbers(second_correct, "second network's images"),
    )
    _check_pairs(first, second)
    for numbers in (first, second):
        if not np.isin(numbers, (0, 1)).all():
            raise LenetteError("McNemar's test needs one truth value an image: was it classified correctly?")
    one, two = first == 1, second == 1
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    changed = only_first + only_second
    p_value = float(binomtest(only_first, changed).pvalue) if changed else 1.0
    return McNemar(int((one & two).sum()), only_first, only_second, int((~one & ~two).sum()), p_value)


def position(claimed: float, values: Numbers, level: float = 0.95) -> Position:
    """Return where a claimed figure lies among the seeds' values of the same statistic.

    `low` to `high` is the prediction interval for one further value, m -+ t s sqrt(1 + 1/n), with t the two-sided
    `level` quantile of Student's t with n - 1 degrees of freedom; assumes that the claimed figure, as one more run, and
    the values are independent draws from one normal distribution. The counts `below`, `equal` and `above` assume no
    shape: a further draw lies above all n values with a chance of at most 1 / (n + 1). One value, or values that are
    all the same, give the interval -inf to inf. Raises LenetteError for no values, or a number that isn't finite.
    """
    claimed = _finite(claimed, "claimed figure")
    numbers = _numbers(values, "values")
    mean = mean_interval(numbers, level)
    reach = (mean.high - mean.mean) * np.sqrt(mean.count + 1)
    low, high = float(mean.mean - reach), float(mean.mean + reach)
    tolerance = ROUNDING * max(abs(claimed), np.abs(numbers).max())
    below, above = int((numbers < claimed - tolerance).sum()), int((numbers > claimed + tolerance).sum())
    equal = mean.count - below - above
    return Position(claimed, mean.count, below, equal, above, low, high, level, low <= claimed <= high)


@cache
def _range_quantile(level: float, num_groups: int, freedom: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(level, num_groups, freedom))


def _mean(numbers: np.ndarray, scale: float, level: float) -> Mean:
    from scipy.stats import t

    count, mean = len(numbers), float(numbers.mean())
    if count == 1:
        return Mean(1, mean, float("nan"), float("-inf"), float("inf"), level)
    if np.ptp(numbers) <= ROUNDING * scale:
        return Mean(count, mean, 0.0, float("-inf"), float("inf"), level)
    deviation = float(numbers.std(ddof=1))
    reach = float(t.ppf((1 + level) / 2, count - 1)) * deviation / count**0.5
    return Mean(count, mean, deviation, mean - reach, mean + reach, level)


def _numbers(values: Numbers, name: str) -> np.ndarray:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise LenetteError(f"the {name} must be numbers, not {values!r}") from None
    if numbers.ndim != 1 or not len(numbers):
        raise LenetteError(f"the {name} must be a list of at least one number; their shape is {numbers.shape}")
    if not np.isfinite(numbers).all():
        index = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise LenetteError(
            f"number {index + 1} of the {len(numbers)} {name} is {numbers[index]}: a failed run has none to average"
        )
    return numbers


def _finite(value: float, name: str) -> float:
    if not np.isfinite(value):
        raise LenetteError(f"the {name} is {value}; it must be a finite number")
    return float(value)


def _check_pairs(first: np.ndarray, second: np.ndarray) -> None:
    if len(first) != len(second):
        raise LenetteError(f"pairs need as many first values as second ones, not {len(first)} and {len(second)}")


def _check_level(level: float) -> None:
    if not 0.5 < level < 1:
        raise LenetteError(f"the level is {level}; it must be a fraction between 0.5 and 1, such as 0.95")
