"""One reading of a network, whatever it is written with."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lenette.models import MODELS, build
from lenette.models.graph import Graph, NotAGraph, graph
from lenette.models.kinds import KINDS

MNIST = (1, 28, 28)


def shape_of(found: Graph) -> list:
    """Return what a graph computes, without the names that the user gave."""
    return [(node.kind, node.inputs, sorted(node.options.items()), node.shape) for node in found.nodes]


class Layers(nn.Module):
    """Convolution, activation, pool, and a linear layer, written as the arguments say."""

    def __init__(self, act, pool, flat):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4 * 14 * 14, 10)
        self.act, self.pool, self.flat = act, pool, flat

    def forward(self, x):
        return self.fc(self.flat(self.pool(self.act(self.conv(x)))))


ACTIVATIONS = [nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, lambda x: x.relu(), lambda x: F.relu(x, True)]
POOLS = [
    nn.MaxPool2d(2),
    lambda x: F.max_pool2d(x, 2),
    lambda x: F.max_pool2d(x, kernel_size=2),
    nn.Sequential(nn.MaxPool2d(2)),
]
FLATS = [
    nn.Flatten(), lambda x: x.flatten(1), lambda x: torch.flatten(x, 1), lambda x: x.view(x.size(0), -1),
    lambda x: x.view(-1, 784), lambda x: x.reshape(x.shape[0], 784),
    lambda x: x.contiguous().view(-1, x.shape[1] * 196),
    lambda x: torch.reshape(x, (-1, 784)), lambda x: x.flatten(2).flatten(1),
]  # fmt: skip


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_activations_by_any_spelling_are_one_node(act):
    assert shape_of(graph(Layers(act, POOLS[0], FLATS[0]), MNIST)) == shape_of(
        graph(Layers(nn.ReLU(), POOLS[0], FLATS[0]), MNIST)
    )


@pytest.mark.parametrize("pool", POOLS)
def test_pools_by_any_spelling_are_one_node(pool):
    found, expected = (graph(Layers(F.relu, one, FLATS[0]), MNIST) for one in (pool, nn.MaxPool2d(2)))
    assert [node.kind for node in found.nodes] == [node.kind for node in expected.nodes]
    pools = [next(node for node in one.nodes if node.kind == "max_pool") for one in (found, expected)]
    assert pools[0].shape == pools[1].shape == (4, 14, 14)
    assert pools[0].options["kernel_size"] == 2


@pytest.mark.parametrize("flat", FLATS)
def test_flatten_by_any_spelling_is_a_reshape(flat):
    found = graph(Layers(F.relu, POOLS[0], flat), MNIST)
    kinds = [node.kind for node in found.nodes]
    assert set(kinds[4:-1]) == {"reshape"}
    assert found.nodes[-2].shape == (784,)
    assert not found.nodes[-2].fresh


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.layers], ids=lambda kind: kind.name)
def test_layers_and_functions_mean_the_same(kind):
    """Every layer of the table, and every function of it that takes an input alone."""
    made = {
        nn.Conv2d: (nn.Conv2d(4, 4, 3), None), nn.Linear: (nn.Linear(8, 4), None),
        nn.BatchNorm1d: (nn.BatchNorm1d(4), None), nn.BatchNorm2d: (nn.BatchNorm2d(4), None),
        nn.LayerNorm: (nn.LayerNorm(8), None), nn.GroupNorm: (nn.GroupNorm(2, 4), None),
        nn.MaxPool2d: (nn.MaxPool2d(2), 2), nn.AvgPool2d: (nn.AvgPool2d(2), 2),
        nn.AdaptiveAvgPool2d: (nn.AdaptiveAvgPool2d(1), 1), nn.Unflatten: (nn.Unflatten(1, (2, 2)), None),
        nn.Softmax: (nn.Softmax(1), 1), nn.LogSoftmax: (nn.LogSoftmax(1), 1),
    }  # fmt: skip
    for layer in kind.layers:
        module, argument = made.get(layer, (None, None))
        module = module or layer()
        shape = (4,) if layer is nn.BatchNorm1d else (4, 8, 8)
        (node,) = graph(nn.Sequential(module), shape).nodes[1:] or [None]
        assert node is None or (node.kind, node.layer) == (kind.name, layer.__name__)
        assert kind.name == "same" or node
        for call in kind.calls if layer not in (nn.Unflatten, nn.Flatten) and not kind.tensors else ():
            more = () if argument is None else (argument,)
            by_name = _Calls(call, more, "training" in kind.order)
            found = graph(by_name, shape).nodes[1:]
            assert [one.kind for one in found] == ([] if node is None else [kind.name]), call


class _Calls(nn.Module):
    def __init__(self, call, more, training):
        super().__init__()
        self.call, self.more, self.has_training = call, more, training

    def forward(self, x):
        how = {"training": self.training} if self.has_training else {}
        if isinstance(self.call, str):
            return getattr(x, self.call)(*self.more)
        return self.call(x, *self.more, **how)


class Shortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm, self.gate, self.fc = nn.BatchNorm2d(8), nn.Linear(8, 8), nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x).relu()
        y = self.norm(self.conv(x))
        x = x + y
        x = x * torch.sigmoid(self.gate(x.mean((2, 3)))).view(x.size(0), 8, 1, 1)
        x = F.dropout(torch.cat([x, self.conv(y)], dim=1) / 2, 0.1, self.training)
        return F.log_softmax(self.fc(F.avg_pool2d(x, 28).view(-1, 16)), dim=1)


def test_shortcuts_gates_and_shared_layers():
    found = graph(Shortcut(), MNIST)
    kinds = [node.kind for node in found.nodes]
    assert kinds == [
        *("input", "convolution", "relu", "convolution", "batch_norm", "add", "adaptive_average_pool", "linear"),
        *("sigmoid", "reshape", "multiply", "convolution", "concatenate", "affine", "dropout", "average_pool"),
        *("reshape", "linear", "log_softmax"),
    ]  # fmt: skip
    by_kind = {kind: node for kind, node in zip(kinds, found.nodes, strict=True)}
    assert by_kind["add"].inputs == (2, 4)
    assert by_kind["multiply"].inputs == (5, 9)
    assert (by_kind["concatenate"].shape, by_kind["affine"].options) == ((16, 28, 28), {"factor": 0.5, "offset": 0.0})
    assert found.nodes[3].tensors == found.nodes[11].tensors == {"weight": "conv.weight"}
    assert set(found.nodes[4].tensors.values()) == {
        f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")
    }
    assert by_kind["dropout"].options == {"p": 0.1, "always": False}
    assert found.used == list(range(len(kinds)))
    assert found.nodes[5].line.startswith(f"{Path(__file__)}:")


@pytest.mark.parametrize("name", MODELS)
def test_shipped_networks_are_read_whole(name):
    network = build(name)
    found = graph(network, MNIST)
    assert (found.nodes[0].kind, found.nodes[found.output].shape) == ("input", (10,))
    named = {name for node in found.nodes for name in node.tensors.values()}
    assert named == {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}


def test_a_discarded_layer_is_seen_and_not_used():
    class Careless(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.idle = nn.Linear(784, 10), nn.Linear(784, 3)

        def forward(self, x):
            x = x.flatten(1)
            self.idle(x)
            return self.fc(x)

    found = graph(Careless(), MNIST)
    assert [node.name for node in found.nodes] == ["x", "flatten", "idle", "fc"]
    assert found.used == [0, 1, 3]


def forward(function):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.drop, self.free = nn.Linear(784, 10), nn.Dropout(0.2), torch.ones(10, 784)

        def forward(self, x):
            return function(self, x.flatten(1))

    return Net()


def under_no_grad(net, x):
    with torch.no_grad():
        return net.fc(x)


def changed_in_place(net, x):
    F.relu_(x)
    return net.fc(x)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda net, x: net.fc(x) if x.sum() > 0 else net.fc(-x), "can't be traced: TraceError"),
        (lambda net, x: torch.sort(net.fc(x))[0], r"'sort' at .*test_graph\.py:\d+ is of no kind"),
        (lambda net, x: (net.fc(x), x), "returns a tuple, not one tensor of logits"),
        (lambda net, x: {"logits": net.fc(x)}, "returns a dict, not one tensor of logits"),
        (lambda net, x: net.fc(x.view(-1, 392).repeat(1, 2)), "mixes up images and features"),
        (lambda net, x: F.linear(x, net.free), "reads weights that are no parameter and no buffer"),
        (lambda net, x: net.fc(x[:, :700]), r"'getitem' at .*test_graph\.py:\d+ is of no kind"),
        (lambda net, x: F.linear(x, net.fc.weight.T), r"breaks at .*test_graph\.py:\d+: RuntimeError|no parameter"),
        (lambda net, x: net.fc(x) if net.training else net.fc(x).tanh(), "something else in evaluation"),
        (lambda net, x: torch.add(net.fc(x), net.fc(x), alpha=2), r"'add' at .*test_graph\.py:\d+ is of no kind"),
        (lambda net, x: torch.div(net.fc(x), 2, rounding_mode="floor"), r"'div' at .*test_graph\.py:\d+ is of no kind"),
        (lambda net, x: torch.cat([net.fc(x), net.free[:3, :5]], 1), r"'cat' at .*test_graph\.py:\d+ is of no kind"),
        (under_no_grad, r"'fc' at .*test_graph\.py:\d+ stands under torch\.no_grad"),
        (changed_in_place, r"'fc' at .*test_graph\.py:\d+ reads what was changed in place"),
        (lambda net, x: net.fc(F.dropout(x, 0.1, False)), "does in training what it does in evaluation"),
    ],
)
def test_what_is_no_graph_is_named_with_its_line(function, said):
    with pytest.raises(NotAGraph, match=said):
        graph(forward(function), MNIST)


def test_a_dropout_that_never_stops_is_told():
    always = graph(forward(lambda net, x: net.fc(F.dropout(x, 0.1))), MNIST)
    proper = graph(forward(lambda net, x: net.fc(net.drop(x))), MNIST)
    assert [found.nodes[2].options["always"] for found in (always, proper)] == [True, False]


def test_an_unknown_layer_is_named():
    with pytest.raises(NotAGraph, match=r"layer '1' \(RReLU\) is of no kind that is known here"):
        graph(nn.Sequential(nn.Flatten(), nn.RReLU()), MNIST)
    hooked = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    hooked[1].register_forward_hook(lambda *_: None)
    with pytest.raises(NotAGraph, match=r"\(Linear with hooks\)"):
        graph(hooked, MNIST)


def test_hooks_of_the_network_itself_are_told():
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    network.register_forward_hook(lambda *_: None)
    with pytest.raises(NotAGraph, match="hooks"):
        graph(network, MNIST)


def test_reading_works_without_gradients_too():
    network = build("lenet5")
    with torch.no_grad():
        assert shape_of(graph(network, MNIST)) == shape_of(graph(network, MNIST))


def test_reading_leaves_the_network_and_the_generators_alone():
    network = build("transition_19k").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    graph(network, MNIST)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("written", "shape", "dim"),
    [(None, (1, 4, 4), 1), (-1, (1, 4, 4), 3), (None, (16,), 1), (-2, (16,), 0), (1, (16,), 1)],
)
@pytest.mark.filterwarnings("ignore:Implicit dimension choice")
def test_the_dimension_of_a_softmax_is_counted_from_the_front(written, shape, dim):
    layers = [nn.Softmax(written)] if len(shape) == 3 else [nn.Flatten(), nn.LogSoftmax(written)]
    assert graph(nn.Sequential(*layers), (1, 4, 4)).nodes[-1].options == {"dim": dim}
