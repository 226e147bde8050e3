"""What the native engine takes and what it refuses, by name, without a compiler."""

import pytest
from torch import nn

from lenette import models
from lenette.engines.native.stages import read, supports
from lenette.errors import UnsupportedByEngine
from lenette.recipes import Recipe

RECIPE = Recipe(model="own")


@pytest.mark.parametrize("name", models.MODELS)
def test_takes_every_shipped_network(name):
    supports(models.build(name), RECIPE)


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
        supports(network, RECIPE)


def test_refuses_a_layer_that_is_used_twice_if_it_has_weights():
    relu, convolution = nn.ReLU(), nn.Conv2d(1, 1, 1)
    with pytest.raises(UnsupportedByEngine, match=r"'3' \(Conv2d\) used a second time"):
        supports(nn.Sequential(convolution, relu, relu, convolution, nn.Flatten()), RECIPE)


def test_refuses_two_layers_with_the_same_weights():
    first, second = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
    second.weight = first.weight
    with pytest.raises(UnsupportedByEngine, match=r"'1' \(Conv2d\) whose weights are another layer's too"):
        supports(nn.Sequential(first, second, nn.Flatten()), RECIPE)


def test_refuses_batch_norm_over_flattened_images():
    with pytest.raises(UnsupportedByEngine, match=r"'1' \(BatchNorm1d\) on what is flat"):
        supports(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(9), nn.Linear(9, 2)), RECIPE)


def test_names_layers_of_nested_sequences():
    network = nn.Sequential()
    network.add_module("body", nn.Sequential(nn.Conv2d(1, 1, 1), nn.Tanh()))
    with pytest.raises(UnsupportedByEngine, match=r"'body.1' \(Tanh\)"):
        supports(network, RECIPE)


def test_refuses_a_convolution_after_flatten():
    with pytest.raises(UnsupportedByEngine, match=r"'1' .* on what is flat"):
        supports(nn.Sequential(nn.Flatten(), nn.Conv2d(1, 1, 1)), RECIPE)


def test_refuses_a_network_that_does_not_end_flat_or_has_no_weights():
    with pytest.raises(UnsupportedByEngine, match="end it with Flatten"):
        supports(nn.Sequential(nn.Conv2d(1, 1, 1)), RECIPE)
    with pytest.raises(UnsupportedByEngine, match="neither"):
        supports(nn.Sequential(nn.Flatten()), RECIPE)


def test_refuses_hooks_and_other_containers():
    network = models.build("lenet5")
    next(iter(network.children())).register_forward_hook(lambda *_: None)
    with pytest.raises(UnsupportedByEngine, match="hooks"):
        supports(network, RECIPE)
    with pytest.raises(UnsupportedByEngine, match="ModuleList"):
        supports(nn.ModuleList([nn.Flatten()]), RECIPE)


def test_refuses_bfloat16():
    with pytest.raises(UnsupportedByEngine, match="precision = 'bfloat16'"):
        supports(models.build("lenet5"), RECIPE.but(precision="bfloat16"))


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
