"""A data set without parts: which of its images are kept for testing."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from lenette.data.dataset import Dataset, statistics

SHARE = 6  # one image in so many, of each class, is for testing


def words_of_division(name: str) -> str:
    """Say how a data set without parts is divided."""
    return (
        f"{name} has no test part of its own: of each class one image in {SHARE}, chosen by its content, is kept for "
        "testing, and the others are for training"
    )


def for_testing(digests: Sequence[str]) -> np.ndarray:
    """Return which images of one class, of which these are the digests, are for testing: bool [N].

    They are those with the lowest digests, so that twins lie on one side, an image that is added moves few others, and
    their order doesn't matter. A class of fewer than three different images is for training alone.
    """
    in_order = sorted(digests)
    number = max(1, round(len(digests) / SHARE)) if len(set(digests)) > 2 else 0
    last = in_order[number - 1] if number else ""
    return np.array([digest <= last for digest in digests], dtype=bool)


def divided(images: np.ndarray, labels: np.ndarray, part: str) -> np.ndarray:
    """Return the ascending indices of the images uint8 [N, C, H, W] that are in the part, "train" or "test"."""
    tested = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        tested[rows] = for_testing([hashlib.sha256(images[row].tobytes()).hexdigest() for row in rows])
    return np.flatnonzero(tested == (part == "test"))


def divide(images: Dataset) -> tuple[Dataset, Dataset]:
    """Return a training part without a test part as both, for who must have a test part; a note says so."""
    rows = [torch.from_numpy(divided(images.images.numpy(), images.labels.numpy(), part)) for part in ("train", "test")]
    mean, std = statistics(images.images[rows[0]], images.name)
    alike = replace(images, mean=mean, std=std, notes=(*images.notes, words_of_division(images.name)))
    return alike.subset(rows[0], "train"), replace(alike.subset(rows[1], "test"), notes=())
