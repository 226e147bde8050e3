"""What leaves lenette gives what PyTorch gives."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lenette import data
from lenette.data.preparation import MNIST
from lenette.errors import LenetteError
from lenette.exports import folder, onnx_float, torch_code
from lenette.exports.trained import Trained, find
from lenette.inference import Network
from lenette.models import MODELS, build
from lenette.recipes import Recipe

ROOT = Path(__file__).parents[2]


def trained(model, shape=(1, 28, 28), classes=10):
    names = [f"class {number}" for number in range(classes)]
    network = Network(model.eval(), names, shape, [0.2] * shape[0], [0.3] * shape[0])
    return Trained("made-up", Recipe(name="made", model="lenet5"), 3, network, MNIST, "test", 0.5, 10, ("Made up.",))


def unlike_new(model):
    """Give batch-norms statistics as training would."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d) and layer.running_mean is not None:
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return model


def in_runtime(content, images):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images.numpy()})[0]


def some_images(shape, number=5):
    return torch.randint(0, 256, (number, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_shipped_networks_in_onnx(name, shape):
    one = trained(unlike_new(build(name, 7, shape[0], shape[1])), shape, 7)
    images = some_images(shape)
    (content,) = onnx_float.contents(one).values()
    expected = one.network.logits(images).numpy()
    assert np.abs(in_runtime(content, images) - expected).max() <= 1e-4
    (content,) = onnx_float.contents(one, normalised=True).values()
    ready = (images.float() / 255 - 0.2) / 0.3
    assert np.abs(in_runtime(content, ready) - expected).max() <= 1e-4


@pytest.mark.parametrize("name", ["under_8k", "under_10k", "under_20k"])
def test_shipped_weights_in_onnx_over_the_whole_test_set(name, mnist_folder):
    images = data.load("mnist", "test", mnist_folder).images
    one = find(ROOT / "results" / "certificates" / f"{name}.json")[0]
    (content,) = onnx_float.contents(one).values()
    found, expected = in_runtime(content, images), one.network.logits(images).numpy()
    assert (found.argmax(1) == expected.argmax(1)).all()
    assert np.abs(found - expected).max() <= 1e-4


LAYERS = {
    "same": nn.Conv2d(4, 6, (3, 5), padding="same", dilation=2),
    "circular": nn.Conv2d(4, 6, 3, stride=2, padding=1, padding_mode="circular", groups=2),
    "reflect": nn.Conv2d(4, 6, 3, padding=2, dilation=2, padding_mode="reflect", bias=False),
    "group_norm": nn.GroupNorm(2, 4),
    "layer_norm": nn.LayerNorm([9, 7]),
    "layer_norm without": nn.LayerNorm(7, elementwise_affine=False),
    "prelu": nn.PReLU(4),
    "softplus": nn.Softplus(2.0, 1.0),
    "gelu": nn.GELU("tanh"),
    "ceil": nn.MaxPool2d(2, ceil_mode=True),
    "average": nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
    "average without": nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
    "divisor": nn.AvgPool2d(2, divisor_override=3),
    "parts": nn.AdaptiveAvgPool2d((4, 3)),
    "softmax": nn.Softmax(dim=-1),
    "hardswish": nn.Hardswish(),
    "no statistics of its own": nn.BatchNorm2d(4, affine=False),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_onnx_and_as_code(name, tmp_path):
    first = nn.Sequential(nn.Conv2d(2, 4, 1), unlike_new(nn.Sequential(LAYERS[name])))
    size = first(torch.zeros(1, 2, 9, 7)).numel()
    one = trained(nn.Sequential(first, nn.Flatten(), nn.Linear(size, 3)), (2, 9, 7), 3)
    images = some_images((2, 9, 7))
    (content,) = onnx_float.contents(one).values()
    expected = one.network.logits(images)
    assert np.abs(in_runtime(content, images) - expected.numpy()).max() <= 1e-4
    assert torch.equal(loaded(one, tmp_path)(images), expected)


def loaded(one, folder_):
    paths = folder.write(folder_, torch_code.contents(one))
    scope = {"__name__": "made", "__file__": str(paths[0])}
    exec(compile(paths[0].read_text(), str(paths[0]), "exec"), scope)
    with torch.no_grad():
        return scope["load"]().requires_grad_(False)


@pytest.mark.parametrize("name", MODELS)
def test_shipped_networks_as_code(name, tmp_path):
    one = trained(unlike_new(build(name)))
    images = some_images((1, 28, 28))
    assert torch.equal(loaded(one, tmp_path)(images), one.network.logits(images))


def test_code_needs_torch_alone(tmp_path):
    folder.write(tmp_path, torch_code.contents(trained(build("under_8k"))))
    program = (
        "import sys, torch, made_up\n"
        "print(list(made_up.load()(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape), 'lenette' in sys.modules)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, env=environment
    )
    assert found.stdout == "[2, 10] False\n"


def test_a_layer_of_batch_statistics_is_refused_by_name():
    model = nn.Sequential(nn.Conv2d(1, 4, 28), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten())
    with pytest.raises(LenetteError, match=r"'1' \(BatchNorm2d\).* can't be put into ONNX: it takes the mean"):
        onnx_float.contents(trained(model, classes=4))


def test_files_of_others_stay(tmp_path):
    folder.write(tmp_path, {"one": b"1", "two": b"2"})
    folder.write(tmp_path, {"one": b"1b"})
    (tmp_path / "two").write_bytes(b"mine")
    with pytest.raises(LenetteError, match="two is there, and not as lenette wrote it"):
        folder.write(tmp_path, {"one": b"1c", "two": b"2"})
    assert (tmp_path / "one").read_bytes() == b"1b"
    assert (tmp_path / "two").read_bytes() == b"mine"


def test_what_is_missing_is_named(tmp_path):
    proof = ROOT / "results" / "certificates" / "under_8k.json"
    with pytest.raises(LenetteError, match="no weights of seed 7; those that ended are 1000"):
        find(proof, seed=7)
    (tmp_path / proof.name).write_bytes(proof.read_bytes())
    with pytest.raises(LenetteError, match=r"weights of .* are neither beside it nor in"):
        find(tmp_path / proof.name, store=tmp_path / "runs")
