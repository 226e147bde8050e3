"""The few words in which the shipped networks are written."""

from collections import Counter, OrderedDict

from torch import nn

from lenette.errors import ModelError

NAMES: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.BatchNorm2d: "bn",
    nn.ReLU: "relu",
    nn.Sigmoid: "sigmoid",
    nn.MaxPool2d: "pool",
    nn.Dropout: "dropout",
    nn.Linear: "fc",
    nn.AdaptiveAvgPool2d: "gap",
    nn.Flatten: "flatten",
}


def sequential(*layers: nn.Module) -> nn.Sequential:
    """Chain plain layers, each named by its kind and its number in that kind: conv1, bn1, relu1, conv2, ..., gap."""
    counts = Counter[str]()
    named = OrderedDict[str, nn.Module]()
    for layer in layers:
        kind = NAMES[type(layer)]
        counts[kind] += 1
        named[kind if kind in {"gap", "flatten"} else f"{kind}{counts[kind]}"] = layer
    return nn.Sequential(named)


def conv_bn_relu(
    in_channels: int, out_channels: int, kernel: int, padding: int = 0, bias: bool = False
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Return a convolution, its batch-norm and its ReLU; the bias is off, since batch-norm's shift makes it idle."""
    return (
        nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=bias),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def separable_bn_relu(in_channels: int, out_channels: int, padding: int = 0) -> tuple[nn.Module, ...]:
    """Return a depthwise separable 3x3 convolution, its batch-norm and its ReLU.

    A 3x3 filter for each channel, then a 1x1 convolution that mixes them, with nothing between the two (as in Xception,
    arXiv:1610.02357): 9 + out_channels weights a channel instead of 9 * out_channels.
    """
    depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=padding, groups=in_channels, bias=False)
    return depthwise, *conv_bn_relu(in_channels, out_channels, 1)


def require_image(model: str, image_size: int, smallest: int) -> None:
    """Raise ModelError if images of `image_size` pixels are too small for the network; name the smallest that fits."""
    if image_size < smallest:
        raise ModelError(
            f"{model} doesn't fit images of {image_size}x{image_size} pixels: the smallest that fits is "
            f"{smallest}x{smallest}, so use larger images or a shallower network"
        )
