"""Networks that a program hands over: classes, functions, and those that are made already."""

import functools
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

import lenette
from lenette.errors import DataError, ModelError
from lenette.models import build, give

WIDTH = 6
UNUSED = 1


def wide(inputs):
    return nn.Linear(inputs, WIDTH)


class Bare(nn.Module):
    """Takes nothing."""

    def __init__(self):
        super().__init__()
        self.a, self.b = wide(784), nn.Linear(WIDTH, 10)

    def forward(self, x):
        return self.b(self.a(x.flatten(1)).relu())


class Named(Bare):
    """Takes other names."""

    def __init__(self, n_classes, in_dim=784, *, hidden=3):
        super().__init__()
        self.a, self.b = nn.Linear(in_dim, hidden), nn.Linear(hidden, n_classes)


class Twice(nn.Module):
    """Holds a parameter, a buffer, a number and a list of layers."""

    def __init__(self, size, *layers):
        super().__init__()
        self.factor, self.layers = nn.Parameter(torch.rand(size)), nn.ModuleList(layers)
        self.register_buffer("offset", torch.rand(size))
        self.power = 2

    def forward(self, x):
        for layer in self.layers:
            x = layer(x) * self.factor + self.offset
        return x**self.power


def function(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, classes))


IMAGES = torch.rand(2, 1, 28, 28)


@pytest.mark.parametrize("network", [Bare, Named, function])
def test_a_class_or_function_with_the_statements_it_needs(network):
    title, name, source, told = give(network)
    assert (title, name, told) == (network.__name__, f"{network.__name__}.py:{network.__name__}", [])
    assert "UNUSED" not in source
    assert ("WIDTH = 6" in source) == (network is not function)
    assert build(name, source=source)(IMAGES).shape == (2, 10)


@pytest.mark.parametrize(
    "make",
    [
        Bare,
        lambda: Named(10, hidden=7),
        lambda: nn.Sequential(nn.Flatten(1, 2), Twice(28, nn.Linear(28, 28)), nn.Flatten(), nn.Linear(784, 10)),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 5, bias=False), nn.ReLU(), nn.Linear(5, 10)),
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Flatten(),
            nn.Sequential(nn.Dropout(0.2), nn.Linear(196, 10)),
        ),
    ],
)  # fmt: skip
def test_a_network_with_its_own_weights(make):
    network = make().eval()
    _, name, source, told = give(network)
    assert source is not None
    assert told == []
    assert torch.equal(build(name, source=source).eval()(IMAGES), network(IMAGES))


def test_without_a_source_it_is_for_this_program_alone():
    class Inner(Bare):
        pass

    for network in (Inner, Inner(), functools.partial(Named, 10)):
        title, name, source, told = give(network)
        assert source is None
        assert name.startswith(f"given:{title}")
        assert "in this program alone" in told[0]
        assert build(name)(IMAGES).shape == (2, 10)
    with pytest.raises(ModelError, match="Elsewhere was given to a program as an object without a source"):
        build("given:Elsewhere")
    with pytest.raises(ModelError, match="3 is no network: give a class"):
        give(3)


def test_two_of_one_name_are_two():
    def first():
        class Same(Bare):
            pass

        return Same

    def second():
        class Same(Bare):
            def forward(self, x):
                return super().forward(x) * 2

        return Same

    names = [give(kind)[1] for kind in (first(), second(), first())]
    assert names[0] == names[2] != names[1]


@pytest.mark.parametrize("network", [Named, Bare()])
def test_train_takes_them_and_their_runs_go_on_elsewhere(network, tmp_path, optdigits_says):
    said = []
    run = lenette.train(network, epochs=1, store=tmp_path, say=said.append, **optdigits_says)
    assert run.validation_accuracy > 0.12
    text = " ".join(said)
    assert ("same weights for every seed" in text) == isinstance(network, nn.Module)
    assert ("made by Named(n_classes=10, in_dim=784)" in text) == (network is Named)
    command = [sys.executable, "-m", "lenette", "evaluate", run.id, "--store", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{run.validation_accuracy:.2%}" in answer.stdout


@pytest.fixture
def optdigits_says():
    return {"dataset": "optdigits", "lr": 0.1, "engine": "reference", "threads": 1}


def test_images_that_a_program_has(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = (rng.integers(0, 60, (120, 28, 28)) + labels[:, None, None] * 90).astype(np.uint8)
    how = {"epochs": 1, "batch_size": 8, "store": tmp_path, "engine": "reference", "threads": 1, "say": lambda _: None}
    run = lenette.train(Named, dataset=(images, labels), **how)
    assert run.about.data.classes == ["0", "1", "2"]
    assert lenette.train(Named, dataset=list(zip(images, labels, strict=True)), **how).folder == run.folder
    with pytest.raises(DataError, match="were given to a program as they are"):
        lenette.train(Named, dataset="given", **how)


def test_a_class_of_a_notebook(monkeypatch):
    cells = [
        "%pip install lenette",
        "from torch import nn\nhidden = 4",
        "class Net(nn.Module):\n    pass",
        "class Net(nn.Module):\n    def __init__(self, n_classes):\n        super().__init__()\n"
        "        self.a = nn.Linear(784, hidden)\n        self.b = nn.Linear(hidden, n_classes)\n\n"
        "    def forward(self, x):\n        return self.b(self.a(x.flatten(1)))",
        "run = lenette.train(Net)",
    ]
    notebook = ModuleType("notebook_of_a_test")
    notebook.In = cells
    monkeypatch.setitem(sys.modules, notebook.__name__, notebook)
    for cell in cells[1:4]:
        exec(cell, vars(notebook))
    _, name, source, told = give(notebook.Net)
    assert told == []
    assert "lenette.train" not in source
    assert source.count("class Net") == 1
    assert build(name, source=source)(IMAGES).shape == (2, 10)
