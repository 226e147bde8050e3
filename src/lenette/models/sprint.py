"""The project's own network for the shortest training to 99.0 %; docs/LOG.md has its choice."""

from torch import nn

from lenette.models.layers import require_image, sequential


def sprint(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """A 5x5 convolution of stride 2, two of 3x3 around a max-pool, and a linear layer on the map: 8,962 parameters.

    The stride makes the first map, by far the dearest one, a quarter as large.
    """
    require_image("sprint", image_size, 19)
    side = ((image_size - 5) // 2 - 1) // 2 - 2
    return sequential(
        nn.Conv2d(in_channels, 8, 5, stride=2, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * side**2, num_classes),
    )
