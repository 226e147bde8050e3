import json

import pytest
import torch
from torch import nn
from torch.nn import functional

from lenette.errors import ModelError
from lenette.models import MODELS, build, count_parameters, format_summary, require_fit, summary

MNIST = (1, 28, 28)


@pytest.mark.parametrize("name", MODELS)
def test_every_model(name):
    model = build(name)
    table = summary(model, MNIST)
    assert table["error"] is None
    assert table["unused"] == []
    assert table["output_shape"] == [10]
    assert [row["name"] for row in table["rows"]] == [child for child, _ in model.named_children()]
    assert sum(row["parameters"] for row in table["rows"]) == table["totals"]["parameters"] == count_parameters(model)
    assert all(row["trainable"] is (True if row["parameters"] else None) for row in table["rows"])
    assert json.loads(json.dumps(table)) == table
    assert f"{count_parameters(model):,} trainable, 0 not" in format_summary(table)


class DocumentC(nn.Module):
    """four_conv_593k as its document has it: a layer for each row of its table, all else called as functions."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.conv3, self.conv4 = nn.Conv2d(64, 128, 3), nn.Conv2d(128, 256, 3)
        self.fc1, self.fc2 = nn.Linear(4096, 50), nn.Linear(50, 10)

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2))
        x = functional.relu(self.conv3(x))
        x = functional.relu(functional.max_pool2d(self.conv4(x), 2))
        return functional.log_softmax(self.fc2(functional.relu(self.fc1(x.view(-1, 4096)))), dim=1)


@pytest.mark.parametrize("model", [DocumentC(), build("four_conv_593k")], ids=["functional", "shipped"])
def test_document_c_table(model):
    rows = [row for row in summary(model, MNIST)["rows"] if row["parameters"]]
    assert [(row["type"], row["output_shape"], row["parameters"]) for row in rows] == [
        ("Conv2d", [32, 26, 26], 320),
        ("Conv2d", [64, 24, 24], 18_496),
        ("Conv2d", [128, 10, 10], 73_856),
        ("Conv2d", [256, 8, 8], 295_168),
        ("Linear", [50], 204_850),
        ("Linear", [10], 510),
    ]
    # The pools between them are seen, whether they are layers or functions.
    assert [row["receptive_field"] for row in rows] == [3, 5, 10, 14, 28, 28]
    assert [row["jump"] for row in rows] == [1, 1, 2, 2, None, None]


def test_document_c_memory():
    totals = summary(DocumentC(), MNIST)["totals"]
    megabytes = {key: totals[key] / 2**20 for key in totals if key.endswith("bytes")}
    assert megabytes["input_bytes"] == pytest.approx(0.00, abs=0.005)
    assert megabytes["forward_backward_bytes"] == pytest.approx(0.67, abs=0.005)
    assert megabytes["parameter_bytes"] == pytest.approx(2.26, abs=0.005)
    assert megabytes["total_bytes"] == pytest.approx(2.94, abs=0.005)


def test_deep_19k_receptive_fields():
    rows = summary(build("deep_19k"), MNIST)["rows"]
    fields = [row["receptive_field"] for row in rows if row["type"] in {"Conv2d", "MaxPool2d"}]
    assert fields == [3, 5, 6, 6, 10, 14, 16, 16, 24, 32]


def measured_field(model, size):
    """Count the input rows that the middle value of the last map depends on, by its gradient."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
    images = torch.ones(1, 1, size, size, requires_grad=True)
    output = model.double()(images.double())
    output[0, 0, output.shape[2] // 2, output.shape[3] // 2].backward()
    return [int((images.grad[0, 0].abs().sum(dim) > 0).sum()) for dim in (1, 0)]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, stride=2, bias=False)
        self.branch = nn.Conv2d(2, 2, 5, padding=2, bias=False)
        self.end = nn.Conv2d(2, 1, 1, bias=False)

    def forward(self, x):
        x = self.stem(x)
        return self.end(x + self.branch(x))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2, bias=False), nn.AvgPool2d(3, 2), nn.Conv2d(1, 1, 3, bias=False)),
        nn.Sequential(nn.Conv2d(1, 1, (3, 5), bias=False), nn.AvgPool2d(2), nn.Conv2d(1, 1, (1, 3), bias=False)),
        Residual(),
    ],
    ids=["dilated", "oblong", "residual"],
)
def test_receptive_field_is_what_the_gradient_reaches(model):
    field = summary(model, (1, 61, 61))["rows"][-1]["receptive_field"]
    assert measured_field(model, 61) == (field if isinstance(field, list) else [field, field])


def test_global_averages_and_linear_layers_see_the_whole_map():
    class Means(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3)))

    assert summary(Means(), MNIST)["rows"][-1]["receptive_field"] == 28
    averaged = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert [row["receptive_field"] for row in summary(averaged, MNIST)["rows"]] == [3, 28, 28]
    assert summary(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), MNIST)["rows"][1]["receptive_field"] == 28


def test_multiply_accumulates():
    rows = summary(build("lenet5"), MNIST)["rows"]
    assert [row["multiply_accumulates"] for row in rows if row["multiply_accumulates"]] == [
        6 * 25 * 24 * 24,
        16 * 6 * 25 * 8 * 8,
        256 * 120,
        120 * 84,
        84 * 10,
    ]
    grouped = nn.Conv2d(4, 8, 3, groups=2)
    assert summary(grouped, (4, 5, 5))["totals"]["multiply_accumulates"] == 8 * 2 * 9 * 3 * 3
    upward = nn.ConvTranspose2d(4, 8, 2, stride=2)
    assert summary(upward, (4, 5, 5))["totals"]["multiply_accumulates"] == 5 * 5 * 4 * 8 * 4


def test_shared_frozen_and_nested_layers():
    shared = nn.Linear(784, 784)
    frozen = nn.Linear(784, 10).requires_grad_(False)
    model = nn.Sequential(nn.Flatten(), nn.Sequential(shared, nn.ReLU(inplace=True)), shared, frozen)
    table = summary(model, MNIST)
    assert [(row["name"], row["parameters"], row["shared"], row["trainable"]) for row in table["rows"]] == [
        ("0", 0, False, None),
        ("1.0", 784 * 785, False, True),
        ("1.1", 0, False, None),
        ("1.0", 0, True, True),
        ("3", 7850, False, False),
    ]
    assert table["totals"]["parameters"] == 784 * 785 + 7850
    assert table["totals"]["trainable_parameters"] == count_parameters(model) == 784 * 785
    assert table["totals"]["multiply_accumulates"] == 2 * 784 * 784 + 7840
    # Flatten and the in-place ReLU give back their input's memory.
    assert table["totals"]["forward_backward_bytes"] == 2 * 4 * (784 + 784 + 10)
    assert "0 (shared)" in format_summary(table)


def test_parameters_of_a_module_with_children():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten = nn.Flatten()
            self.weight = nn.Parameter(torch.ones(784, 10))

        def forward(self, x):
            return self.flatten(x) @ self.weight

    rows = summary(Scaled(), MNIST)["rows"]
    assert [(row["type"], row["parameters"], row["multiply_accumulates"]) for row in rows] == [
        ("Flatten", 0, 0),
        ("Scaled", 7840, 7840),
    ]


class Attention(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.embed, self.layer, self.head = nn.Linear(28, 32), layer, nn.Linear(32, 10)

    def forward(self, x):
        x = self.embed(x.squeeze(1))
        x = self.layer(x, x, x, need_weights=False)[0] if type(self.layer) is nn.MultiheadAttention else self.layer(x)
        return self.head((x[0] if isinstance(x, tuple) else x).mean(1))


ATTENTION = 4 * 28 * 32 * 32 + 2 * 28 * 28 * 32  # four projections, and two products of positions


@pytest.mark.parametrize(
    ("layer", "products"),
    [
        (nn.MultiheadAttention(32, 4, batch_first=True), 4 * 28 * 32 * 32 + 2 * 28 * 28 * 32),
        (
            nn.TransformerEncoderLayer(32, 4, 64, batch_first=True),
            4 * 28 * 32 * 32 + 2 * 28 * 28 * 32 + 2 * 28 * 32 * 64,
        ),
        (nn.LSTM(32, 32, batch_first=True), None),
    ],
)
def test_what_has_no_graph_is_counted_or_said_to_be_uncounted(layer, products):
    table = summary(Attention(layer), MNIST)
    rows = {row["name"]: row for row in table["rows"]}
    inner = [row["multiply_accumulates"] for name, row in rows.items() if name.startswith("layer")]
    assert "is of no kind that is known here" in table["why_no_graph"]
    assert rows["embed"]["multiply_accumulates"] == 28 * 28 * 32
    if products is None:
        assert inner == [None]
        assert "uncounted" in format_summary(table)
        assert "without those of layer, which can't be counted" in format_summary(table)
    else:
        assert sum(inner) == products
    assert sum(row["parameters"] for row in table["rows"]) == table["totals"]["parameters"]


def test_unused_layers():
    class Careless(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.flatten = nn.Linear(784, 10), nn.Flatten()
            self.forgotten, self.dropout = nn.Linear(3, 4), nn.Dropout()
            self.discarded = nn.Linear(784, 2)
            self.by_hand = nn.Linear(10, 10)

        def forward(self, x):
            x = self.flatten(x)
            self.discarded(x)
            return functional.linear(self.fc(x), self.by_hand.weight, self.by_hand.bias)

    table = summary(Careless(), MNIST)
    assert table["unused"] == ["forgotten", "dropout", "discarded"]
    assert count_parameters(Careless()) == 7850 + 16 + 785 * 2 + 110 == table["totals"]["trainable_parameters"]
    assert "never used by forward, parameters counted all the same: forgotten, dropout, discarded" in format_summary(
        table
    )


BROKEN = [
    ([nn.Conv2d(1, 16, 5), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(256, 120)],
     "Linear expects 256 features, got 576", "use Linear(576, 120)"),
    ([nn.Conv2d(1, 4, 5), nn.Linear(2304, 10)],
     "Linear expects 2304 features, got a map of 4x24x24", "flatten it first, with nn.Flatten()"),
    ([nn.Conv2d(1, 4, 5), nn.Linear(256, 10)],
     "Linear expects 256 features, got a map of 4x24x24",
     "flatten it first, with nn.Flatten(), and use Linear(2304, 10)"),
    ([nn.Conv2d(1, 8, 5), nn.Conv2d(16, 32, 3)], "Conv2d expects 16 channels, got 8", "use Conv2d(8, 32, ...)"),
    ([nn.Conv2d(1, 8, 5), nn.BatchNorm2d(16)], "BatchNorm2d expects 16 channels, got 8", "use BatchNorm2d(8)"),
    ([nn.Flatten(), nn.BatchNorm1d(783)], "BatchNorm1d expects 783 features, got 784", "use BatchNorm1d(784)"),
    ([nn.BatchNorm1d(1)], "BatchNorm1d expects features, got a map of 1x28x28", "use BatchNorm2d(1)"),
    ([nn.Flatten(), nn.BatchNorm2d(784)],
     "BatchNorm2d expects a map of channels x height x width, got 784 features",
     "put it before the layer that flattens"),
    ([nn.Flatten(), nn.Conv2d(1, 2, 3)],
     "Conv2d expects a map of channels x height x width, got 784 features", "put it before the layer that flattens"),
    ([nn.Flatten(), nn.MaxPool2d(2)],
     "MaxPool2d expects a map of channels x height x width, got 784 features",
     "put it before the layer that flattens"),
    ([nn.MaxPool2d(14), nn.Conv2d(1, 8, 3)],
     "a kernel of 3x3 is larger than its input of 2x2",
     "use a kernel of at most 2, fewer pools before it, or larger images"),
    ([nn.MaxPool2d(14), nn.Conv2d(1, 8, 3, dilation=2, padding=1)],
     "a kernel of 5x5 is larger than its input of 2x2 padded by 1",
     "use a kernel of at most 4, fewer pools before it, or larger images"),
    ([nn.MaxPool2d(28), nn.MaxPool2d(2)],
     "a window of 2x2 is larger than its input of 1x1",
     "use a window of at most 1, fewer pools before it, or larger images"),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "message", "fitting"), BROKEN, ids=[message for _, message, _ in BROKEN])
def test_broken_models(layers, message, fitting):
    model = nn.Sequential(*layers)
    table = summary(model, MNIST)
    last = str(len(layers) - 1)
    assert table["error"] == {"layer": last, "message": message, "advice": fitting}
    assert [row["name"] for row in table["rows"]] == [str(i) for i in range(len(layers) - 1)]
    assert table["output_shape"] is None
    assert f"breaks at {last}: {message}\n  {fitting}" in format_summary(table)
    with pytest.raises(ModelError, match=f"the network breaks at {last}: "):
        require_fit(model, MNIST, 10)


def test_a_layer_without_advice_gives_torchs_own_message():
    error = summary(nn.Sequential(nn.LayerNorm(5)), MNIST)["error"]
    assert error["layer"] == "0"
    assert error["message"].startswith("LayerNorm: Given normalized_shape=[5]")


def test_broken_between_layers():
    class Wrong(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 5, 5)

        def forward(self, x):
            return functional.max_pool2d(self.conv(x), 2).view(-1, 256)

    error = summary(Wrong(), MNIST)["error"]
    assert error["layer"] == "Wrong"
    assert error["message"].startswith("RuntimeError in forward, after conv: shape '[-1, 256]' is invalid")
    assert error["advice"] == "at that point an image is 5x12x12 = 720 values"


def test_mixed_up_images_and_features():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 4, 5), nn.Linear(256, 10)

        def forward(self, x):
            return self.fc(self.conv(x).view(-1, 256))

    error = summary(Mixed(), MNIST)["error"]
    assert error["layer"] == "fc"
    assert error["message"].startswith("2 images went in and 18 rows came out")
    assert "x.flatten(1)" in error["advice"]


def test_require_fit():
    require_fit(build("ladder_7k"), MNIST, 10)
    with pytest.raises(
        ModelError, match=r"gives 10 values an image, not 26, one a class: let its last layer \(flatten\)"
    ):
        require_fit(build("ladder_7k"), MNIST, 26)
    unflattened = nn.Sequential(nn.Conv2d(1, 10, 3), nn.AdaptiveAvgPool2d(1))
    with pytest.raises(
        ModelError, match=r"gives 10x1x1 values an image, not 10, one a class: let it end in nn\.Flatten"
    ):
        require_fit(unflattened, MNIST, 10)


@pytest.mark.parametrize(
    ("in_training", "says"),
    [(lambda x: x @ x, "breaks in training mode alone: RuntimeError"), (lambda x: x[:, :3], "gives 3 values an image")],
)
def test_require_fit_in_training_mode(in_training, says):
    class Two(nn.Linear):
        def forward(self, x):
            found = super().forward(x.flatten(1))
            return in_training(found) if self.training else found

    with pytest.raises(ModelError, match=says):
        require_fit(Two(784, 10), MNIST, 10)


def test_leaves_the_model_and_the_generators_alone():
    model = build("transition_19k").train()
    model[0].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    summary(model, MNIST)
    require_fit(model, MNIST, 10)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [module.training for module in model] == [False] + [True] * (len(model) - 1)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_lazy_layers():
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    assert count_parameters(lazy) == 0
    assert summary(lazy, MNIST)["totals"]["parameters"] == 7850
