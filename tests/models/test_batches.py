import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from lenette.errors import ModelError
from lenette.models import MODELS, build
from lenette.models.batches import last_batch, require_batch

IMAGE = (1, 28, 28)


class OwnForward(nn.Module):
    """Normalises in forward itself."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(784, 10)

    def forward(self, x):
        x = self.linear(x.flatten(1))
        return functional.batch_norm(x, torch.zeros(10), torch.ones(10), training=self.training)


class Squeezes(nn.Module):
    """Loses the batch where it is of one image, which is put right wherever its answer is read."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 28)

    def forward(self, x):
        return self.conv(x).squeeze()


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))


def pooled(norm):
    return nn.Sequential(nn.Conv2d(1, 8, 28), nn.Sequential(norm), nn.Flatten(), nn.Linear(8, 10))


BREAKS = {
    "2 (BatchNorm1d): Expected more than 1 value per channel when training": flat,
    "1.0 (BatchNorm2d): Expected more than 1 value per channel": lambda: pooled(nn.BatchNorm2d(8)),
    "1.0 (InstanceNorm2d): Expected more than 1 spatial element": lambda: pooled(nn.InstanceNorm2d(8)),
    "1.0 (GroupNorm): Expected more than 1 value per channel": lambda: pooled(nn.GroupNorm(8, 8)),
    "(OwnForward): Expected more than 1 value per channel": OwnForward,
}


@pytest.mark.parametrize(("says", "network"), BREAKS.items(), ids=BREAKS)
def test_names_what_breaks_and_a_batch_size_that_works(says, network):
    with pytest.raises(ModelError) as error:
        require_batch(network(), IMAGE, 60_001, 50)
    told = str(error.value)
    assert told.startswith("the last batch of an epoch (60,001 cut into 50s) has 1 image, and the network can't be")
    assert says in told
    assert told.endswith("; try batch_size = 49")
    require_batch(network(), IMAGE, 60_001, 49)
    require_batch(network(), IMAGE, 60_000, 50)


def test_every_batch_of_one_and_one_image_in_all():
    with pytest.raises(ModelError, match=r"^every batch has 1 image, .*; try batch_size = 2$"):
        require_batch(flat(), IMAGE, 100, 1)
    with pytest.raises(ModelError, match=r"^every batch has 1 image, .*; try batch_size = 3$"):
        require_batch(flat(), IMAGE, 101, 1)
    with pytest.raises(ModelError, match=r"; train on more images$"):
        require_batch(flat(), IMAGE, 1, 64)


@given(st.integers(1, 300), st.integers(1, 30))
def test_the_batch_size_that_it_names_leaves_no_batch_of_one(batch_size, num_batches):
    num_images = batch_size * num_batches + 1
    assert last_batch(num_images, batch_size) == 1
    with pytest.raises(ModelError) as error:
        require_batch(flat(), IMAGE, num_images, batch_size)
    other = int(str(error.value).rpartition("batch_size = ")[2].replace(",", ""))
    sizes = [len(part) for part in torch.arange(num_images).split(other)]
    assert min(sizes) > 1


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_network_can_be_trained_on_one_image(name):
    require_batch(build(name), IMAGE, 61, 60)


def test_leaves_the_network_and_the_generator_alone():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Flatten(), nn.Linear(784, 10)).eval()
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(1)
    state = torch.get_rng_state()
    require_batch(network, IMAGE, 3, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_network_that_ends_in_squeeze_can_be_trained_on_one():
    require_batch(Squeezes(), IMAGE, 129, 128)
