"""The C++ that is written for a network."""

import pytest
from torch import nn

from lenette.engines.native.generate import source_of
from lenette.errors import UnsupportedByEngine


def test_refuses_a_network_that_does_not_fit_its_images():
    network = nn.Sequential(nn.Conv2d(1, 2, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3))
    assert "Linear<4, 3, true>" in source_of(network, (1, 8, 7), (0.5,), (0.5,))
    with pytest.raises(UnsupportedByEngine, match=r"'3' wants 4 inputs and gets 288"):
        source_of(network, (1, 28, 28), (0.5,), (0.5,))
    with pytest.raises(UnsupportedByEngine, match=r"'0' doesn't fit"):
        source_of(network, (1, 3, 3), (0.5,), (0.5,))
    with pytest.raises(UnsupportedByEngine, match=r"'1' doesn't fit"):
        source_of(network, (1, 5, 5), (0.5,), (0.5,))
