"""The same numbers from Clang, from AVX2 and from arm64, whose vectors are shorter; arm64 runs under qemu-user."""

import platform
import shlex
import shutil
import subprocess

import pytest
import torch
from torch import nn

from lenette.engines import native
from lenette.engines.native import compiler
from lenette.engines.native.generate import write
from lenette.engines.native.stages import read
from lenette.recipes import Recipe
from tests.engines.native.people import PEOPLE
from tests.engines.native.test_bits import SIZE, Graph
from tests.engines.native.twins import distance, noise, twins

# Trains three steps, the last with a short batch, on made-up numbers, and prints the losses and the weights.
DRIVER = """
#include <cstdio>

int main() {
    using namespace lenette;
    std::vector<uint8_t> images(50 * IMAGE_SIZE);
    std::vector<int64_t> labels(50), order(50), correct(3);
    std::vector<Scalar> parameters(NUM_PARAMETERS), buffers(NUM_BUFFERS, 0.5), momentum(NUM_PARAMETERS);
    std::vector<float> rates(3, 0.1f);
    std::vector<double> losses(3);
    uint64_t keys[3 * NUM_MASKS + 1][2];
    for (int i = 0; i < 3 * NUM_MASKS; ++i) keys[i][0] = 2 * i + 1, keys[i][1] = 2 * i + 2;
    uint32_t state = 1;
    const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 16; };
    for (auto& pixel : images) pixel = uint8_t(next());
    for (auto& label : labels) label = next() % 5;
    for (int i = 0; i < 50; ++i) order[i] = (i * 7) % 50;
    for (auto& weight : parameters) weight = Scalar(int(next() % 2001) - 1000) / 4000;
    const Settings settings{Optimizer::sgd, 0, 0.9, 0.01, 0, 0, 0, 0.1};
    const Weights weights{parameters.data(), buffers.data(), momentum.data(), momentum.data(), nullptr, nullptr,
                          NUM_PARAMETERS, NUM_BUFFERS};
    const Epoch epoch{images.data(), labels.data(), order.data(), nullptr, nullptr, nullptr};
    const Steps steps{0, 3, 0, 50, rates.data(), nullptr, keys, losses.data(), correct.data()};
    Network* network = nullptr;
    lenette_create(20, 50, 2, &settings, &weights, &network);
    lenette_train(network, &epoch, &steps);
    std::vector<Scalar> logits(50 * lenette_num_classes(network));
    lenette_evaluate(network, images.data(), 50, logits.data());
    lenette_destroy(network);
    for (double loss : losses) std::printf("%.15g\\n", loss);
    for (Scalar weight : parameters) std::printf("%.15g\\n", double(weight));
}
"""


def network():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2), nn.MaxPool2d(2),
        nn.Conv2d(6, 7, 3, stride=2), nn.Sigmoid(), nn.Flatten(), nn.Linear(28, 21), nn.ReLU(), nn.Linear(21, 5),
    )  # fmt: skip


def outputs(folder, command, runner=(), made_by=network, size=12, link="-static"):
    """Return what the driver prints, compiled by that command."""
    model = made_by()
    reading = read(model, (1, size, size))
    numbers = {
        "NUM_PARAMETERS": sum(parameter.numel() for parameter in model.parameters()),
        "NUM_BUFFERS": sum(buffer.numel() for buffer in model.buffers() if buffer.is_floating_point()),
        "NUM_MASKS": reading.num_masks,
        "IMAGE_SIZE": size**2,
    }
    head = "".join(f"constexpr long {name} = {number};\n" for name, number in numbers.items())
    (folder / "driver.cpp").write_text(write(model, reading, (0.5,), (0.3,)) + head + DRIVER)
    flags = [flag for flag in compiler.FLAGS if flag not in ("-shared", "-O3")]
    made = [*command, *flags, "-O1", link, "-DLENETTE_SCALAR=double", f"-I{compiler.HEADERS}", "driver.cpp"]
    subprocess.run([*made, "-o", "driver"], cwd=folder, check=True)
    done = subprocess.run([*runner, "./driver"], cwd=folder, check=True, capture_output=True, text=True)
    return torch.tensor([float(line) for line in done.stdout.split()], dtype=torch.float64)


@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-g++") and shutil.which("qemu-aarch64")),
    reason="no arm64 compiler and emulator",
)
def test_arm64(tmp_path):
    here = outputs(tmp_path, [*compiler.find(), "-march=native"])
    arm64 = outputs(tmp_path, ["aarch64-linux-gnu-g++"], ["qemu-aarch64"])
    assert here[:3].min() > 0.1
    torch.testing.assert_close(arm64, here, rtol=1e-10, atol=1e-10)


@pytest.mark.skipif(platform.machine() != "x86_64" or "avx2" not in compiler.processor(), reason="no AVX2")
@pytest.mark.parametrize("machine", ["x86-64", "haswell"])
def test_shorter_vectors(machine, tmp_path):
    here = outputs(tmp_path, [*compiler.find(), "-march=native"])
    shorter = outputs(tmp_path, [*compiler.find(), f"-march={machine}"])
    torch.testing.assert_close(shorter, here, rtol=1e-10, atol=1e-10)


@pytest.mark.skipif(not shutil.which("clang++"), reason="no clang++")
def test_clang(monkeypatch):
    monkeypatch.setenv("CXX", shlex.quote(shutil.which("clang++") or ""))
    recipe = Recipe(model="own", batch_size=20, lr=0.1, schedule="constant")
    ours, theirs = twins(network, recipe, noise(50, size=12, classes=5))
    assert "clang" in native.Engine.build()["compiler"]
    torch.testing.assert_close(ours.advance(3)[0], theirs.advance(3)[0], rtol=1e-9, atol=1e-9)
    assert distance(ours.model, theirs.model) < 1e-9


def one_pixel():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=2, dilation=2), nn.GroupNorm(1, 3), nn.MaxPool2d(3, 1, 1), nn.Flatten(),
        nn.Linear(3, 62),
    )  # fmt: skip


SANITIZED = {
    "every kind": (Graph, SIZE),
    "one pixel": (one_pixel, 1),
    "residual": (lambda: PEOPLE["residual"](5, 1, 12), 12),
    "gated": (lambda: PEOPLE["gated"](5, 1, 11), 11),
}


@pytest.mark.skipif(platform.system() != "Linux", reason="the sanitizers are tried on Linux")
@pytest.mark.parametrize(
    ("name", "sanitizer"), [*((name, "address,undefined") for name in SANITIZED), ("every kind", "thread")]
)
def test_sanitizers_find_nothing(name, sanitizer, tmp_path):
    made_by, size = SANITIZED[name]
    command = [*compiler.find(), compiler.machine(), f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    if subprocess.run(
        [*command, "-x", "c++", "-", "-o", "/dev/null"], input="int main() {}", text=True, check=False
    ).returncode:
        pytest.skip(f"the compiler has no sanitizer of {sanitizer}")
    losses = outputs(tmp_path, command, made_by=made_by, size=size, link="-g")[:3]
    assert losses.isfinite().all()
