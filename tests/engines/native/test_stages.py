"""What the native engine takes and what it refuses, by name, without a compiler."""

import pytest
from torch import nn

from lenette import models
from lenette.engines.native.stages import read
from lenette.errors import UnsupportedByEngine


@pytest.mark.parametrize("name", models.MODELS)
def test_takes_every_shipped_network(name):
    read(models.build(name))


def frozen():
    layer = nn.Conv2d(1, 2, 3)
    layer.weight.requires_grad_(False)
    return layer


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.Tanh(), r"'strange' \(Tanh\)"),
        (nn.Conv2d(2, 2, 3, dilation=(1, 2)), "dilation"),
        (nn.Conv2d(2, 2, 3, stride=(1, 2)), "stride"),
        (nn.Conv2d(2, 2, 3, padding=3), "padding"),
        (nn.Conv2d(2, 2, 3, padding="same"), "padding = 'same'"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "padding_mode"),
        (nn.BatchNorm2d(2, momentum=None), "momentum"),
        (nn.BatchNorm2d(2, track_running_stats=False), "track_running_stats"),
        (nn.MaxPool2d(3, padding=1), "padding"),
        (nn.MaxPool2d(2, ceil_mode=True), "ceil_mode"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override"),
        (nn.AdaptiveAvgPool2d(2), "output_size"),
        (nn.Flatten(2), "start_dim"),
        (nn.Linear(2, 2), "on what is an image"),
        (frozen(), "frozen"),
    ],
)
def test_refuses_by_name(layer, named):
    network = nn.Sequential()
    network.add_module("strange", layer)
    network.add_module("flatten", nn.Flatten())
    with pytest.raises(UnsupportedByEngine, match=named):
        read(network)


def test_refuses_a_layer_that_is_used_twice_if_it_has_weights():
    relu, convolution = nn.ReLU(), nn.Conv2d(1, 1, 1)
    with pytest.raises(UnsupportedByEngine, match=r"'3' \(Conv2d\) used a second time"):
        read(nn.Sequential(convolution, relu, relu, convolution, nn.Flatten()))


def test_refuses_two_layers_with_the_same_weights():
    first, second = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
    second.weight = first.weight
    with pytest.raises(UnsupportedByEngine, match=r"'1' \(Conv2d\) whose weights are another layer's too"):
        read(nn.Sequential(first, second, nn.Flatten()))


def test_refuses_batch_norm_over_flattened_images():
    with pytest.raises(UnsupportedByEngine, match=r"'1' \(BatchNorm1d\) on what is flat"):
        read(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(9), nn.Linear(9, 2)))


def test_names_layers_of_nested_sequences():
    network = nn.Sequential()
    network.add_module("body", nn.Sequential(nn.Conv2d(1, 1, 1), nn.Tanh()))
    with pytest.raises(UnsupportedByEngine, match=r"'body.1' \(Tanh\)"):
        read(network)


def test_refuses_a_convolution_after_flatten():
    with pytest.raises(UnsupportedByEngine, match=r"'1' .* on what is flat"):
        read(nn.Sequential(nn.Flatten(), nn.Conv2d(1, 1, 1)))


def test_refuses_a_network_that_does_not_end_flat_or_has_no_weights():
    with pytest.raises(UnsupportedByEngine, match="end it with Flatten"):
        read(nn.Sequential(nn.Conv2d(1, 1, 1)))
    with pytest.raises(UnsupportedByEngine, match="neither"):
        read(nn.Sequential(nn.Flatten()))


def test_refuses_hooks_and_other_containers():
    network = models.build("lenet5")
    next(iter(network.children())).register_forward_hook(lambda *_: None)
    with pytest.raises(UnsupportedByEngine, match="hooks"):
        read(network)
    with pytest.raises(UnsupportedByEngine, match="ModuleList"):
        read(nn.ModuleList([nn.Flatten()]))


def test_odd_orders_start_a_new_stage():
    layers = [
        nn.Conv2d(1, 2, 3),
        nn.ReLU(),
        nn.BatchNorm2d(2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Flatten(),
    ]
    stages = read(nn.Sequential(*layers))
    assert [sorted(stage.tail) for stage in stages] == [["activation"], ["activation", "norm", "outer_dropout", "pool"]]
