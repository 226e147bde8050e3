"""Every layer's forward and gradients against PyTorch in float64, in networks that hypothesis makes up.

With a learning rate of 1 and no momentum a step moves each weight by its gradient, so that weights, running statistics
and losses after two steps, the second one with a short batch, show all of forward and backward.
LENETTE_NATIVE_EXAMPLES sets the number of networks.
"""

import os

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from torch import nn

from lenette.recipes import Recipe
from tests.engines.native.twins import distance, noise, twins

EXAMPLES = int(os.environ.get("LENETTE_NATIVE_EXAMPLES", "8"))


pytestmark = pytest.mark.usefixtures("quick_compiler")


def check(layers, batch_size=20, num_images=33, channels=1, size=12, steps=2, tolerance=1e-9, **fields):
    dataset = noise(num_images, channels, size, classes=5)
    recipe = Recipe(
        model="own", batch_size=batch_size, epochs=5, **{"lr": 1.0, "momentum": 0.0, "schedule": "constant", **fields}
    )
    ours, theirs = twins(lambda: nn.Sequential(*layers), recipe, dataset)
    (loss, right), (their_loss, their_right) = ours.advance(steps), theirs.advance(steps)
    torch.testing.assert_close(loss, their_loss, rtol=tolerance, atol=tolerance)
    assert right.tolist() == their_right.tolist()
    assert distance(ours.model, theirs.model) < tolerance
    torch.testing.assert_close(ours.logits(dataset.images), theirs.logits(dataset.images), rtol=1e-5, atol=1e-5)


@st.composite
def networks(draw):
    """Return layers for 5 classes, the images' channels and size."""
    channels, size = draw(st.integers(1, 3)), draw(st.integers(7, 14))
    shape, layers = (channels, size, size), []

    def add(layer):
        nonlocal shape
        layers.append(layer)
        shape = tuple(layer.eval()(torch.zeros(1, *shape)).shape[1:])

    for _ in range(draw(st.integers(1, 2))):
        kernel = tuple(draw(st.integers(1, min(4, side))) for side in shape[1:])
        padding = tuple(draw(st.integers(0, side - 1)) for side in kernel)
        width, stride, bias = draw(st.integers(1, 11)), draw(st.integers(1, 2)), draw(st.booleans())
        fits_twice = all(2 * k - 1 <= side for k, side in zip(kernel, shape[1:], strict=True))
        dilation = draw(st.integers(1, 2 if fits_twice else 1))
        groups = draw(st.sampled_from([n for n in range(1, shape[0] + 1) if shape[0] % n == 0]))
        add(nn.Conv2d(shape[0], width * groups, kernel, stride, padding, dilation, groups, bias=bias))
        for kind in draw(st.permutations(["norm", "activation", "dropout", "pool", "dropout"]))[
            : draw(st.integers(0, 5))
        ]:
            window = draw(st.integers(1, min(3, *shape[1:])))
            match kind:
                case "norm":
                    add(nn.BatchNorm2d(shape[0], affine=draw(st.booleans())))
                case "activation":
                    add(draw(st.sampled_from([nn.ReLU, nn.Sigmoid]))())
                case "dropout":
                    add(nn.Dropout(draw(st.sampled_from([0.0, 0.1, 0.5]))))
                case "pool":
                    pool = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
                    add(pool(window, draw(st.integers(1, 3))))
    if draw(st.booleans()):
        add(nn.AdaptiveAvgPool2d(1))
    add(nn.Flatten())
    if draw(st.booleans()):
        add(nn.Linear(shape[0], draw(st.integers(1, 40))))
        add(nn.Sigmoid())
    add(nn.Linear(shape[0], 5, bias=draw(st.booleans())))
    return layers, channels, size


# Not shrunk: each smaller network would have to be compiled.
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
)
@given(networks(), st.integers(2, 40), st.integers(1, 39))
def test_any_network(network, batch_size, short):
    layers, channels, size = network
    num_images = batch_size + min(short, batch_size)
    if min(short, batch_size) == 1:  # PyTorch refuses batch-norm over one value
        num_images += 1
    check(layers, batch_size, num_images, channels, size, lr=0.1, tolerance=1e-8)


def test_every_field_of_sgd_with_label_smoothing_and_averaged_weights():
    layers = [nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5)]
    fields = {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01, "label_smoothing": 0.2, "ema_decay": 0.9}
    check(layers, steps=5, lr=0.1, **fields)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam(optimizer):
    layers = [nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(300, 5)]
    fields = {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.02}
    check(layers, steps=5, optimizer=optimizer, **{"momentum": None, **fields})


def test_augmentation():
    layers = [nn.Flatten(), nn.Linear(3 * 144, 5)]
    fields = {
        "rotation": 30.0, "translation": 3.0, "scale": 0.3, "shear": 0.2, "crop_size": 9, "crop_probability": 0.5,
        "crop_padding": 2, "brightness": 0.4, "contrast": 0.5, "erase_size": 5, "erase_probability": 0.7,
    }  # fmt: skip
    check(layers, channels=3, lr=0.01, tolerance=1e-8, **fields)


def test_layers_in_an_odd_order():
    layers = [
        nn.BatchNorm2d(2), nn.Dropout(0.2), nn.Sigmoid(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.BatchNorm2d(3),
        nn.MaxPool2d(2), nn.ReLU(), nn.Dropout(0.3), nn.AvgPool2d(2), nn.Flatten(), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(12, 7), nn.BatchNorm1d(7), nn.Identity(), nn.Sigmoid(), nn.Linear(7, 5),
    ]  # fmt: skip
    check(layers, channels=2, steps=4, lr=0.1)


def test_outputs_that_are_pixels():
    check([nn.Conv2d(1, 2, 3, stride=4, padding=1), nn.Flatten()], lr=0.1)  # 2 x 3 x 3, of which 5 are classes


def test_a_kernel_wider_than_the_registers():
    check([nn.Conv2d(1, 5, 9, padding=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()], lr=0.1)


def test_two_images_in_a_batch_of_three_hundred():
    check([nn.Flatten(), nn.Linear(144, 5)], batch_size=300, num_images=302, lr=0.01)


# One image is a batch to batch-norm only where a map has more than one pixel: PyTorch refuses the rest.
@pytest.mark.parametrize(
    ("batch_size", "num_images"), [(1, 3), (2, 5), (7, 15), (8, 17), (20, 21), (20, 28), (40, 40), (500, 33)]
)
def test_any_size_of_batch(batch_size, num_images):
    layers = [nn.Conv2d(1, 3, 3, stride=2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(75, 5)]
    check(layers, batch_size, num_images, lr=0.1)


@pytest.mark.parametrize(("batch_size", "num_images"), [(2, 4), (3, 8), (20, 22), (20, 37), (500, 33)])
def test_any_size_of_batch_for_batch_norm_over_single_values(batch_size, num_images):
    layers = [
        nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 6),
        nn.BatchNorm1d(6), nn.Sigmoid(), nn.Linear(6, 5),
    ]  # fmt: skip
    check(layers, batch_size, num_images, lr=0.01, tolerance=1e-7)
