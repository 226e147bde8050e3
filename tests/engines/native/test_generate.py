"""The C++ that is written for a network."""

import pytest
from torch import nn

from lenette.engines.native.generate import ACTIVATIONS as WRITTEN
from lenette.engines.native.generate import source_of
from lenette.engines.native.stages import ACTIVATIONS
from lenette.errors import UnsupportedByEngine


def test_refuses_a_network_that_does_not_fit_its_images():
    network = nn.Sequential(nn.Conv2d(1, 2, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3))
    assert "Linear<4, 3, true>" in source_of(network, (1, 8, 7), (0.5,), (0.5,))
    for size in (28, 5, 3):
        with pytest.raises(UnsupportedByEngine, match="the network breaks"):
            source_of(network, (1, size, size), (0.5,), (0.5,))


def test_every_activation_can_be_written():
    assert tuple(sorted(WRITTEN)) == tuple(sorted(ACTIVATIONS))
