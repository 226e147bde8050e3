import importlib

import pytest
import torch
from torch import nn

from lenette.errors import ModelError
from lenette.models import MODELS, build, count_parameters

COUNTS = {  # as the documents state them; for document A, which states none, and for our own by hand
    "sigmoid_mlp": 784 * 100 + 100 + 100 * 10 + 10,
    "lenet5": (25 * 6 + 6) + (25 * 6 * 16 + 16) + (256 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10),
    "transition_19k": 19_192,
    "four_conv_593k": 593_200,
    "ladder_15k": 15_580,
    "ladder_12k": 12_704,
    "ladder_7k": 7_596,
    "deep_19k": 19_865,
    "under_8k": (9 + 2) * 16 + (9 + 32) * 16 + 2 * 32 + 4 * (9 + 32 + 2) * 32 + (9 + 28) * 32 + 2 * 28 + 10 * 28,
    "under_10k": (9 + 2) * 16 + (9 + 37) * 16 + 2 * 37 + 4 * (9 + 37 + 2) * 37 + (9 + 32) * 37 + 2 * 32 + 10 * 32,
    "under_20k": (9 + 2) * 24
    + ((9 + 52) * 24 + 2 * 52 + (9 + 54) * 52 + 2 * 54)
    + (3 * (9 + 54 + 2) * 54 + (9 + 48) * 54 + 2 * 48 + 10 * 48),
    "sprint": (25 + 2) * 8 + (72 + 2) * 16 + (144 + 2) * 32 + (288 + 1) * 10,
}
PLAIN = (
    nn.Conv2d,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.Sigmoid,
    nn.MaxPool2d,
    nn.Dropout,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
    nn.Linear,
)
SMALLEST = {
    "sigmoid_mlp": 1,
    "lenet5": 16,
    "transition_19k": 4,
    "four_conv_593k": 16,
    "ladder_15k": 20,
    "ladder_12k": 24,
    "ladder_7k": 20,
    "deep_19k": 28,
    "under_8k": 22,
    "under_10k": 22,
    "under_20k": 22,
    "sprint": 19,
}
every_model = pytest.mark.parametrize("name", MODELS)


def test_there_is_a_count_for_every_model():
    assert list(COUNTS) == list(MODELS)


@every_model
def test_parameters(name):
    assert count_parameters(build(name)) == COUNTS[name]


@every_model
def test_is_a_sequence_of_plain_named_layers(name):
    model = build(name)
    assert type(model) is nn.Sequential
    for child_name, layer in model.named_children():
        assert type(layer) in PLAIN
        assert not child_name.isdigit()


@every_model
@pytest.mark.parametrize(
    ("num_classes", "in_channels", "image_size"), [(10, 1, 28), (26, 1, 28), (10, 3, 28), (62, 3, 32), (10, 1, 33)]
)
def test_output_shape(name, num_classes, in_channels, image_size):
    model = build(name, num_classes, in_channels, image_size)
    assert model(torch.zeros(2, in_channels, image_size, image_size)).shape == (2, num_classes)


@every_model
def test_the_number_of_classes_stands_in_the_last_layer_alone(name):
    few, many = (build(name, num_classes).state_dict() for num_classes in (10, 26))
    differing = {key.split(".")[0] for key in few if few[key].shape != many[key].shape}
    with_parameters = [key.split(".")[0] for key in few]
    assert differing == {with_parameters[-1]}


@every_model
def test_smallest_image(name, monkeypatch):
    smallest = SMALLEST[name]

    def logits(image_size):
        return build(name, image_size=image_size).eval()(torch.zeros(2, 1, image_size, image_size))

    assert logits(smallest).shape == (2, 10)
    if smallest > 1:
        with pytest.raises(ModelError, match=rf"{name} .*{smallest - 1}x.*smallest that fits is {smallest}x{smallest}"):
            build(name, image_size=smallest - 1)
        family = importlib.import_module(MODELS[name].__module__)
        monkeypatch.setattr(family, "require_image", lambda *_: None)
        with pytest.warns() if name in {"lenet5", "four_conv_593k", "sprint"} else monkeypatch.context():  # noqa: SIM117
            with pytest.raises(RuntimeError):
                logits(smallest - 1)


@every_model
def test_a_few_steps_lower_the_loss(name):
    torch.manual_seed(0)
    model = build(name).train()
    images, labels = torch.randn(32, 1, 28, 28), torch.arange(32) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert losses[-1] < losses[0]


@every_model
def test_fresh_weights_follow_the_global_generator(name):
    torch.manual_seed(3)
    first = build(name)
    torch.manual_seed(3)
    second = build(name)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])


# Saved weights are found again by these names: a change here breaks every stored run.
CONV_BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _names(convs, bns=0, fcs=0, biases=True):
    keys = []
    for i in range(1, convs + 1):
        keys += [f"conv{i}.weight"] + ([f"conv{i}.bias"] if biases else [])
        keys += [f"bn{i}.{slot}" for slot in CONV_BN] if i <= bns else []
    for i in range(1, fcs + 1):
        keys += [f"fc{i}.weight", f"fc{i}.bias"]
    return keys


SEPARABLE = ["conv1.weight", *(f"bn1.{slot}" for slot in CONV_BN)]
for _i in range(1, 7):
    SEPARABLE += [f"conv{2 * _i}.weight", f"conv{2 * _i + 1}.weight", *(f"bn{_i + 1}.{slot}" for slot in CONV_BN)]
SEPARABLE += ["conv14.weight"]
STATE = {
    "sigmoid_mlp": _names(0, fcs=2),
    "lenet5": _names(2, fcs=3),
    "transition_19k": _names(9, bns=8, biases=False),
    "four_conv_593k": _names(4, fcs=2),
    "ladder_15k": _names(9, bns=7, biases=False),
    "ladder_12k": _names(10, bns=7, biases=False),
    "ladder_7k": _names(10, bns=9, biases=False),
    "deep_19k": _names(8, bns=7),
    "under_8k": SEPARABLE,
    "under_10k": SEPARABLE,
    "under_20k": SEPARABLE,
    "sprint": _names(3, bns=3, fcs=1, biases=False),
}


@every_model
def test_names_of_the_weights_stay(name):
    assert list(build(name).state_dict()) == STATE[name]


@pytest.mark.parametrize(
    ("name", "rate", "count"),
    [("transition_19k", 0.04, 6), ("ladder_7k", 0.01, 3), ("deep_19k", 0.1, 2), ("ladder_15k", 0, 0)],
)
def test_dropout(name, rate, count):
    assert [m.p for m in build(name) if isinstance(m, nn.Dropout)] == [rate] * count


def test_only_ladder_12k_ends_in_a_relu():
    def last_is_relu(name):
        ends = [m for m in build(name) if not isinstance(m, nn.Flatten | nn.AdaptiveAvgPool2d)]
        return isinstance(ends[-1], nn.ReLU)

    assert [name for name in MODELS if last_is_relu(name)] == ["ladder_12k"]


def test_deep_19k_has_the_documents_maps():
    sizes, x = [], torch.zeros(1, 1, 28, 28)
    for layer in build("deep_19k").eval():
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            sizes.append(x.shape[-1])
    assert sizes == [26, 24, 12, 12, 12, 10, 5, 5, 3, 1]


def test_more_than_the_memory_is_refused():
    with pytest.raises(ModelError, match="10 classes of images of 1x100000x100000 is too large for this machine"):
        build("sigmoid_mlp", image_size=100_000)
