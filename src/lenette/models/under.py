"""The project's own networks for the courses' three budgets, one shape in three widths; docs/LOG.md has its choice."""

from torch import nn

from lenette.models.layers import conv_bn_relu, require_image, separable_bn_relu, sequential


def under_8k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """A 3x3 convolution, six separable ones around a max-pool, a bare 1x1 one and an average: 7,920 parameters."""
    return _network("under_8k", 16, (32, 32, 32, 32, 32, 28), num_classes, in_channels, image_size)


def under_10k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """The same, wider: 9,991 parameters."""
    return _network("under_10k", 16, (37, 37, 37, 37, 37, 32), num_classes, in_channels, image_size)


def under_20k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """The same, wider still: 19,400 parameters."""
    return _network("under_20k", 24, (52, 54, 54, 54, 54, 48), num_classes, in_channels, image_size)


def _network(
    name: str, first: int, widths: tuple[int, ...], num_classes: int, in_channels: int, image_size: int
) -> nn.Module:
    require_image(name, image_size, 22)
    second, third, fourth, fifth, sixth, seventh = widths
    return sequential(
        *conv_bn_relu(in_channels, first, 3),
        *separable_bn_relu(first, second),
        nn.MaxPool2d(2),
        *separable_bn_relu(second, third),
        *separable_bn_relu(third, fourth),
        *separable_bn_relu(fourth, fifth, padding=1),
        *separable_bn_relu(fifth, sixth),
        *separable_bn_relu(sixth, seventh),
        nn.Conv2d(seventh, num_classes, 1, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
