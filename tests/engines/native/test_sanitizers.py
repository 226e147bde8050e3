"""The sanitizers of addresses, undefined behaviour and threads over the engine's C++: networks, sizes, threads.

Each network becomes a program (test_portability.py) that the compiler's sanitizers watch; it trains an epoch and
evaluates, with batches of one image, of several blocks and of more than there are. `make sanitize` runs all of them.
"""

import os
import platform
import subprocess

import pytest
from torch import nn

from benchmarks.people import PEOPLE
from lenette.engines.native import compiler
from tests.engines.native.test_bits import SIZE, Graph, global_pool, mixed, perceptron, wide
from tests.engines.native.test_portability import driver, outputs

ALL = bool(os.environ.get("LENETTE_SANITIZE"))


def one_pixel():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=2, dilation=2), nn.GroupNorm(1, 3), nn.MaxPool2d(3, 1, 1), nn.Flatten(),
        nn.Linear(3, 62),
    )  # fmt: skip


def narrow():
    """Winograd's tiles where one row or column of them has to do, and a first layer of many channels."""
    return nn.Sequential(
        nn.Conv2d(16, 24, 3, padding=(0, 2)), nn.ReLU(), nn.Conv2d(24, 16, 3, padding=(2, 0)), nn.Flatten(),
        nn.Linear(16 * 4 * 4, 3),
    )  # fmt: skip


NETWORKS = {
    "every kind": (Graph, (1, SIZE, SIZE), 5),
    "strides and groups": (mixed, (3, SIZE, SIZE), 5),
    "overlapping pools": (global_pool, (1, SIZE, SIZE), 5),
    "linear": (perceptron, (1, SIZE, SIZE), 5),
    "one pixel": (one_pixel, (1, 1, 1), 62),
    "wide": (wide, (1, SIZE, SIZE), 5),
    "narrow": (narrow, (16, 4, 4), 3),
    **{name: (lambda name=name: PEOPLE[name](5, 1, 11), (1, 11, 11), 5) for name in PEOPLE},
}
USUAL = {"every kind": ("address,undefined", "thread"), "one pixel": ("address,undefined",)}
RUNS = [(1, 3, 1), (20, 50, 2), (500, 37, 3), (300, 310, 8)]  # images in a batch, in all, threads
CASES = [
    (name, sanitizer)
    for name in NETWORKS
    for sanitizer in ("address,undefined", "thread")
    if ALL or sanitizer in USUAL.get(name, ())
]


@pytest.mark.skipif(platform.system() != "Linux", reason="the sanitizers are tried on Linux")
@pytest.mark.timeout(1200)  # a compilation under a sanitizer takes a minute or more where the processor is busy
@pytest.mark.parametrize(("name", "sanitizer"), CASES)
def test_they_find_nothing(name, sanitizer, tmp_path):
    network, shape, classes = NETWORKS[name]
    command = [*compiler.find(), compiler.machine(), f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all"]
    if subprocess.run(
        [*command, "-x", "c++", "-", "-o", "/dev/null"], input="int main() {}", text=True, check=False
    ).returncode:
        pytest.skip(f"the compiler has no sanitizer of {sanitizer}")
    run = [driver(tmp_path, command, network(), shape, classes, link="-g")]
    for batch, num_images, threads in RUNS if ALL else RUNS[1:3]:
        found = outputs(run, batch, num_images, threads)
        assert found.isfinite().all()
        assert found.equal(outputs(run, batch, num_images, 1))
