"""The three rungs of document D: each loses parameters and keeps nearly all of the accuracy."""

from torch import nn

from lenette.models.layers import conv_bn_relu, require_image, sequential


def ladder_15k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Nine 3x3 convolutions, the last two bare, and a global average: 15,580 parameters (document D, model 1, Net1)."""
    require_image("ladder_15k", image_size, 20)
    return sequential(
        *conv_bn_relu(in_channels, 8, 3, padding=1),
        *conv_bn_relu(8, 8, 3, padding=1),
        *conv_bn_relu(8, 8, 3),
        nn.MaxPool2d(2),
        *conv_bn_relu(8, 16, 3, padding=1),
        *conv_bn_relu(16, 16, 3),
        *conv_bn_relu(16, 16, 3, padding=1),
        *conv_bn_relu(16, 32, 3),
        nn.Conv2d(32, 10, 3, bias=False),
        nn.Conv2d(10, num_classes, 3, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def ladder_12k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Ten 3x3 convolutions, narrower, and a global average: 12,704 parameters (document D, model 1, Net2).

    The last three convolutions have a ReLU and no batch-norm, the very last one too, as its author has it: the
    averaged logits are never negative.
    """
    require_image("ladder_12k", image_size, 24)
    return sequential(
        *conv_bn_relu(in_channels, 8, 3, padding=1),
        *conv_bn_relu(8, 8, 3, padding=1),
        *conv_bn_relu(8, 8, 3),
        nn.MaxPool2d(2),
        *conv_bn_relu(8, 16, 3, padding=1),
        *conv_bn_relu(16, 16, 3),
        *conv_bn_relu(16, 16, 3, padding=1),
        *conv_bn_relu(16, 16, 3),
        nn.Conv2d(16, 10, 3, bias=False),
        nn.ReLU(),
        nn.Conv2d(10, 10, 3, bias=False),
        nn.ReLU(),
        nn.Conv2d(10, num_classes, 3, bias=False),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def ladder_7k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Ten narrow convolutions with dropout 0.01 and a global average: 7,596 parameters (document D, Net).

    Departs from the author's code, which averages only a corner of the last map: here all of it is averaged.
    """
    require_image("ladder_7k", image_size, 20)
    return sequential(
        *conv_bn_relu(in_channels, 4, 3),
        *conv_bn_relu(4, 4, 3),
        *conv_bn_relu(4, 4, 3),
        nn.Dropout(0.01),
        nn.MaxPool2d(2),
        *conv_bn_relu(4, 8, 1),
        *conv_bn_relu(8, 8, 3),
        *conv_bn_relu(8, 8, 3, padding=1),
        nn.Dropout(0.01),
        *conv_bn_relu(8, 16, 3),
        *conv_bn_relu(16, 16, 3),
        nn.Dropout(0.01),
        *conv_bn_relu(16, 16, 3, padding=1),
        nn.Conv2d(16, num_classes, 1, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
