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
from tests.engines.native.twins import distance, noise, twins

# Trains an epoch of made-up images, all augmentation on, and prints the losses, the averaged weights and the logits.
# Its arguments: images in a batch, images in all, threads.
DRIVER = """
#include <cstdio>

int main(int, char** arguments) {
    using namespace lenette;
    const int batch = std::atoi(arguments[1]), num_images = std::atoi(arguments[2]), threads = std::atoi(arguments[3]);
    const int num_steps = (num_images + batch - 1) / batch;
    uint32_t state = 1;
    const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 16; };
    const auto number = [&] { return Scalar(int(next() % 2001) - 1000) / 1000; };
    std::vector<uint8_t> images(num_images * CHANNELS * SIZE * SIZE);
    for (auto& pixel : images) pixel = uint8_t(next());
    std::vector<int64_t> labels, order, erasures, correct(num_steps);
    std::vector<float> warps, jitters, rates(num_steps, 0.1f), decays(num_steps, 0.5f);
    for (int i = 0; i < num_images; ++i) {
        labels.push_back(next() % NUM_CLASSES), order.push_back((i + num_images / 2) % num_images);
        for (int k = 0; k < 6; ++k) warps.push_back(float((k % 4 == 0) + number() * Scalar(k % 3 == 2 ? SIZE : 0.3)));
        for (int k = 0; k < 2; ++k) jitters.push_back(float(1 + number() / 4));
        const int64_t side = 1 + next() % SIZE;
        for (int64_t place : {int64_t(next() % (SIZE + 1 - side)), int64_t(next() % (SIZE + 1 - side)), side, side})
            erasures.push_back(place);
    }
    std::vector<Scalar> parameters(NUM_PARAMETERS), buffers(NUM_BUFFERS, 0.5), momentum(NUM_PARAMETERS);
    for (auto& weight : parameters) weight = number() / 4;
    std::vector<Scalar> average_parameters = parameters, average_buffers = buffers;
    std::vector<uint64_t> keys(2 * (num_steps * NUM_MASKS + 1));
    for (auto& key : keys) key = next();
    std::vector<double> losses(num_steps);
    const Settings settings{Optimizer::sgd, 0, 0.9, 0.01, 0, 0, 0, 0.1};
    const Weights weights{parameters.data(), buffers.data(), momentum.data(), momentum.data(),
                          average_parameters.data(), average_buffers.data(), NUM_PARAMETERS, NUM_BUFFERS};
    const Epoch epoch{images.data(), labels.data(), order.data(), warps.data(), jitters.data(), erasures.data()};
    const Steps steps{0, num_steps, 0, num_images, rates.data(), decays.data(),
                      reinterpret_cast<const uint64_t(*)[2]>(keys.data()), losses.data(), correct.data()};
    Network* network = nullptr;
    const char* failure = lenette_create(batch, num_images, threads, &settings, &weights, &network);
    if (!failure) failure = lenette_train(network, &epoch, &steps);
    std::vector<Scalar> logits(num_images * NUM_CLASSES);
    if (!failure) failure = lenette_evaluate(network, images.data(), num_images, logits.data());
    if (failure) return std::fprintf(stderr, "%s", failure), 1;
    lenette_destroy(network);
    for (double loss : losses) std::printf("%.15g\\n", loss);
    for (Scalar weight : average_parameters) std::printf("%.15g\\n", double(weight));
    for (Scalar logit : logits) std::printf("%.15g\\n", double(logit));
}
"""


def network():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 3, stride=2), nn.Conv2d(16, 24, 3, padding=2), nn.Sigmoid(), nn.Conv2d(24, 7, 3),
        nn.Flatten(), nn.Linear(28, 21), nn.ReLU(), nn.Linear(21, 5),
    )  # fmt: skip


def driver(folder, command, model, shape=(1, 12, 12), classes=5, link="-static"):
    """Return the driver of a network for images of that shape, compiled by that command."""
    reading = read(model, shape)
    numbers = {
        "NUM_PARAMETERS": sum(parameter.numel() for parameter in model.parameters()),
        "NUM_BUFFERS": sum(buffer.numel() for buffer in model.buffers() if buffer.is_floating_point()),
        "NUM_MASKS": reading.num_masks,
        "NUM_CLASSES": classes,
        "CHANNELS": shape[0],
        "SIZE": shape[1],
    }
    head = "".join(f"constexpr long {name} = {number};\n" for name, number in numbers.items())
    prepared = ((0.5,) * shape[0], (0.3,) * shape[0])
    (folder / "driver.cpp").write_text(write(model, reading, *prepared) + head + DRIVER)
    flags = [flag for flag in compiler.FLAGS if flag not in ("-shared", "-O3")]
    made = [*command, *flags, "-O1", link, "-DLENETTE_SCALAR=double", f"-I{compiler.HEADERS}", "driver.cpp"]
    subprocess.run([*made, "-o", "driver"], cwd=folder, check=True)
    return folder / "driver"


def outputs(run, batch=20, num_images=50, threads=2):
    """Return the numbers that a driver prints, float64."""
    words = [str(number) for number in (batch, num_images, threads)]
    done = subprocess.run([*run, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return torch.tensor([float(line) for line in done.stdout.split()], dtype=torch.float64)


@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-g++") and shutil.which("qemu-aarch64")),
    reason="no arm64 compiler and emulator",
)
def test_arm64(tmp_path):
    here = outputs([driver(tmp_path, [*compiler.find(), "-march=native"], network())])
    arm64 = outputs(["qemu-aarch64", driver(tmp_path, ["aarch64-linux-gnu-g++"], network())])
    assert here[:3].min() > 0.1
    torch.testing.assert_close(arm64, here, rtol=1e-10, atol=1e-10)


@pytest.mark.skipif(platform.machine() != "x86_64" or "avx2" not in compiler.processor(), reason="no AVX2")
@pytest.mark.parametrize("machine", ["x86-64", "haswell"])
def test_shorter_vectors(machine, tmp_path):
    here = outputs([driver(tmp_path, [*compiler.find(), "-march=native"], network())])
    shorter = outputs([driver(tmp_path, [*compiler.find(), f"-march={machine}"], network())])
    torch.testing.assert_close(shorter, here, rtol=1e-10, atol=1e-10)


@pytest.mark.skipif(not shutil.which("clang++"), reason="no clang++")
def test_clang(monkeypatch):
    monkeypatch.setenv("CXX", shlex.quote(shutil.which("clang++") or ""))
    recipe = Recipe(model="own", batch_size=20, lr=0.1, schedule="constant")
    ours, theirs = twins(network, recipe, noise(50, size=12, classes=5))
    assert "clang" in native.Engine.build()["compiler"]
    torch.testing.assert_close(ours.advance(3)[0], theirs.advance(3)[0], rtol=1e-9, atol=1e-9)
    assert distance(ours.model, theirs.model) < 1e-9
