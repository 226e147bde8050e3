import io
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from lenette.errors import LenetteError
from lenette.lessons import backprop
from lenette.lessons.backprop import BACKWARD, COURSE, FORWARD, LEARNING_RATES, TEXTBOOK, VARIANTS, Network

# Document B's worked sheet: learning rate, E after 1 update, E after 67.
SHEET = [
    (0.1, "0.01410010", "9.5721e-03"),
    (0.2, "0.01401903", "6.3700e-03"),
    (0.5, "0.01377706", "1.7820e-03"),
    (0.8, "0.01353695", "4.7865e-04"),
    (1.0, "0.01337792", "1.9684e-04"),
    (2.0, "0.01259529", "2.0924e-06"),
]


def networks(largest: float) -> st.SearchStrategy[Network]:
    numbers = st.floats(-largest, largest)
    pair = st.tuples(numbers, numbers)
    return st.builds(Network, pair, pair, st.tuples(*[numbers] * 8), pair)


def test_the_sheets_values():
    values, derivatives = backprop.forward(), backprop.backward()
    assert [round(values[name], 7) for name in ("a1", "a2", "y1", "y2")] == [0.5068746, 0.5106234, 0.6064777, 0.6304808]
    assert round(values["E"], 10) == 0.0141813779
    assert round(derivatives["dE/dw5"], 7) == 0.0128808
    assert f"{derivatives['dE/dw1']:.5e}" == "3.16993e-04"
    assert f"{derivatives['dE/dw3']:.5e}" == "3.51776e-04"


def test_the_textbooks_values():
    assert round(backprop.forward(TEXTBOOK)["E"], 7) == 0.2983711
    assert round(backprop.errors(TEXTBOOK, 0.5, 1)[1], 7) == 0.2910278


@pytest.mark.parametrize(("rate", "once", "often"), SHEET)
def test_the_sheets_errors_after_updates(rate, once, often):
    curve = backprop.errors(COURSE, rate, 67)
    assert len(curve) == 68
    assert (f"{curve[1]:.8f}", f"{curve[67]:.4e}") == (once, often)
    assert backprop.error_table()[rate] == [curve[1], curve[67]]


@pytest.mark.parametrize("network", VARIANTS.values(), ids=VARIANTS)
def test_each_derivative_is_autograds(network):
    derivatives, checked = backprop.backward(network), backprop.autograd(network)
    assert list(derivatives) == list(checked) == list(BACKWARD)
    assert derivatives == pytest.approx(checked, rel=1e-13)


@settings(max_examples=50, deadline=None)
@given(networks(5))
def test_each_derivative_of_any_network_is_autograds(network):
    assert backprop.backward(network) == pytest.approx(backprop.autograd(network), rel=1e-9, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(networks(5))
def test_each_formula_says_what_is_computed(network):
    known = network.named | backprop.forward(network) | backprop.backward(network)
    for name, formula in (FORWARD | BACKWARD).items():
        names = {variable.replace("/", "_"): number for variable, number in known.items()}
        expression = re.sub(r"(d\w+)/(d\w+)", r"\1_\2", formula).replace("^", "**")
        assert known[name] == pytest.approx(eval(expression, {"sigmoid": backprop.sigmoid}, names), rel=1e-12), name


@settings(max_examples=50, deadline=None)
@given(networks(1000))
def test_extreme_numbers_overflow_nowhere(network):
    numbers = (backprop.forward(network) | backprop.backward(network)).values()
    assert all(math.isfinite(number) for number in numbers)


@settings(max_examples=50, deadline=None)
@given(networks(1), st.floats(1e-6, 500))
def test_any_learning_rate_runs_on_ordinary_numbers(network, rate):
    assert all(math.isfinite(error) for error in backprop.errors(network, rate, 20))


def test_too_long_a_step_makes_the_error_worse():
    too_long, far_too_long = backprop.errors(COURSE, 100, 100), backprop.errors(COURSE, 1000, 100)
    assert too_long[0] < too_long[1] < too_long[2]
    assert min(far_too_long[1:]) > 0.24


def test_a_weight_that_runs_away_is_told():
    with pytest.raises(LenetteError, match=r"learning rate 100 sends a weight beyond \+-1000; take a smaller one"):
        backprop.error_table(replace(COURSE, targets=(0.5, 900.0)), [0.1, 100])


def test_an_update_uses_the_old_weights_and_leaves_the_rest():
    updated, derivatives = backprop.update(TEXTBOOK, 0.5), backprop.backward(TEXTBOOK)
    assert updated.weights == pytest.approx(
        [w - 0.5 * derivatives[f"dE/dw{k}"] for k, w in enumerate(TEXTBOOK.weights, start=1)]
    )
    assert replace(updated, weights=TEXTBOOK.weights) == TEXTBOOK


@given(st.floats(-700, 700))
def test_the_sigmoid_is_its_formula(x):
    assert backprop.sigmoid(x) == pytest.approx(1 / (1 + math.exp(-x)), rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": (0.05,)}, "inputs must be 2 numbers, not 1"),
        ({"weights": (0.1,) * 7}, "weights must be 8 numbers, not 7"),
        ({"targets": (0.5, math.nan)}, "targets: nan must be a number from -1000 to 1000"),
        ({"biases": (2000.0, 0.0)}, r"biases: 2000\.0 must be"),
    ],
)
def test_numbers_that_make_no_network_are_refused(changes, message):
    with pytest.raises(LenetteError, match=message):
        Network(**changes)


@pytest.mark.parametrize("rate", [0, -0.1, math.nan, math.inf, 1001])
def test_a_learning_rate_that_is_none_is_refused(rate):
    with pytest.raises(LenetteError, match=f"learning rate is {rate}"):
        backprop.walkthrough(COURSE, [rate])


def test_the_walkthrough_writes_out_every_step():
    text = backprop.walkthrough()
    values = backprop.forward() | backprop.backward()
    for name, formula in (FORWARD | BACKWARD).items():
        assert f"    {name} = {re.sub(r' [+] b[12]', '', formula)}\n" in text
        assert f" = {values[name]:.7g}\n" in text
    assert "    h1 = w1*i1 + w2*i2\n       = 0.15*0.05 + 0.2*0.1\n       = 0.0275\n" in text
    assert "    dE/dw5 = dE/do1 * a1\n           = 0.02541224 * 0.5068746\n           = 0.01288082\n" in text
    assert "    new w5 = w5 - 0.1 * dE/dw5\n           = 0.4 - 0.1 * 0.01288082 = 0.3987119\n" in text
    for rate, once, often in SHEET:
        assert re.search(rf"^ +{rate:g} +{once} +{often}$", text, re.MULTILINE)
    assert text.isascii()
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_walkthrough_follows_what_it_is_given():
    text = backprop.walkthrough(TEXTBOOK, [0.5])
    assert "    h1 = w1*i1 + w2*i2 + b1\n       = 0.15*0.05 + 0.2*0.1 + 0.35\n       = 0.3775\n" in text
    assert "0.5 - 0.5 * (-0.02260254) = 0.5113013" in text
    assert "The error was 0.2983711 and is now 0.2910278." in text
    only_output = backprop.walkthrough(replace(COURSE, biases=(0.0, 0.6)))
    assert "h1 = w1*i1 + w2*i2\n" in only_output
    assert "o1 = w5*a1 + w6*a2 + b2\n" in only_output


def test_the_figure_shows_each_learning_rate_apart():
    figure = backprop.error_figure(num_updates=67)
    (axes,) = figure.axes
    lines = axes.get_lines()
    assert [line.get_label() for line in lines] == [f"{rate:g}" for rate in LEARNING_RATES]
    for line, (_, once, often) in zip(lines, SHEET, strict=True):
        assert list(line.get_xdata()) == list(range(68))
        assert (f"{line.get_ydata()[1]:.8f}", f"{line.get_ydata()[67]:.4e}") == (once, often)
    lightness = [sum(w * c for w, c in zip((0.3, 0.59, 0.11), to_rgb(line.get_color()), strict=True)) for line in lines]
    assert lightness == sorted(set(lightness))
    assert len({str(line._dash_pattern) for line in lines}) == len(lines)
    figure.savefig(io.BytesIO(), format="svg")
