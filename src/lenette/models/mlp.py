"""Networks of fully connected layers."""

from torch import nn

from lenette.models.layers import require_image, sequential


def sigmoid_mlp(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """One hidden layer of 100 sigmoid neurons: 79,510 parameters (document A, question 1).

    The document's softmax belongs to the loss: the network gives logits, and cross-entropy has the softmax in it.
    """
    require_image("sigmoid_mlp", image_size, 1)
    return sequential(
        nn.Flatten(),
        nn.Linear(in_channels * image_size**2, 100),
        nn.Sigmoid(),
        nn.Linear(100, num_classes),
    )
