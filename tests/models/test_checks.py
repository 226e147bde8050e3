"""Networks as people write them: what holds everywhere trains, and what does not is refused before the first step."""

import functools
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lenette.chance import planned
from lenette.errors import ModelError
from lenette.models.batches import require_batch
from lenette.models.checks import require_fit, require_sound
from lenette.models.copies import copied
from lenette.models.counts import count
from lenette.models.graph import NotAGraph, graph
from lenette.models.structure import structure

IMAGE = (1, 8, 8)


class Net(nn.Module):
    """A layer, then whatever the test says."""

    def __init__(self, then=lambda self, x: x, prepare=lambda self: None):
        super().__init__()
        self.a, self.b = nn.Linear(64, 16), nn.Linear(16, 10)
        self.then = then
        prepare(self)

    def forward(self, x):
        return self.b(self.then(self, self.a(x.flatten(1)).relu()))


def checked(make):
    """Return what `require_sound` says of the network that `make` makes, which is seeded as a plan does."""

    def made(seed):
        with planned() as start:
            start(seed)
            return make()

    require_fit(made(0), IMAGE, 10)
    return require_sound(made, IMAGE, 10)


def numpy_weights(self):
    with torch.no_grad():
        self.a.weight.copy_(torch.from_numpy(np.random.uniform(-0.1, 0.1, (16, 64))))  # noqa: NPY002


def fresh_weights(self):
    with torch.no_grad():
        self.a.weight.copy_(torch.from_numpy(np.random.default_rng().uniform(-0.1, 0.1, (16, 64))))


SOUND = {
    "plain": Net,
    "numpy's weights": functools.partial(Net, prepare=numpy_weights),
    "python's dice in training": lambda: Net(lambda self, x: x * (random.random() if self.training else 0.5)),
    "numpy's dice in training": lambda: Net(lambda self, x: x + (np.random.rand() if self.training else 0)),  # noqa: NPY002
    "dropout": lambda: Net(lambda self, x: F.dropout(x, 0.5, self.training)),
    "keeps features": lambda: Net(lambda self, x: setattr(self, "seen", x) or x),
    "keeps features in a list": lambda: Net(lambda self, x: self.__dict__.setdefault("seen", []).append(x) or x),
    "channels last": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Conv2d(8, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    ).to(memory_format=torch.channels_last),
    "ends in squeeze": lambda: nn.Sequential(nn.Conv2d(1, 10, 8), Squeeze()),
    "spectral norm": lambda: nn.Sequential(nn.Flatten(), nn.utils.spectral_norm(nn.Linear(64, 10))),
    "log softmax": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.LogSoftmax(1)),
    "its own generator, seeded": lambda: Net(prepare=lambda self: setattr(self, "dice", torch.Generator())),
}

UNSOUND = {
    "fresh weights each time": (functools.partial(Net, prepare=fresh_weights), "first weights are others each time"),
    "fresh dice in training": (
        lambda: Net(lambda self, x: x * (np.random.default_rng().random() if self.training else 1)),
        "training is another each time",
    ),
    "dropout that never stops": (
        lambda: Net(lambda self, x: F.dropout(x, 0.5)),
        r"other answers each time: dropout \(.*test_checks.py:\d+\) never stops; write F.dropout\(x, p, training=self",
    ),
    "noise in evaluation": (lambda: Net(lambda self, x: x + torch.randn_like(x)), "other answers each time: write F"),
    "neighbours": (lambda: Net(lambda self, x: x - x.mean(0)), "hangs on the other images in its batch"),
    "batch-norm without statistics": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16, track_running_stats=False), nn.Linear(16, 10)
        ),
        "breaks on one image alone: ValueError: Expected more than 1 value|hangs on the other images",
    ),
    "squeezed too early": (
        lambda: nn.Sequential(nn.Conv2d(1, 16, 8), Squeeze(), nn.BatchNorm1d(16), nn.Linear(16, 10)),
        r"breaks on one image alone: .*keep the batch's dimension, as x.flatten\(1\)",
    ),
    "layers in a list": (
        lambda: Net(lambda self, x: self.more[0](x), lambda self: setattr(self, "more", [nn.Linear(16, 16)])),
        "'more' holds layers in a plain list, .*: make it nn.ModuleList",
    ),
    "a tensor outside": (
        lambda: Net(lambda self, x: x * self.factor, lambda self: setattr(self, "factor", torch.randn(16))),
        r"'factor' is a tensor outside of the state dict: make it nn.Parameter .*register_buffer\('factor'",
    ),
    "a buffer that is not saved": (
        lambda: Net(
            lambda self, x: x * self.mask,
            lambda self: self.register_buffer("mask", torch.randn(16), persistent=False),
        ),
        "buffer 'mask' has persistent=False",
    ),
    "counts outside": (
        lambda: Net(lambda self, x: x * self.mean, lambda self: setattr(self, "mean", torch.rand(1))),
        "'mean' is a tensor outside",
    ),
}


class Squeeze(nn.Module):
    def forward(self, x):
        return x.squeeze()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
def test_sound(make):
    assert checked(make) == []


@pytest.mark.parametrize(("make", "says"), UNSOUND.values(), ids=UNSOUND)
def test_unsound(make, says):
    with pytest.raises(ModelError, match=says):
        checked(make)


def other_form(form):
    class Other(Net):
        def forward(self, x):
            logits = super().forward(x)
            return form(self, logits)

    return Other


FORMS = {
    "tuple": (lambda self, y: (y, y), r"^in evaluation mode the network gives a tuple, .* as in output\[0\]"),
    "dict": (lambda self, y: {"logits": y}, r"gives a dict with 'logits', .* as in output\['logits'\]"),
    "in training": (lambda self, y: (y, y) if self.training else y, "^in training mode the network gives a tuple"),
    "in evaluation": (lambda self, y: y if self.training else [y], "^in evaluation mode the network gives a list"),
    "none": (lambda self, y: None, "gives a NoneType.*return logits"),
}


@pytest.mark.parametrize(("form", "says"), FORMS.values(), ids=FORMS)
def test_outputs_of_another_form_are_named(form, says):
    with pytest.raises(ModelError, match=says):
        require_fit(other_form(form)(), IMAGE, 10)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_a_last_function_that_gives_probabilities_is_named_and_what_to_change(kind):
    last = nn.Softmax(1) if kind == "softmax" else nn.Sigmoid()
    said = checked(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), last))
    assert len(said) == 1
    assert f"ends in a {kind}" in said[0]
    assert "Leave the last function out" in said[0]
    hidden = checked(lambda: Net(lambda self, x: x, lambda self: setattr(self, "b", nn.Sequential(self.b, last))))
    assert hidden == said
    assert checked(lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.ReLU())) == []


def test_weights_that_are_the_same_for_every_seed_are_told():
    class Fixed(Net):
        def __init__(self):
            super().__init__()
            dice = torch.Generator().manual_seed(42)
            with torch.no_grad():
                for value in self.parameters():
                    value.copy_(torch.rand(value.shape, generator=dice))

    assert checked(Fixed) == ["the network starts from the same weights for every seed: those that it brings"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_checks_leave_no_mark():
    network = nn.utils.weight_norm(Net(lambda self, x: setattr(self, "seen", x) or x).a)
    kept = Net(lambda self, x: setattr(self, "seen", x) or x)
    kept.a = network
    before = structure(kept), count(kept)
    require_fit(kept, IMAGE, 10)
    require_batch(kept, IMAGE, 3, 2)
    assert not hasattr(kept, "seen")
    assert kept.training
    assert (structure(kept), count(kept)) == before


@pytest.mark.parametrize("dice", [random.random, np.random.rand, lambda: torch.rand(1).item()])
def test_dice_in_forward_make_no_graph_and_one_structure(dice):
    def skips(self, x):
        return x + self.a.bias if self.training and dice() < 0.5 else x

    with pytest.raises(NotAGraph, match="draws random numbers while it is traced"):
        graph(Net(skips), IMAGE)
    assert len({structure(Net(skips)) for _ in range(8)}) == 1


def test_a_copy_shares_no_tensor_and_what_cannot_be_copied_is_named():
    network = Net(prepare=lambda self: setattr(self, "seen", [torch.ones(1, requires_grad=True) * 2]))
    other = copied(network)
    assert other.seen[0] == 2
    assert other.seen[0] is not network.seen[0]
    with open(__file__) as file:
        network.file = file
        with pytest.raises(ModelError, match="can't be copied: TypeError"):
            copied(network)


def test_a_state_that_is_no_tensor_is_refused():
    class Extra(Net):
        def get_extra_state(self):
            return {"epoch": 3}

    with pytest.raises(ModelError, match="state dict holds '_extra_state', a dict and no tensor"):
        require_fit(Extra(), IMAGE, 10)


def test_what_seeds_a_program_is_left_out_and_told():
    told = set()
    with planned(told) as start:
        start(1)
        first = torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
        start(1)
        torch.manual_seed(42)
        np.random.seed(42)  # noqa: NPY002
        random.seed(42)
        assert (torch.rand(1), np.random.rand(), random.random()) == first  # noqa: NPY002
    assert told == {"torch.manual_seed", "numpy.random.seed", "random.seed"}
    state = random.getstate(), torch.get_rng_state()
    with planned() as start:
        start(5)
        random.random(), torch.rand(1)
    assert random.getstate() == state[0]
    assert torch.equal(torch.get_rng_state(), state[1])
