import math

from lenette.text import count, duration, interval, listed, number, percent, percent_interval, points


def test_fractions_as_people_say_them():
    assert percent(0.99417) == "99.42 %"
    assert percent(0.5, 0) == "50 %"
    assert percent(None) == "not known"
    assert [points(value) for value in (0.0012, -0.003, 0.0, -1e-9)] == ["+0.12", "-0.30", "0.00", "0.00"]


def test_intervals():
    assert percent_interval(0.9934, 0.99472) == "99.34 to 99.47 %"
    assert percent_interval(-0.01, 1.02) == "0.00 to 100.00 %"
    for none in ((None, 0.5), (-math.inf, math.inf), (math.nan, 0.5)):
        assert percent_interval(*none) == "no interval"
    assert interval(1.98, 2.24, number) == "1.9800 to 2.2400"
    assert interval(-math.inf, math.inf, number) == ""


def test_numbers_and_durations():
    assert [number(None), number(0.04321)] == ["not finite", "0.0432"]
    assert [duration(seconds) for seconds in (0.04, 61, 150, 9000)] == ["0.0 s", "61.0 s", "2 min 30 s", "2 h 30 min"]
    assert [count(n, "epoch") for n in (1, 2, 2.44, 1200)] == ["1 epoch", "2 epochs", "2.4 epochs", "1,200 epochs"]
    assert [listed(["a"]), listed(["a", "b", "c"])] == ["a", "a, b and c"]
