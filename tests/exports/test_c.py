"""C gives the interpreter's logits, bit for bit, for made-up networks of every kind of node."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from lenette import integer
from lenette.errors import LenetteError
from lenette.exports import c
from lenette.inference import Network
from lenette.integer.network import IntegerNetwork

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.LeakyReLU,
    nn.Hardswish,
    nn.GELU,
    nn.ELU,
    nn.Softplus,
)
POOLS = (
    lambda: nn.MaxPool2d(2),
    lambda: nn.MaxPool2d(3, 2, 1),
    lambda: nn.AvgPool2d(2),
    lambda: nn.AvgPool2d(3, 1, 1),
    lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
)


class Branches(nn.Module):
    """Joins of all kinds around a few drawn layers, and either end that a classifier has."""

    def __init__(self, channels: int, image: tuple[int, int, int], classes: int, draw, ends_flat: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(image[0], channels, draw(st.sampled_from([1, 3])), draw(st.sampled_from([1, 2])), 1),
            nn.BatchNorm2d(channels),
            draw(st.sampled_from(ACTIVATIONS))(),
            nn.Dropout(0.1),
        )
        self.pool = draw(st.sampled_from(POOLS))()
        self.left = nn.Conv2d(channels, channels, 3, 1, "same", dilation=draw(st.sampled_from([1, 2])), groups=channels)
        self.right = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), draw(st.sampled_from(ACTIVATIONS))())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.Sigmoid())
        self.norm, self.relu, self.flat = nn.BatchNorm2d(2 * channels), nn.ReLU(), nn.Flatten()
        self.last = nn.Conv2d(2 * channels, classes, 1)
        self.end = nn.AdaptiveAvgPool2d(1)
        self.ends_flat = ends_flat
        if ends_flat:
            found = self.body(torch.zeros(2, *image))
            self.linear = nn.Linear(found[0].numel(), classes)

    def body(self, images: torch.Tensor) -> torch.Tensor:
        seen = self.pool(self.first(images))
        joined = self.relu(self.left(seen) + seen)
        gated = joined * self.gate(joined)
        return self.norm(torch.cat([gated * 0.5 + 1, self.right(seen)], 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = self.body(images)
        if self.ends_flat:
            return self.linear(self.flat(seen)).log_softmax(1)
        return self.flat(self.end(self.last(seen)))


def made(draw) -> tuple[IntegerNetwork, Network, torch.Tensor]:
    """Return a drawn network on integers and in float, and images."""
    torch.manual_seed(draw(st.integers(0, 1000)))
    image = (draw(st.sampled_from([1, 3])), draw(st.integers(7, 12)), draw(st.integers(7, 12)))
    classes = draw(st.integers(2, 12))
    model = Branches(draw(st.integers(1, 6)), image, classes, draw, draw(st.booleans())).eval()
    images = torch.randint(0, 256, (20, *image), dtype=torch.uint8)
    network = Network(model, [str(one) for one in range(classes)], image, [0.4] * image[0], [0.3] * image[0])
    return integer.quantise(network, images), network, images


def require(compiler: str) -> None:
    """Skip where the compiler is missing; where all of them are promised, fail."""
    if not shutil.which(compiler):
        assert not os.environ.get("LENETTE_REQUIRE_COMPILERS"), f"{compiler} is not installed"
        pytest.skip(f"{compiler} is not installed")


def compiled(folder, compiler: str, *flags: str):
    program = folder / "program"
    subprocess.run([compiler, *FLAGS, *flags, "-o", program, "main.c", "net.c"], cwd=folder, check=True)
    return program


def answers(program, images: np.ndarray) -> np.ndarray:
    """Return the program's logits for images uint8 [N, C, H, W]."""
    told = subprocess.run([program], input=images.transpose(0, 2, 3, 1).tobytes(), capture_output=True, check=True)
    return np.array([line.split() for line in told.stdout.decode().splitlines()], np.int64)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_c_gives_the_interpreters_logits(tmp_path_factory, data):
    require("gcc")
    network, _, images = made(data.draw)
    folder = tmp_path_factory.mktemp("c")
    c.write(network, folder, "net")
    np.testing.assert_array_equal(
        answers(compiled(folder, "gcc", *SANITIZED), images.numpy()), integer.logits(network, images.numpy())
    )


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_integers_are_near_the_floats(data):
    network, float_network, images = made(data.draw)
    found = integer.logits(network, images.numpy()) * network.step
    wanted = float_network.logits(images).numpy()
    spread = max(np.abs(wanted - wanted.mean()).max(), 1e-3)
    found, wanted = (one - one.mean(axis=1, keepdims=True) for one in (found, wanted))  # a softmax sees no more
    assert np.abs(found - wanted).mean() < 0.1 * spread


@pytest.fixture
def small() -> IntegerNetwork:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    images = torch.randint(0, 256, (50, 1, 9, 9), dtype=torch.uint8)
    return integer.quantise(Network(model.eval(), ["a", "b", "c"], [1, 9, 9], [0.5], [0.3]), images)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2", "-O3", "-Os"])
def test_every_compiler_and_level(small, tmp_path, compiler, level):
    require(compiler)
    c.write(small, tmp_path, "net")
    images = np.random.default_rng(1).integers(0, 256, (30, 1, 9, 9), np.uint8)
    np.testing.assert_array_equal(answers(compiled(tmp_path, compiler, level), images), integer.logits(small, images))


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("arm-none-eabi-gcc", ["-mcpu=cortex-m0", "-mthumb"]),
        ("riscv64-unknown-elf-gcc", ["-march=rv32imac", "-mabi=ilp32"]),
        ("avr-gcc", ["-mmcu=atmega1284p"]),
    ],
)
def test_cross_compilers_take_it_without_warning(small, tmp_path, compiler, flags):
    require(compiler)
    c.write(small, tmp_path, "net")
    subprocess.run([compiler, *FLAGS, *flags, "-Os", "-ffreestanding", "-c", "net.c"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("prefix", ["", "1a", "a-b", "a b", "é"])
def test_a_prefix_that_is_no_name_is_refused(small, tmp_path, prefix):
    with pytest.raises(LenetteError, match="no name in C"):
        c.write(small, tmp_path, prefix)
    assert not list(tmp_path.iterdir())


def test_a_prefix_that_would_take_a_files_place_is_refused(small, tmp_path):
    with pytest.raises(LenetteError, match=r"in the place of main\.c"):
        c.write(small, tmp_path, "main")
    assert not list(tmp_path.iterdir())


def test_a_softmax_over_the_images_is_no_last_softmax():
    images = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    for dim, refused in ((0, True), (1, False), (-1, False)):
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Softmax(dim))
        network = Network(model.eval(), ["a", "b", "c"], [1, 2, 2], [0.5], [0.3])
        if refused:
            with pytest.raises(LenetteError, match=r"'2'.*softmax.*no integer form"):
                integer.quantise(network, images)
        else:
            assert integer.quantise(network, images).nodes[-1].shape == (3, 1, 1)


def test_what_has_no_integer_form_is_named():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    with pytest.raises(LenetteError, match=r"'1'.*group_norm.*no integer form"):
        integer.quantise(
            Network(model, ["a", "b", "c"], [1, 9, 9], [0.5], [0.3]), torch.zeros(5, 1, 9, 9, dtype=torch.uint8)
        )
