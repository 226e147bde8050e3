"""What the native engine's tests share."""

import pytest
import torch

from lenette.engines.native import compiler


@pytest.fixture(autouse=True)
def same_weights_in_every_order():
    """Seed torch, which draws the weights of layers that a test makes itself.

    By chance they can make a channel that is zero throughout. Batch-norm with a bias of zero then lies on ReLU's kink,
    where the engines' rounding decides whether that bias has a gradient.
    """
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def quick_compiler():
    """Compile in half the time: where the arithmetic alone is tested, which is the same at every level."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "FLAGS", tuple("-O1" if flag == "-O3" else flag for flag in compiler.FLAGS))
        yield
