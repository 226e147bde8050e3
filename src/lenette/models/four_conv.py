"""Four wide convolutions and two fully connected layers."""

from torch import nn

from lenette.models.layers import require_image, sequential


def four_conv_593k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Four convolutions with biases and no batch-norm, then two linear layers: 593,200 parameters (document C).

    The document's table lists the layers with parameters alone; that each max-pool comes before its ReLU is from the
    author's public notebook.
    """
    require_image("four_conv_593k", image_size, 16)
    side = ((image_size - 4) // 2 - 4) // 2
    return sequential(
        nn.Conv2d(in_channels, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(64, 128, 3),
        nn.ReLU(),
        nn.Conv2d(128, 256, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256 * side**2, 50),
        nn.ReLU(),
        nn.Linear(50, num_classes),
    )
