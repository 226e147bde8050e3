"""The one place that turns numbers into words: per cents, points, intervals, counts and durations."""

import math
from collections.abc import Callable, Sequence


def percent(fraction: float | None, digits: int = 2) -> str:
    """Return 0.9941 as "99.41 %"."""
    return "not known" if fraction is None else f"{100 * fraction:.{digits}f} %"


def points(difference: float, digits: int = 2) -> str:
    """Return a difference of two fractions in percentage points, with its sign: "+0.12", "-0.30", "0.00"."""
    text = f"{100 * difference:+.{digits}f}"
    return text if float(text) else text[1:]


def percent_interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Return an interval of fractions as "99.34 to 99.47 %", cut off at 0 and 100, which Student's t doesn't know."""
    if low is None or high is None or not math.isfinite(low + high):
        return "no interval"
    return f"{100 * max(low, 0):.{digits}f} to {100 * min(high, 1):.{digits}f} %"


def interval(low: float, high: float, shape: Callable[[float], str]) -> str:
    """Return "1.98 to 2.24", each end as `shape` writes it; "" where there is no interval."""
    return f"{shape(low)} to {shape(high)}" if math.isfinite(low + high) else ""


def number(value: float | None, digits: int = 4) -> str:
    """Return a loss or another plain number."""
    return "not finite" if value is None else f"{value:.{digits}f}"


def count(number: float, noun: str) -> str:
    """Return "1 epoch", "2 epochs", "2.4 epochs"."""
    text = f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"
    return f"{text} {noun}" if text == "1" else f"{text} {noun}s"


def listed(items: Sequence[str]) -> str:
    """Return "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def duration(seconds: float) -> str:
    """Return seconds as a person would say them."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
