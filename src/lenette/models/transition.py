"""Padded convolutions in blocks, with a 1x1 convolution and a max-pool as the transition between blocks."""

from torch import nn

from lenette.models.layers import conv_bn_relu, require_image, sequential


def transition_19k(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Three blocks with transition layers between them and dropout 0.04: 19,192 parameters (document B, part 2).

    Derived: the document's layer table is a picture that is lost, so the widths were chosen to meet its parameter
    count and its wording. Its softmax belongs to the loss.
    """
    require_image("transition_19k", image_size, 4)
    return sequential(
        *conv_bn_relu(in_channels, 8, 3, padding=1),
        nn.Dropout(0.04),
        *conv_bn_relu(8, 16, 3, padding=1),
        nn.Dropout(0.04),
        *conv_bn_relu(16, 8, 1),
        nn.MaxPool2d(2),
        *conv_bn_relu(8, 8, 3, padding=1),
        nn.Dropout(0.04),
        *conv_bn_relu(8, 32, 3, padding=1),
        nn.Dropout(0.04),
        *conv_bn_relu(32, 16, 1),
        nn.MaxPool2d(2),
        *conv_bn_relu(16, 32, 3, padding=1),
        nn.Dropout(0.04),
        *conv_bn_relu(32, 32, 3, padding=1),
        nn.Dropout(0.04),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(32, num_classes, 1, bias=False),
        nn.Flatten(),
    )
