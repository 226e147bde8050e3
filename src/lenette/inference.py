"""A trained network as an object: images in, logits and probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from lenette.arithmetic import exact
from lenette.errors import DataError

EVALUATION_BATCH = 500  # what a laptop's caches like; the result doesn't hang on it


@dataclass(frozen=True, eq=False)
class Network:
    """A network with its weights, and how images are made ready for it.

    `classes` are the names of what its logits stand for, `shape` that of an image [C, H, W], `mean` and `std` those of
    each channel, of pixels in [0, 1], with which it was trained.
    """

    model: nn.Module
    classes: Sequence[str]
    shape: Sequence[int]
    mean: Sequence[float]
    std: Sequence[float]

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, classes] for images uint8 [N, C, H, W], in evaluation mode.

        Raises:
            DataError: the images are of another type or shape.
        """
        if images.dtype != torch.uint8 or list(images.shape[1:]) != list(self.shape):
            raise DataError(
                f"images of {images.dtype} {list(images.shape)}: the network takes uint8 [N, "
                + ", ".join(map(str, self.shape)) + "]"
            )  # fmt: skip
        return logits(self.model, images, self.mean, self.std)

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, classes], each row's sum 1, for images uint8 [N, C, H, W]."""
        return self.logits(images).softmax(dim=1)


def logits(
    model: nn.Module,
    images: torch.Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Return the model's logits float32 [N, classes] on the CPU, in evaluation mode, for images uint8 [N, C, H, W].

    Args:
        mean, std: of each channel, of pixels in [0, 1], with which the network was trained.
    """
    training = model.training
    model.eval()
    shift, width = (torch.tensor(values, dtype=torch.float32, device=device)[:, None, None] for values in (mean, std))
    with exact(), torch.inference_mode():
        parts = [
            rows(model((part.to(device).float() / 255 - shift) / width), part).float().cpu()
            for part in images.split(EVALUATION_BATCH)
        ]
    model.train(training)
    return torch.cat(parts)


def rows(output: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return the output as [N, classes]; a network that ends in squeeze() gives [classes] for one image."""
    return output[None] if len(images) == 1 and output.ndim == 1 else output
