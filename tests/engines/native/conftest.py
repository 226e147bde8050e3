"""What the native engine's tests share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def same_weights_in_every_order():
    """Seed torch, which draws the weights of layers that a test makes itself.

    By chance they can make a channel that is zero throughout. Batch-norm with a bias of zero then lies on ReLU's kink,
    where the engines' rounding decides whether that bias has a gradient.
    """
    torch.manual_seed(0)
