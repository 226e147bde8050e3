"""The project's own networks for the courses' three budgets, one shape in three widths; docs/LOG.md has its choice."""

from torch import nn

from lenette.models.layers import conv_bn_relu, require_image, sequential


def under_8k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Six 3x3 convolutions around one max-pool, a bare 1x1 one and a global average: 7,961 parameters."""
    return _network("under_8k", (8, 12, 12, 14, 15, 15), num_classes, in_channels, image_size)


def under_10k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """The same, wider: 9,796 parameters."""
    return _network("under_10k", (8, 14, 14, 16, 16, 16), num_classes, in_channels, image_size)


def under_20k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """The same, wider still: 17,816 parameters."""
    return _network("under_20k", (8, 16, 16, 24, 24, 24), num_classes, in_channels, image_size)


def _network(name: str, widths: tuple[int, ...], num_classes: int, in_channels: int, image_size: int) -> nn.Module:
    require_image(name, image_size, 18)
    first, second, third, fourth, fifth, sixth = widths
    return sequential(
        *conv_bn_relu(in_channels, first, 3),
        *conv_bn_relu(first, second, 3),
        nn.MaxPool2d(2),
        *conv_bn_relu(second, third, 3),
        *conv_bn_relu(third, fourth, 3),
        *conv_bn_relu(fourth, fifth, 3, padding=1),
        *conv_bn_relu(fifth, sixth, 3),
        nn.Conv2d(sixth, num_classes, 1, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
