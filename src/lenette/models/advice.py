"""What a layer expected, what it got, and the layer that would fit."""

import torch
from torch import nn


def advice(layer: nn.Module, received: torch.Tensor) -> tuple[str, str]:
    """Return (what is wrong, what would fit) for a plain layer that refused a batch of inputs; "" where unknown."""
    if isinstance(layer, nn.Linear):
        return _linear(layer, received)
    if isinstance(layer, nn.Conv2d):
        return _conv(layer, received)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return _norm(layer, received)
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        if received.ndim != 4:
            return _no_map(type(layer).__name__, received)
        return _window("window", _pair(layer.kernel_size), _pair(layer.padding), (1, 1), received)
    return "", ""


def _linear(layer: nn.Linear, received: torch.Tensor) -> tuple[str, str]:
    features = received[0].numel()
    fitting = f"use Linear({features}, {layer.out_features})"
    if received.ndim > 2:
        wrong = f"Linear expects {layer.in_features} features, got a map of {_shape(received)}"
        flatten = "flatten it first, with nn.Flatten()"
        return wrong, flatten if features == layer.in_features else f"{flatten}, and {fitting}"
    return f"Linear expects {layer.in_features} features, got {features}", fitting


def _conv(layer: nn.Conv2d, received: torch.Tensor) -> tuple[str, str]:
    if received.ndim != 4:
        return _no_map("Conv2d", received)
    channels = received.shape[1]
    if channels != layer.in_channels:
        return (
            f"Conv2d expects {layer.in_channels} channels, got {channels}",
            f"use Conv2d({channels}, {layer.out_channels}, ...)",
        )
    padding = (0, 0) if isinstance(layer.padding, str) else _pair(layer.padding)
    return _window("kernel", _pair(layer.kernel_size), padding, _pair(layer.dilation), received)


def _norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, received: torch.Tensor) -> tuple[str, str]:
    kind = type(layer).__name__
    if isinstance(layer, nn.BatchNorm2d) and received.ndim != 4:
        return _no_map(kind, received)
    if isinstance(layer, nn.BatchNorm1d) and received.ndim == 4:
        return f"{kind} expects features, got a map of {_shape(received)}", f"use BatchNorm2d({received.shape[1]})"
    channels = received.shape[1]
    word = "channels" if isinstance(layer, nn.BatchNorm2d) else "features"
    return f"{kind} expects {layer.num_features} {word}, got {channels}", f"use {kind}({channels})"


def _window(
    word: str, kernel: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int], received: torch.Tensor
) -> tuple[str, str]:
    height, width = received.shape[-2:]
    spans = [(size - 1) * gap + 1 for size, gap in zip(kernel, dilation, strict=True)]
    padded = [side + 2 * margin for side, margin in zip((height, width), padding, strict=True)]
    if all(span <= side for span, side in zip(spans, padded, strict=True)):
        return "", ""
    margin = f" padded by {padding[0]}" if any(padding) else ""
    return (
        f"a {word} of {spans[0]}x{spans[1]} is larger than its input of {height}x{width}{margin}",
        f"use a {word} of at most {min(padded)}, fewer pools before it, or larger images",
    )


def _no_map(kind: str, received: torch.Tensor) -> tuple[str, str]:
    return (
        f"{kind} expects a map of channels x height x width, got {_shape(received)}",
        "put it before the layer that flattens",
    )


def _shape(received: torch.Tensor) -> str:
    sizes = received.shape[1:]
    return "x".join(map(str, sizes)) if len(sizes) > 1 else f"{sizes.numel()} features"


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])
