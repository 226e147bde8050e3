"""Convolutions down to a single pixel that sees the whole image."""

from torch import nn

from lenette.models.layers import conv_bn_relu, require_image, sequential


def deep_19k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Eight convolutions with biases, two of them 1x1, down to one pixel: 19,865 parameters (document E).

    Derived: the widths meet the document's count and its sizes of the maps, 26 to 1. From 32 pixels on the last map is
    larger than one pixel, and is averaged.
    """
    require_image("deep_19k", image_size, 28)
    averaging = [nn.AdaptiveAvgPool2d(1)] if image_size >= 32 else []
    return sequential(
        *conv_bn_relu(in_channels, 20, 3, bias=True),
        nn.Dropout(0.1),
        *conv_bn_relu(20, 30, 3, bias=True),
        nn.Dropout(0.1),
        nn.MaxPool2d(2),
        *conv_bn_relu(30, 10, 1, bias=True),
        *conv_bn_relu(10, 25, 3, padding=1, bias=True),
        *conv_bn_relu(25, 25, 3, bias=True),
        nn.MaxPool2d(2),
        *conv_bn_relu(25, 10, 1, bias=True),
        *conv_bn_relu(10, 30, 3, bias=True),
        nn.Conv2d(30, num_classes, 3),
        *averaging,
        nn.Flatten(),
    )
