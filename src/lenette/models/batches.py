"""Batches of one image, at which some networks break in the middle of training: found before the first step."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import torch
from torch import nn

from lenette.chance import planned
from lenette.errors import ModelError
from lenette.models.copies import copied


def require_batch(model: nn.Module, input_shape: Sequence[int], num_images: int, batch_size: int) -> None:
    """Raise ModelError if an epoch has a batch of one image [1, C, H, W] which the network can't be trained on.

    Batch-norm is the known case: one value a channel has no variance. Say, after a linear layer, or on 1x1 maps.

    Args:
        input_shape: of an image, [C, H, W].
        num_images: that are cut into batches of `batch_size` each epoch; the last one may be short.
    """
    if last_batch(num_images, batch_size) != 1:
        return
    wrong = _breaks_on_one(model, input_shape)
    if wrong is None:
        return
    cut = "every batch" if batch_size == 1 else f"the last batch of an epoch ({num_images:,} cut into {batch_size:,}s)"
    other = _other_size(num_images, batch_size)
    advice = "train on more images" if other is None else f"try batch_size = {other:,}"
    raise ModelError(f"{cut} has 1 image, and the network can't be trained on one: {wrong}; {advice}")


def last_batch(num_images: int, batch_size: int) -> int:
    """Return how many images the last batch of an epoch has."""
    return num_images % batch_size or batch_size


def _breaks_on_one(model: nn.Module, input_shape: Sequence[int]) -> str | None:
    """Return what breaks when the network is given one black image in training mode, or None."""
    model = copied(model).train()
    names = {module: f"{name} ({type(module).__name__})".strip() for name, module in model.named_modules()}
    inside: list[nn.Module] = []

    def enter(module: nn.Module, _: Any) -> None:
        inside.append(module)

    def leave(*_: Any) -> None:
        inside.pop()

    for module in names:
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
    try:
        with torch.no_grad(), planned():
            model(torch.zeros(1, *input_shape))
    except Exception as error:
        return f"{names[inside[-1]]}: {error}"
    return None


def _other_size(num_images: int, batch_size: int) -> int | None:
    """Return the batch size nearest to this one without a batch of one image; None where there is one image."""
    near = (batch_size + sign * step for step in count(1) for sign in (-1, 1))
    return None if num_images == 1 else next(b for b in near if b > 1 and last_batch(num_images, b) > 1)
