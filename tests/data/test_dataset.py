import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lenette.data.dataset import Dataset, statistics
from lenette.errors import DataError


def make(images: torch.Tensor) -> Dataset:
    labels = torch.arange(len(images)) % 2
    return Dataset("x", "train", images, labels, ("a", "b"), *statistics(images, "x"))


@given(st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_statistics_are_those_of_numpy(channels, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (1030, channels, 2, 3), dtype=np.uint8)
    mean, std = statistics(torch.from_numpy(pixels), "x")
    scaled = pixels / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std((0, 2, 3)), rtol=1e-12)


def test_constant_images_are_refused():
    with pytest.raises(DataError, match="channel 0"):
        statistics(torch.full((4, 1, 2, 2), 9, dtype=torch.uint8), "x")


def test_digest_covers_shape_images_and_labels():
    images = torch.arange(24, dtype=torch.uint8).reshape(2, 1, 3, 4)
    dataset = make(images)
    expected = hashlib.sha256(b"(2, 1, 3, 4)" + bytes(range(24)) + np.array([0, 1], "<i8").tobytes()).hexdigest()
    assert dataset.digest == expected
    assert make(images.reshape(2, 1, 4, 3)).digest != expected
    assert make(images.flip(0)).digest != expected


def test_subset_keeps_the_statistics_of_training():
    dataset = make(torch.arange(48, dtype=torch.uint8).reshape(4, 1, 3, 4))
    subset = dataset.subset(torch.tensor([2, 0]), "validation")
    assert (len(subset), subset.part, subset.labels.tolist()) == (2, "validation", [0, 0])
    torch.testing.assert_close(subset.images[0], dataset.images[2])
    assert (subset.mean, subset.std) == (dataset.mean, dataset.std)
    assert subset.digest != dataset.digest
