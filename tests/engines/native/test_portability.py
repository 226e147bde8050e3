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
from lenette.engines.native.generate import source_of
from lenette.recipes import Recipe
from tests.engines.native.twins import distance, noise, twins

# Trains three steps, the last with a short batch, on made-up numbers, and prints the losses and the weights.
DRIVER = """
#include <cstdio>

int main() {
    using namespace lenette;
    std::vector<uint8_t> images(50 * 144);
    std::vector<int64_t> labels(50), order(50), correct(3);
    std::vector<Scalar> parameters(NUM_PARAMETERS), buffers(NUM_BUFFERS, 0.5), momentum(NUM_PARAMETERS);
    std::vector<float> rates(3, 0.1f);
    std::vector<double> losses(3);
    const uint64_t keys[3][2] = {{1, 2}, {3, 4}, {5, 6}};
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


def outputs(folder, command, runner=()):
    """Return what the driver prints, compiled by that command."""
    model = network()
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    head = f"constexpr long NUM_PARAMETERS = {num_parameters}, NUM_BUFFERS = 12;\n"
    (folder / "driver.cpp").write_text(source_of(model, (1, 12, 12), (0.5,), (0.3,)) + head + DRIVER)
    flags = [flag for flag in compiler.FLAGS if flag not in ("-shared", "-O3")]
    made = [*command, *flags, "-O1", "-static", "-DLENETTE_SCALAR=double", f"-I{compiler.HEADERS}", "driver.cpp"]
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
