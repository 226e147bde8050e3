"""Networks that are no chain of layers against PyTorch in float64: made up by hypothesis, and as people write them.

As in test_layers.py, with a learning rate of 1 and no momentum a step moves each weight by its gradient.
"""

import copy
import os

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import nn
from torch.nn import functional as F

from benchmarks.people import PEOPLE
from lenette.engines import native
from lenette.plan import Plan
from lenette.recipes import Recipe
from tests.engines.native.twins import distance, noise, twins

EXAMPLES = int(os.environ.get("LENETTE_NATIVE_EXAMPLES", "8"))


pytestmark = pytest.mark.usefixtures("quick_compiler")


def recipe_for(batch_size=20, **fields):
    fields = {"lr": 1.0, "momentum": 0.0, "schedule": "constant", **fields}
    return Recipe(model="own", batch_size=batch_size, epochs=5, **fields)


def check(network, dataset, steps=2, tolerance=1e-9, **fields):
    """Hold losses, weights, statistics and logits against the reference's in float64."""
    ours, theirs = twins(network, recipe_for(**fields), dataset)
    (loss, right), (their_loss, their_right) = ours.advance(steps), theirs.advance(steps)
    torch.testing.assert_close(loss, their_loss, rtol=tolerance, atol=tolerance)
    assert right.tolist() == their_right.tolist()
    assert distance(ours.model, theirs.model) < tolerance
    torch.testing.assert_close(ours.logits(dataset.images), theirs.logits(dataset.images), rtol=1e-5, atol=1e-5)


class Net(nn.Module):
    """A network whose forward is a function of (network, x), over the layers that are named."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.function = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


ACTIVATIONS = {
    "relu6": nn.ReLU6, "leaky_relu": lambda: nn.LeakyReLU(0.2), "elu": lambda: nn.ELU(0.7), "silu": nn.SiLU,
    "gelu": nn.GELU, "gelu_tanh": lambda: nn.GELU("tanh"), "hardswish": nn.Hardswish, "hardsigmoid": nn.Hardsigmoid,
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "softplus": lambda: nn.Softplus(0.5, 2.0), "relu": nn.ReLU,
    "prelu": nn.PReLU, "prelu_each": None, "affine": None,
}  # fmt: skip
NORMS = {
    "batch": nn.BatchNorm2d,
    "plain": lambda channels: nn.BatchNorm2d(channels, affine=False),
    "cumulative": lambda channels: nn.BatchNorm2d(channels, momentum=None),
    "groups": lambda channels: nn.GroupNorm(2 if channels % 2 == 0 else 1, channels),
    "no weights": lambda channels: nn.GroupNorm(1, channels, affine=False),
    "layer": None,
}


class MadeUp(nn.Module):
    """Steps, each from values made before; `steps` holds (kind, places of inputs, number of the layer or option)."""

    def __init__(self, steps, layers):
        super().__init__()
        self.steps, self.layers, self.last = steps, nn.ModuleList(layers), None

    def forward(self, x):
        values = [x]
        for kind, places, extra in self.steps:
            inputs = [values[place] for place in places]
            match kind:
                case "layer":
                    values.append(self.layers[extra](inputs[0]))
                case "add":
                    values.append(inputs[0] + inputs[1])
                case "multiply":
                    values.append(inputs[0] * inputs[1])
                case "gate":
                    values.append(inputs[0] * torch.sigmoid(inputs[1].mean((2, 3), keepdim=True)))
                case "concatenate":
                    values.append(torch.cat(inputs, dim=1))
                case "affine":
                    values.append(1 - inputs[0] * extra)
                case "dropout":
                    values.append(F.dropout(inputs[0], extra, self.training))
        ends = [values[place].flatten(1) for place in self.ends]
        return self.last(ends[0] if len(ends) == 1 else torch.cat(ends, 1))

    @property
    def ends(self):
        """The places of the values that nothing reads."""
        read = {place for _, places, _ in self.steps for place in places}
        return [place for place in range(len(self.steps) + 1) if place not in read]


class Drawing:
    """A made-up network under way: the steps so far, their layers, and what each gives for an empty image."""

    def __init__(self, draw, channels, size):
        self.draw = draw
        self.steps, self.layers, self.values = [], [], [torch.zeros(2, channels, size, size)]

    def pair(self, *bounds):
        return tuple(self.draw(st.integers(*bound)) for bound in bounds)

    def pick(self, of):
        return self.draw(st.sampled_from(of))

    def add(self, kind, places, extra, value):
        self.steps.append((kind, places, extra))
        self.values.append(value)

    def layer(self, place, module):
        if module not in self.layers:
            self.layers.append(module)
        self.add("layer", [place], self.layers.index(module), module.eval()(self.values[place]))

    def convolution(self, place):
        kernel = self.pair((1, 3), (1, 3))
        if self.draw(st.booleans()):
            options = {"padding": "same", "dilation": self.pair((1, 2), (1, 2))}
        else:
            options = {"padding": self.pair(*((side - 1, 4) for side in kernel)), "stride": self.pair((1, 3), (1, 3))}
        channels, width = self.values[place].shape[1], self.draw(st.integers(1, 6))
        self.layer(place, nn.Conv2d(channels, width, kernel, bias=self.draw(st.booleans()), **options))

    def again(self, place):
        """Use a convolution or a batch-norm another time."""
        channels = self.values[place].shape[1]
        fitting = [one for one in self.layers if getattr(one, "in_channels", 0) == channels]
        fitting += [one for one in self.layers if getattr(one, "num_features", 0) == channels and one.momentum]
        if fitting:
            self.layer(place, self.pick(fitting))

    def norm(self, place):
        shape, name = self.values[place].shape, self.pick(list(NORMS))
        self.layer(place, NORMS[name](shape[1]) if NORMS[name] else nn.LayerNorm(shape[1:]))

    def activation(self, place):
        value, name = self.values[place], self.pick(list(ACTIVATIONS))
        if name == "affine":
            self.add("affine", [place], 0.3, value)
        else:
            self.layer(place, ACTIVATIONS[name]() if ACTIVATIONS[name] else nn.PReLU(value.shape[1]))

    def pool(self, place):
        kind = self.pick(["max", "average", "adaptive"])
        if kind == "adaptive":
            return self.layer(place, nn.AdaptiveAvgPool2d(self.pair((1, 4), (1, 4))))
        window = self.pair(*((1, min(3, side)) for side in self.values[place].shape[2:]))
        options = {
            "stride": self.pair((1, 3), (1, 3)),
            "padding": self.pair(*((0, side // 2) for side in window)),
            "ceil_mode": self.draw(st.booleans()),
        }
        if kind == "average":
            options |= {"count_include_pad": self.draw(st.booleans()), "divisor_override": self.pick([None, 5])}
        return self.layer(place, {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[kind](window, **options))

    def dropout(self, place):
        if self.draw(st.booleans()):
            self.layer(place, nn.Dropout2d(0.3))
        else:
            self.add("dropout", [place], 0.3, self.values[place])

    def like(self, place, axes):
        """Return the places of values whose shape is that one's along these axes."""
        sides = [self.values[place].shape[axis] for axis in axes]
        return [other for other, value in enumerate(self.values) if [value.shape[axis] for axis in axes] == sides]

    def sum(self, place):
        kind, other = self.pick(["add", "multiply"]), self.pick(self.like(place, (1, 2, 3)))
        self.add(kind, [place, other], None, self.values[place])

    def gate(self, place):
        self.add("gate", [place, self.pick(self.like(place, [1]))], None, self.values[place])

    def concatenate(self, place):
        places = [place, *(self.pick(self.like(place, (2, 3))) for _ in range(self.draw(st.integers(0, 2))))]
        self.add("concatenate", places, None, torch.cat([self.values[other] for other in places], 1))


STEPS = ("convolution", "again", "norm", "activation", "pool", "dropout", "sum", "gate", "concatenate")


@st.composite
def graphs(draw):
    """Return a made-up network of maps, the images' channels and size."""
    channels, size = draw(st.integers(1, 3)), draw(st.integers(1, 9))
    drawing = Drawing(draw, channels, size)
    drawing.convolution(0)
    for _ in range(draw(st.integers(2, 7))):
        last = len(drawing.values) - 1
        place = drawing.pick([last, last, draw(st.integers(0, last))])
        getattr(drawing, drawing.pick(STEPS))(place)
    network = MadeUp(drawing.steps, drawing.layers)
    for parameter in network.parameters():
        parameter.requires_grad_(draw(st.integers(0, 9)) > 0)
    network.last = nn.Linear(sum(drawing.values[place][0].numel() for place in network.ends), 5)
    return network, channels, size


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # of even kernels
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
)
@given(graphs(), st.integers(3, 40), st.integers(2, 39))
def test_any_graph(made, batch_size, short):
    network, channels, size = made
    dataset = noise(batch_size + min(short, batch_size), channels, size, classes=5)
    check(lambda: network, dataset, batch_size=batch_size, lr=0.01, tolerance=1e-7)


@pytest.mark.parametrize("name", PEOPLE)
def test_what_people_write(name):
    check(lambda: PEOPLE[name](5, 1, 12), noise(33, size=12, classes=5), lr=0.1, tolerance=1e-8)


def _square(x):
    return x * x + x


FORWARDS = {
    "a softmax last": (lambda net, x: net.fc(x.flatten(1)).softmax(1), {"fc": (36, 5)}),
    "a log-softmax last": (lambda net, x: F.log_softmax(net.fc(x.flatten(1)), -1), {"fc": (36, 5)}),
    "a linear layer used twice": (
        lambda net, x: net.fc(net.body(net.body(x.view(-1, 36)).relu()) + x.flatten(1)),
        {"body": (36, 36), "fc": (36, 5)},
    ),
    "flat values concatenated": (
        lambda net, x: net.fc(torch.cat([net.body(x.flatten(1)).tanh(), x.flatten(1)], 1)),
        {"body": (36, 3), "fc": (39, 5)},
    ),
    "a flat value that becomes a map": (
        lambda net, x: net.fc(F.max_pool2d(net.body(x.flatten(1)).view(-1, 2, 3, 4), 2).flatten(1)),
        {"body": (36, 24), "fc": (4, 5)},
    ),
    "a shortcut past a flattening": (
        lambda net, x: net.fc(x.flatten(1) * net.body(x.reshape(x.shape[0], -1))), {"body": (36, 36), "fc": (36, 5)}
    ),
    "a value and itself": (lambda net, x: net.fc(_square(net.body(x.flatten(1)))), {"body": (36, 7), "fc": (7, 5)}),
    "a bare layer": (lambda net, x: net.fc(torch.squeeze(x.flatten(1).unsqueeze(1), 1)), {"fc": (36, 5)}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARDS)
def test_forms_of_forward(name):
    forward, sizes = FORWARDS[name]
    layers = {key: nn.Linear(*size) for key, size in sizes.items()}
    check(lambda: Net(forward, **layers), noise(33, size=6, classes=5), lr=0.1)


def test_layers_over_flat_values():
    """Norms, PReLU and dropout after Flatten, over features, and over a map that is only called flat."""

    def forward(net, x):
        x = net.groups(net.batch(torch.flatten(net.conv(x), 1)))
        x = F.dropout(net.slopes(net.layer(net.body(x))), 0.2, net.training)
        return net.last(net.softmax(x))

    def network():
        return Net(
            forward, conv=nn.Conv2d(1, 2, 3), batch=nn.BatchNorm1d(32), groups=nn.GroupNorm(4, 32), slopes=nn.PReLU(9),
            body=nn.Linear(32, 9), layer=nn.LayerNorm(9), softmax=nn.Softmax(1), last=nn.Linear(9, 5),
        )  # fmt: skip

    check(network, noise(33, size=6, classes=5), lr=0.1)


def test_frozen_layers_stay_with_weight_decay_and_averages():
    def network():
        made = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 5)
        )
        made[0].requires_grad_(False)
        made[1].requires_grad_(False)
        made[5].bias.requires_grad_(False)
        return made

    fields = {"momentum": 0.8, "weight_decay": 0.1, "ema_decay": 0.9, "lr": 0.1}
    check(network, noise(33, size=6, classes=5), steps=5, **fields)
    check(network, noise(33, size=6, classes=5), steps=5, optimizer="adamw", **{**fields, "momentum": None})


def test_weights_that_the_output_does_not_need_stay():
    def forward(net, x):
        net.idle(x.flatten(1))
        return net.last(x.flatten(1))

    network = Net(forward, idle=nn.Linear(36, 2), last=nn.Linear(36, 5), never=nn.Linear(3, 3))
    check(lambda: network, noise(33, size=6, classes=5), steps=3, lr=0.1, weight_decay=0.1)


@pytest.mark.parametrize(("size", "batch_size", "num_images"), [(1, 5, 13), (2, 1, 3), (6, 500, 33), (5, 17, 18)])
def test_odd_sizes(size, batch_size, num_images):
    """Images of one pixel, batches of one, a batch larger than the data, and 62 classes."""

    def forward(net, x):
        x = net.norm(net.conv(x)).relu()
        gate = torch.sigmoid(x.mean((2, 3))).view(-1, 4, 1, 1)
        return net.last(torch.cat([x, net.again(x) * gate], 1).flatten(1))

    def network():
        return Net(
            forward, conv=nn.Conv2d(1, 4, 3, padding=1), again=nn.Conv2d(4, 4, 3, padding=2, dilation=2),
            norm=nn.GroupNorm(2, 4), last=nn.Linear(8 * size**2, 62),
        )  # fmt: skip

    check(network, noise(num_images, size=size, classes=62), batch_size=batch_size, lr=0.1, steps=3)


def engines(name, count=1, threads=(1,), **fields):
    """Return the images and native engines in float32 on that network of `PEOPLE`."""
    dataset = noise(90, size=12, classes=5)
    plan = Plan(recipe_for(batch_size=40, **{"lr": 0.05, "momentum": 0.9, "ema_decay": 0.9, **fields}), 1, 90, (12, 12))
    network = plan.initial(lambda: PEOPLE[name](5, 1, 12))
    return dataset, [
        native.Engine(copy.deepcopy(network), plan, dataset, threads=number) for number in threads for _ in range(count)
    ]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", PEOPLE)
def test_same_bits_for_any_number_of_threads(name):
    dataset, made = engines(name, threads=(1, 2, 3, 4))
    losses = [engine.advance(6)[0] for engine in made]
    logits = [engine.logits(dataset.images) for engine in made]
    assert all(torch.equal(loss, losses[0]) for loss in losses)
    assert all(torch.equal(values, logits[0]) for values in logits)
    assert all(same(engine.state(), made[0].state()) for engine in made)


@pytest.mark.parametrize("name", PEOPLE)
def test_resumes_exactly(name):
    dataset, (whole, first, second) = engines(name, count=3)
    losses = whole.advance(7)[0]
    first.advance(4)
    saved = first.state()
    second.load_state(saved, 4)
    assert torch.equal(second.advance(7)[0], losses[4:])
    assert same(whole.state(), second.state())
    assert torch.equal(whole.logits(dataset.images), second.logits(dataset.images))


def test_a_mean_of_all_batches_resumes_exactly():
    def network():
        return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=None), nn.Flatten(), nn.Linear(48, 5))

    dataset = noise(33, size=6, classes=5)
    whole, theirs = twins(network, recipe_for(lr=0.1), dataset)
    first, second = (twins(network, recipe_for(lr=0.1), dataset)[0] for _ in range(2))
    whole.advance(6), theirs.advance(6)
    first.advance(3)
    second.load_state(first.state(), 3)
    second.advance(6)
    assert same(whole.state(), second.state())
    assert distance(whole.model, theirs.model) < 1e-9
