"""Backpropagation by hand: two inputs, two hidden neurons, two outputs, eight weights, every number written out.

The network of document B's worked sheet, and the textbook's variant of it with biases, which are not trained:

    h1 = w1 i1 + w2 i2 + b1,  a1 = sigmoid(h1)        o1 = w5 a1 + w6 a2 + b2,  y1 = sigmoid(o1)
    h2 = w3 i1 + w4 i2 + b1,  a2 = sigmoid(h2)        o2 = w7 a1 + w8 a2 + b2,  y2 = sigmoid(o2)

    E = E1 + E2,  E1 = (t1 - y1)^2 / 2,  E2 = (t2 - y2)^2 / 2
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch

from lenette.errors import LenetteError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Within it no product of the formulas overflows.
LARGEST = 1000.0

FORWARD = {
    "h1": "w1*i1 + w2*i2 + b1",
    "h2": "w3*i1 + w4*i2 + b1",
    "a1": "sigmoid(h1)",
    "a2": "sigmoid(h2)",
    "o1": "w5*a1 + w6*a2 + b2",
    "o2": "w7*a1 + w8*a2 + b2",
    "y1": "sigmoid(o1)",
    "y2": "sigmoid(o2)",
    "E1": "(t1 - y1)^2 / 2",
    "E2": "(t2 - y2)^2 / 2",
    "E": "E1 + E2",
}

BACKWARD = {
    "dE/dy1": "y1 - t1",
    "dE/dy2": "y2 - t2",
    "dy1/do1": "y1*(1 - y1)",
    "dy2/do2": "y2*(1 - y2)",
    "dE/do1": "dE/dy1 * dy1/do1",
    "dE/do2": "dE/dy2 * dy2/do2",
    "dE/dw5": "dE/do1 * a1",
    "dE/dw6": "dE/do1 * a2",
    "dE/dw7": "dE/do2 * a1",
    "dE/dw8": "dE/do2 * a2",
    "dE/da1": "dE/do1*w5 + dE/do2*w7",
    "dE/da2": "dE/do1*w6 + dE/do2*w8",
    "da1/dh1": "a1*(1 - a1)",
    "da2/dh2": "a2*(1 - a2)",
    "dE/dh1": "dE/da1 * da1/dh1",
    "dE/dh2": "dE/da2 * da2/dh2",
    "dE/dw1": "dE/dh1 * i1",
    "dE/dw2": "dE/dh1 * i2",
    "dE/dw3": "dE/dh2 * i1",
    "dE/dw4": "dE/dh2 * i2",
}


@dataclass(frozen=True)
class Network:
    """The numbers that the lesson starts from; `biases` are b1, of both hidden neurons, and b2, of both outputs."""

    inputs: Sequence[float] = (0.05, 0.10)
    targets: Sequence[float] = (0.5, 0.5)
    weights: Sequence[float] = (0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55)
    biases: Sequence[float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for field in fields(self):
            numbers, count = getattr(self, field.name), 8 if field.name == "weights" else 2
            if len(numbers) != count:
                raise LenetteError(f"{field.name} must be {count} numbers, not {len(numbers)}")
            for number in numbers:
                if not -LARGEST <= number <= LARGEST:
                    raise LenetteError(f"{field.name}: {number} must be a number from {-LARGEST:g} to {LARGEST:g}")

    @property
    def named(self) -> dict[str, float]:
        """The numbers by the names that the formulas use: i1, i2, t1, t2, w1 ... w8, b1, b2."""
        given = zip("itwb", (self.inputs, self.targets, self.weights, self.biases), strict=True)
        return {f"{letter}{k}": float(number) for letter, numbers in given for k, number in enumerate(numbers, start=1)}


COURSE = Network()
# Mazur, "A step by step backpropagation example", 2015.
TEXTBOOK = Network(targets=(0.01, 0.99), biases=(0.35, 0.60))
VARIANTS = {"course": COURSE, "textbook": TEXTBOOK}
LEARNING_RATES = (0.1, 0.2, 0.5, 0.8, 1.0, 2.0)


def sigmoid(x: float) -> float:
    """Return 1 / (1 + e^-x)."""
    # The second form is the same number, without an overflow of e^-x far below zero.
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def forward(network: Network = COURSE) -> dict[str, float]:
    """Return every value from h1 to the error E, by name, in the order in which they are computed."""
    i1, i2 = network.inputs
    t1, t2 = network.targets
    w1, w2, w3, w4, w5, w6, w7, w8 = network.weights
    b1, b2 = network.biases

    h1 = w1 * i1 + w2 * i2 + b1
    h2 = w3 * i1 + w4 * i2 + b1
    a1, a2 = sigmoid(h1), sigmoid(h2)

    o1 = w5 * a1 + w6 * a2 + b2
    o2 = w7 * a1 + w8 * a2 + b2
    y1, y2 = sigmoid(o1), sigmoid(o2)

    e1, e2 = (t1 - y1) ** 2 / 2, (t2 - y2) ** 2 / 2
    return dict(zip(FORWARD, (h1, h2, a1, a2, o1, o2, y1, y2, e1, e2, e1 + e2), strict=True))


def backward(network: Network = COURSE) -> dict[str, float]:
    """Return every derivative from dE/dy1 to dE/dw4, by name, from the error back to the inputs."""
    i1, i2 = network.inputs
    t1, t2 = network.targets
    w5, w6, w7, w8 = network.weights[4:]
    values = forward(network)
    a1, a2, y1, y2 = (values[name] for name in ("a1", "a2", "y1", "y2"))

    d: dict[str, float] = {}
    d["dE/dy1"], d["dE/dy2"] = y1 - t1, y2 - t2
    d["dy1/do1"], d["dy2/do2"] = y1 * (1 - y1), y2 * (1 - y2)
    d["dE/do1"], d["dE/do2"] = d["dE/dy1"] * d["dy1/do1"], d["dE/dy2"] * d["dy2/do2"]
    d["dE/dw5"], d["dE/dw6"] = d["dE/do1"] * a1, d["dE/do1"] * a2
    d["dE/dw7"], d["dE/dw8"] = d["dE/do2"] * a1, d["dE/do2"] * a2

    d["dE/da1"] = d["dE/do1"] * w5 + d["dE/do2"] * w7
    d["dE/da2"] = d["dE/do1"] * w6 + d["dE/do2"] * w8
    d["da1/dh1"], d["da2/dh2"] = a1 * (1 - a1), a2 * (1 - a2)
    d["dE/dh1"], d["dE/dh2"] = d["dE/da1"] * d["da1/dh1"], d["dE/da2"] * d["da2/dh2"]
    d["dE/dw1"], d["dE/dw2"] = d["dE/dh1"] * i1, d["dE/dh1"] * i2
    d["dE/dw3"], d["dE/dw4"] = d["dE/dh2"] * i1, d["dE/dh2"] * i2
    return d


def autograd(network: Network = COURSE) -> dict[str, float]:
    """Return the derivatives of `backward` as PyTorch's autograd finds them from the forward pass alone, in float64."""
    t = {name: torch.tensor(number, dtype=torch.float64, requires_grad=True) for name, number in network.named.items()}
    for k, (first, second) in enumerate((("w1", "w2"), ("w3", "w4")), start=1):
        t[f"h{k}"] = t[first] * t["i1"] + t[second] * t["i2"] + t["b1"]
        t[f"a{k}"] = torch.sigmoid(t[f"h{k}"])
    for k, (first, second) in enumerate((("w5", "w6"), ("w7", "w8")), start=1):
        t[f"o{k}"] = t[first] * t["a1"] + t[second] * t["a2"] + t["b2"]
        t[f"y{k}"] = torch.sigmoid(t[f"o{k}"])
    t["E"] = (t["t1"] - t["y1"]) ** 2 / 2 + (t["t2"] - t["y2"]) ** 2 / 2

    derivatives = {}
    for name in BACKWARD:
        of, by = name[1:].split("/d")
        (derivative,) = torch.autograd.grad(t[of], t[by], retain_graph=True)
        derivatives[name] = derivative.item()
    return derivatives


def update(network: Network, learning_rate: float) -> Network:
    """Return the network after one step of gradient descent: each weight less learning_rate times its derivative.

    All eight derivatives are those of the old weights; the biases stay. Raises LenetteError for a learning rate that is
    not above 0 and at most 1000, or that sends a weight beyond +-1000.
    """
    if not 0 < learning_rate <= LARGEST:
        raise LenetteError(f"the learning rate is {learning_rate}; it must be above 0 and at most {LARGEST:g}")
    derivatives = backward(network)
    weights = [w - learning_rate * derivatives[f"dE/dw{k}"] for k, w in enumerate(network.weights, start=1)]
    if max(map(abs, weights)) > LARGEST:
        raise LenetteError(f"the learning rate {learning_rate} sends a weight beyond +-{LARGEST:g}; take a smaller one")
    return replace(network, weights=tuple(weights))


def errors(network: Network, learning_rate: float, num_updates: int) -> list[float]:
    """Return the error E before the first update and after each of `num_updates`: num_updates + 1 numbers."""
    curve = [forward(network)["E"]]
    for _ in range(num_updates):
        network = update(network, learning_rate)
        curve.append(forward(network)["E"])
    return curve


def error_table(
    network: Network = COURSE, learning_rates: Iterable[float] = LEARNING_RATES, after: Sequence[int] = (1, 67)
) -> dict[float, list[float]]:
    """Return for each learning rate the error E after each number of updates in `after`."""
    curves = {rate: errors(network, rate, max(after)) for rate in learning_rates}
    return {rate: [curve[num_updates] for num_updates in after] for rate, curve in curves.items()}


def error_figure(
    network: Network = COURSE, learning_rates: Iterable[float] = LEARNING_RATES, num_updates: int = 100
) -> "Figure":
    """Return a figure of the error E (log scale) against updates, one line a learning rate."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    rates = sorted(set(learning_rates))
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    patterns = ("-", "--", ":", "-.", (0, (8, 3)), (0, (6, 1, 1, 1, 1, 1)))
    for k, rate in enumerate(rates):
        # Cividis is even in lightness, so the order of the rates stays visible in grey and to the colour-blind; its
        # lightest quarter would be lost on white.
        colour = colormaps["cividis"](0.75 * k / max(len(rates) - 1, 1))
        curve = errors(network, rate, num_updates)
        axes.plot(curve, label=f"{rate:g}", color=colour, linestyle=patterns[k % len(patterns)])
    axes.set(yscale="log", xlabel="updates", ylabel="error E", xlim=(0, num_updates))
    figure.legend(title="learning rate", loc="outside right upper")
    return figure


INTRODUCTION = r"""BACKPROPAGATION BY HAND

The network has two inputs i, two hidden neurons, two outputs y and eight weights w:

    i1 ----w1---> [h1|a1] ----w5---> [o1|y1] --> E1
        \      /           \      /               \
        w3    w2           w7    w6                \
          \  /               \  /                   \
           \/                 \/                     E = E1 + E2
           /\                 /\                    /
          /  \               /  \                  /
         /    \             /    \                /
        /      \           /      \              /
    i2 ----w4---> [h2|a2] ----w8---> [o2|y2] --> E2

A neuron adds up what comes in, each times its weight (h, o), and squashes the sum to a number between 0 and 1
(a, y) by sigmoid(x) = 1 / (1 + e^-x). The outputs y should be the targets t; the error E says how far off they
are. The numbers to start from:
"""

CHAIN_RULE = """
dE/dw5 asks: if w5 grew by a little, by how many times that little would E grow? The chain rule answers it in
steps, from the end: E depends on y1, y1 on o1, o1 on w5, and the derivatives of the steps are multiplied. Where
two paths lead to E, as from a1 through o1 and through o2, what the paths bring is added.
"""


def walkthrough(network: Network = COURSE, learning_rates: Sequence[float] = LEARNING_RATES) -> str:
    """Return the whole lesson as text: each value and derivative with its formula, autograd's beside it, the updates.

    The first of the learning rates is the one whose update is written out.
    """
    rate = learning_rates[0]
    derivatives, checked, updated = backward(network), autograd(network), update(network, rate)
    known = network.named | forward(network) | derivatives
    absent = [bias for bias in ("b1", "b2") if not known[bias]]

    def written_out(formulas: dict[str, str]) -> Iterator[str]:
        for name, full in formulas.items():
            formula = re.sub(r" \+ (b1|b2)", lambda term: "" if term[1] in absent else term[0], full)
            yield f"    {name} = {formula}"
            yield f"    {' ' * len(name)} = {_filled_in(formula, known)}"
            yield f"    {' ' * len(name)} = {_text(known[name])}"

    lines = [INTRODUCTION]
    lines += [f"    {name} = {_text(number)}" for name, number in network.named.items() if name not in absent]
    lines += ["", "1. FORWARD: from the inputs to the error", "", *written_out(FORWARD)]
    lines += ["", "2. BACKWARD: from the error to each weight", CHAIN_RULE, *written_out(BACKWARD)]

    lines += ["", "3. CHECK: the same derivatives by PyTorch's autograd", ""]
    lines += [f"    {'':8}{'by hand':>15}{'autograd':>15}"]
    lines += [f"    {name:8}{_text(hand):>15}{_text(checked[name]):>15}" for name, hand in derivatives.items()]
    difference = max(abs(hand - checked[name]) for name, hand in derivatives.items())
    lines += ["", f"The largest difference is {difference:.1e}."]

    lines += ["", f"4. UPDATE: each weight goes a little way downhill, at the learning rate {rate:g}", ""]
    for name, old in list(network.named.items())[4:12]:
        new = _text(updated.named[name])
        lines += [f"    new {name} = {name} - {rate:g} * dE/d{name}"]
        lines += [f"           = {_text(old)} - {rate:g} * {_filled_in(f'dE/d{name}', known)} = {new}"]
    lines += ["", f"The error was {_text(known['E'])} and is now {_text(forward(updated)['E'])}."]

    lines += ["", "5. AGAIN AND AGAIN: the error after 1 update and after 67, at each learning rate", ""]
    lines += [f"    {'learning rate':15}{'1 update':>15}{'67 updates':>15}"]
    for rate, (once, often) in error_table(network, learning_rates).items():
        lines += [f"    {rate:<15g}{once:>15.8f}{often:>15.4e}"]
    return "\n".join(lines) + "\n"


def _filled_in(formula: str, known: dict[str, float]) -> str:
    """Return the formula with numbers in place of names."""
    longest_first = "|".join(sorted(known, key=len, reverse=True))

    def number(name: re.Match[str]) -> str:
        return _text(known[name[0]]) if known[name[0]] >= 0 else f"({_text(known[name[0]])})"

    return re.sub(rf"\b({longest_first})\b", number, formula)


def _text(number: float) -> str:
    return f"{number:.7g}"
