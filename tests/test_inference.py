import pytest
import torch
from torch import nn

from lenette.inference import EVALUATION_BATCH, logits
from lenette.models import build


def images(count):
    return torch.randint(256, (count, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("count", [1, EVALUATION_BATCH, EVALUATION_BATCH + 1])
def test_normalises_and_goes_through_the_network_in_evaluation_mode(count):
    model = build("ladder_7k").train()
    found = logits(model, images(count), (0.13,), (0.31,))
    assert model.training
    expected = model.eval()((images(count).float() / 255 - 0.13) / 0.31)
    assert found.shape == (count, 10)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-5)


def test_each_channel_has_a_mean_and_a_deviation_of_its_own():
    pixels = torch.tensor([255, 0], dtype=torch.uint8).view(1, 2, 1, 1)
    assert logits(nn.Flatten(), pixels, (0.5, 0.25), (0.5, 2.0)).tolist() == [[1.0, -0.125]]
