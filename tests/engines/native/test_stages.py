"""What the native engine takes and what it refuses, by name, without a compiler."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.people import PEOPLE
from lenette import models
from lenette.engines.native.generate import OPERATIONS as WRITTEN
from lenette.engines.native.generate import source_of
from lenette.engines.native.stages import OPERATIONS, POOLS
from lenette.engines.native.stages import read as reading
from lenette.errors import UnsupportedByEngine


class Forward(nn.Module):
    """A module whose forward is the function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def read(network, shape=(2, 9, 9)):
    return reading(network, shape).stages


@pytest.mark.parametrize("name", models.MODELS)
def test_takes_every_shipped_network(name):
    network = models.build(name)
    kinds = {stage.kind for stage in read(network, (1, 28, 28))}
    assert kinds <= {"convolution", "linear"} | set(POOLS)


@pytest.mark.parametrize("name", PEOPLE)
def test_takes_what_people_write(name):
    assert read(PEOPLE[name](10, 1, 28), (1, 28, 28))


def test_every_operation_can_be_written():
    assert set(WRITTEN) == {*OPERATIONS, "copy", "reshape", "pad", "pool"}


def backward_hook():
    layer = nn.Conv2d(2, 2, 3)
    layer.register_full_backward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.Mish(), r"'strange' \(Mish\)"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "padding_mode = 'circular'"),
        (nn.BatchNorm2d(2, track_running_stats=False), "track_running_stats"),
        (nn.LayerNorm(9), r"normalized_shape = \[9\] of \[2, 9, 9\]"),
        (nn.Linear(9, 9), "on what is an image, not flat"),
        (nn.Sequential(nn.Flatten(2), nn.BatchNorm1d(2)), "on what is of 3 dimensions"),
        (nn.Softmax(2), "dim = 2"),
        (nn.LogSoftmax(1), r"layer 'strange' \(LogSoftmax\)"),
        (backward_hook(), "with hooks"),
        (Forward(lambda x: x.tan()), r"'tan' at .*test_stages.py:\d+"),
        (Forward(lambda x: F.dropout(x, 0.1)), r"'dropout' at .*test_stages.py:\d+ that goes on in evaluation"),
        (Forward(lambda x: x * x.mean((2, 3)).view(-1, 2, 1)[:, :, None]), "getitem"),
        (Forward(lambda x: x.flatten(2) * x.mean((2, 3)).unsqueeze(2)), r"'mul' at .* of \[2, 81\] and \[2, 1\]"),
    ],
)
def test_refuses_by_name(layer, named):
    network = nn.Sequential()
    network.add_module("stem", nn.Conv2d(2, 2, 1))
    network.add_module("strange", layer)
    network.add_module("flatten", nn.Flatten())
    with pytest.raises(UnsupportedByEngine, match=named):
        read(network)


def test_names_layers_of_nested_networks():
    network = nn.Sequential()
    network.add_module("body", nn.Sequential(nn.Conv2d(2, 2, 1), nn.Mish()))
    with pytest.raises(UnsupportedByEngine, match=r"'body.1' \(Mish\)"):
        read(network)


def test_refuses_what_does_not_fit():
    with pytest.raises(UnsupportedByEngine, match=r"breaks .*cannot be multiplied"):
        read(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)))


def test_refuses_a_network_that_does_not_end_flat_or_has_no_weights():
    with pytest.raises(UnsupportedByEngine, match="end it with Flatten"):
        read(nn.Sequential(nn.Conv2d(2, 1, 1)))
    with pytest.raises(UnsupportedByEngine, match="no weights to train"):
        read(nn.Sequential(nn.Flatten()))
    with pytest.raises(UnsupportedByEngine, match="no weights to train"):
        read(nn.Sequential(nn.Flatten(), nn.Linear(162, 3).requires_grad_(False)))


def test_refuses_batch_norm_whose_output_is_thrown_away():
    class Careless(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.fc = nn.BatchNorm2d(2), nn.Linear(162, 3)

        def forward(self, x):
            self.norm(x)
            return self.fc(x.flatten(1))

    with pytest.raises(UnsupportedByEngine, match=r"'norm' .* not used"):
        read(Careless())


def test_refuses_weights_that_are_buffers():
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(162, 3))
    weight = network[0].weight.detach()
    del network[0].weight
    network[0].register_buffer("weight", weight)
    with pytest.raises(UnsupportedByEngine, match=r"'0' \(Conv2d\) whose weight '0.weight' is no parameter"):
        read(network)


def test_refuses_hooks_and_other_containers():
    network = models.build("lenet5")
    next(iter(network.children())).register_forward_hook(lambda *_: None)
    with pytest.raises(UnsupportedByEngine, match="hooks"):
        read(network, (1, 28, 28))
    hooked = models.build("lenet5")
    next(hooked.parameters()).register_hook(lambda gradient: gradient)
    with pytest.raises(UnsupportedByEngine, match="hooks"):
        read(hooked, (1, 28, 28))
    with pytest.raises(UnsupportedByEngine, match="forward"):
        read(nn.ModuleList([nn.Flatten()]))


def test_odd_orders_start_a_new_stage():
    layers = [
        nn.Conv2d(2, 2, 3),
        nn.ReLU(),
        nn.BatchNorm2d(2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
    ]
    stages = read(nn.Sequential(*layers))
    assert [sorted(stage.tail) for stage in stages] == [["activation"], ["activation", "norm", "outer_dropout", "pool"]]


def test_a_value_that_two_read_ends_its_stage():
    def forward(x):
        x = torch.relu(x)
        return torch.relu(x + torch.sigmoid(x))

    stages = read(nn.Sequential(nn.Conv2d(2, 2, 3), Forward(forward), nn.Flatten(), nn.Linear(98, 3)))
    assert [(stage.kind, stage.inputs, list(stage.tail)) for stage in stages] == [
        ("convolution", [-1], ["activation"]),
        ("copy", [0], ["activation"]),
        ("add", [0, 1], ["activation"]),
        ("linear", [2], []),
    ]


class Owned(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.conv, self.drop, self.fc = nn.Conv2d(2, 2, 3), drop, nn.Linear(98, 3)

    def forward(self, x):
        x = self.conv(x)
        F.dropout2d(x, 0.2, self.training)  # thrown away, but drawn
        return self.fc(self.drop(self.drop(x) + 1).flatten(1))


def test_masks_are_numbered_as_they_are_drawn():
    found = reading(Owned(nn.Dropout(0.3)), (2, 9, 9))
    assert found.num_masks == 3
    assert [stage.masks for stage in found.stages if stage.masks] == [{"inner_dropout": 1}, {"inner_dropout": 2}]


def test_another_use_of_weights_has_a_gradient_of_its_own():
    layer = nn.Conv2d(2, 2, 1, bias=False)
    source = source_of(nn.Sequential(layer, layer, nn.Flatten(), nn.Linear(162, 3)), (2, 9, 9), (0.5, 0.5), (1.0, 1.0))
    assert "Place{0, 0}" in source
    assert "Place{0, 493}" in source
    assert "parameters.push_back({0, 4, {{0, true}, {493, true}}});  // 0.weight" in source


def test_frozen_weights_are_not_updated():
    network = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Flatten(), nn.Linear(162, 3))
    frozen = copy.deepcopy(network)
    frozen[0].requires_grad_(False)
    sources = [source_of(one, (2, 9, 9), (0.5, 0.5), (1.0, 1.0)) for one in (network, frozen)]
    assert ["// 0.weight" in source for source in sources] == [True, False]
