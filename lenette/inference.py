"""Images through a trained network."""

from collections.abc import Sequence

import torch
from torch import nn

EVALUATION_BATCH = 500  # what a laptop's caches like; the result doesn't hang on it


def logits(
    model: nn.Module,
    images: torch.Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Return the network's logits float32 [N, classes] on the CPU, in evaluation mode.

    Args:
        images: uint8 [N, C, H, W].
        mean, std: of each channel, of pixels in [0, 1], with which the network was trained.
    """
    training = model.training
    model.eval()
    shift, width = (torch.tensor(values, dtype=torch.float32, device=device)[:, None, None] for values in (mean, std))
    with torch.inference_mode():
        parts = [
            model((part.to(device).float() / 255 - shift) / width).float().cpu()
            for part in images.split(EVALUATION_BATCH)
        ]
    model.train(training)
    return torch.cat(parts)
