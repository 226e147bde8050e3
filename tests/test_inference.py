import pytest
import torch
from torch import nn

from lenette.errors import DataError
from lenette.inference import EVALUATION_BATCH, Network, logits
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


def test_a_network_is_images_in_and_probabilities_out():
    network = Network(build("ladder_7k"), tuple("0123456789"), (1, 28, 28), (0.13,), (0.31,))
    found = network.probabilities(images(3))
    assert torch.equal(found, logits(network.model, images(3), (0.13,), (0.31,)).softmax(dim=1))
    assert torch.allclose(found.sum(dim=1), torch.ones(3))


@pytest.mark.parametrize("wrong", [images(2).float(), images(2)[:, :, 1:], images(2)[0]])
def test_images_of_another_type_or_shape_are_refused(wrong):
    network = Network(build("ladder_7k"), tuple("0123456789"), (1, 28, 28), (0.13,), (0.31,))
    with pytest.raises(DataError, match=r"the network takes uint8 \[N, 1, 28, 28\]"):
        network.probabilities(wrong)
