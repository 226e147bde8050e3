"""What every data set becomes: images and labels as two tensors."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt

import numpy as np
import torch

from lenette import augment
from lenette.data.preparation import AS_IT_IS, Preparation
from lenette.errors import DataError


@dataclass(frozen=True, eq=False)
class Dataset:
    """One part of a data set.

    `images` is uint8 [N, C, H, W], `labels` int64 [N] in 0..len(classes)-1. `mean` and `std` hold one number a channel,
    of images/255, and are always those of the whole training part. `preparation` says how a picture becomes an image
    as these, and `notes` what to know about how they were read, in sentences.
    """

    name: str
    part: str
    images: torch.Tensor
    labels: torch.Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    preparation: Preparation = AS_IT_IS
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: torch.Tensor, part: str) -> "Dataset":
        """Return the rows `indices` (int64) as the part `part`, with this part's mean and std."""
        return replace(self, part=part, images=self.images[indices], labels=self.labels[indices])

    @cached_property
    def grounds(self) -> torch.Tensor:
        """The colour of each image's ground, uint8 [N, C] (see `augment.grounds`)."""
        return augment.grounds(self.images)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the images' shape, their bytes, and the labels' bytes (little-endian int64)."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(np.ascontiguousarray(self.images.numpy()).data)
        digest.update(np.ascontiguousarray(self.labels.numpy().astype("<i8", copy=False)).data)
        return digest.hexdigest()


def statistics(images: torch.Tensor, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and population standard deviation, a channel, of images/255 for uint8 images [N, C, H, W].

    The sums are whole numbers below 2**53, hence exact and the same in whatever order they are taken. Raises DataError
    where a channel is constant and can't be normalised.
    """
    pixels = images.numpy()
    means, stds = [], []
    for channel in range(pixels.shape[1]):
        total = squares = 0
        for start in range(0, len(pixels), 1024):
            chunk = pixels[start : start + 1024, channel].reshape(-1).astype(np.float64)
            total += int(chunk.sum())
            squares += int(chunk @ chunk)
        count = pixels[:, channel].size
        spread = count * squares - total * total
        if spread == 0:
            raise DataError(f"data set '{name}': every pixel of channel {channel} of the training images is the same")
        means.append(total / (255 * count))
        stds.append(sqrt(spread / (count * count)) / 255)
    return tuple(means), tuple(stds)
