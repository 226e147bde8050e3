"""The chain rule of the small lesson on a network that reads digits: `sigmoid_mlp`, a whole batch at once, as matrices.

A row is an image, a column a neuron. X is the batch, N images by pixels; Y holds a 1 at each image's class, else 0:

    H = X W1' + b1,  A = sigmoid(H),  Z = A W2' + b2,  P = softmax(Z),  L = -(1/N) sum of Y log P
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from lenette.errors import LenetteError, ModelError

FORMULAS = {
    "H": "X W1' + b1",
    "A": "sigmoid(H)",
    "Z": "A W2' + b2",
    "P": "softmax(Z)",
    "L": "-(1/N) sum of Y log P",
    "dL/dZ": "(P - Y) / N",
    "dL/dW2": "(dL/dZ)' A",
    "dL/db2": "sum of dL/dZ over the images",
    "dL/dA": "dL/dZ W2",
    "dL/dH": "dL/dA * A * (1 - A)",
    "dL/dW1": "(dL/dH)' X",
    "dL/db1": "sum of dL/dH over the images",
}
DERIVATIVES = tuple(name for name in FORMULAS if name.startswith("dL/"))


def by_hand(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return each value and derivative of FORMULAS, worked out by them; float64.

    `model` is a `sigmoid_mlp`; `images` are floats [N, C, H, W] as the network is given them, `labels` int64 [N].
    Raises ModelError for a network of other layers, LenetteError for a batch that doesn't fit the network.
    """
    w1, b1, w2, b2 = (parameter.detach().double() for layer in _layers(model) for parameter in layer.parameters())
    x = images.flatten(1).double()
    _check_batch(x, labels, w1.shape[1], len(w2))
    n = len(x)
    y = one_hot(labels, len(w2)).double()

    h = x @ w1.T + b1
    a = 1 / (1 + torch.exp(-h))
    z = a @ w2.T + b2
    # The logarithm first, of which P is the exponential: so neither under- nor overflows.
    log_p = z - z.logsumexp(dim=1, keepdim=True)
    p = log_p.exp()
    loss = -(y * log_p).sum() / n

    dz = (p - y) / n
    dw2, db2 = dz.T @ a, dz.sum(dim=0)
    da = dz @ w2
    dh = da * a * (1 - a)
    dw1, db1 = dh.T @ x, dh.sum(dim=0)
    return dict(zip(FORMULAS, (h, a, z, p, loss, dz, dw2, db2, da, dh, dw1, db1), strict=True))


def by_autograd(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the derivatives of `by_hand` as PyTorch's autograd finds them from the network itself; float64."""
    # In a copy's float64 a difference is a mistake, not rounding; and the model keeps no gradient of this.
    hidden, output = _layers(copy.deepcopy(model).double())
    h = hidden(images.flatten(1).double())
    a = torch.sigmoid(h)
    z = output(a)
    loss = cross_entropy(z, labels)
    by = {"Z": z, "W2": output.weight, "b2": output.bias, "A": a, "H": h, "W1": hidden.weight, "b1": hidden.bias}
    names = [name.removeprefix("dL/d") for name in DERIVATIVES]
    return dict(zip(DERIVATIVES, torch.autograd.grad(loss, [by[name] for name in names]), strict=True))


def walkthrough(model: nn.Module, images: Tensor, labels: Tensor) -> str:
    """Return the matrix form as text: each formula with the shape of its result, and how far autograd is from it."""
    values, checked = by_hand(model, images, labels), by_autograd(model, images, labels)
    pixels, hidden, classes = values["dL/dW1"].shape[1], values["A"].shape[1], values["Z"].shape[1]
    lines = [
        "THE SAME CHAIN RULE ON A NETWORK THAT READS DIGITS",
        "",
        f"sigmoid_mlp: {pixels} pixels, {hidden} hidden neurons, {classes} classes; {len(images)} images at once.",
        "Each letter is a matrix now: a row for each image, a column for each neuron. M' is M with rows and columns",
        "swapped, M N the product of two matrices, M * N the product number by number. X holds the images; Y a 1 at",
        "each image's class, else 0. The outputs P are probabilities, and the loss L is cross-entropy.",
        "",
        f"    {'':6}   {'formula':30}{'shape':>12}{'largest':>12}{'autograd differs by':>22}",
    ]
    for name, formula in FORMULAS.items():
        value = values[name]
        shape = " x ".join(str(size) for size in value.shape) or "1"
        difference = f"{(value - checked[name]).abs().max():.1e}" if name in checked else ""
        lines.append(f"    {name:6} = {formula:30}{shape:>12}{value.abs().max():>12.4g}{difference:>22}")
    lines += [
        "",
        "dL/dW2 is what dE/dw5 = dE/do1 * a1 was, for all weights and summed over all images: the derivative at the",
        "neuron that a weight leads to, times the value at the one that it comes from. dL/dA adds up the paths, as",
        "dE/da1 did. Only dL/dZ = (P - Y) / N is new: softmax and cross-entropy together leave no more than that.",
    ]
    return "\n".join(lines) + "\n"


def _layers(model: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    layers = list(model.children())
    if [type(layer) for layer in layers] != [nn.Flatten, nn.Linear, nn.Sigmoid, nn.Linear]:
        found = ", ".join(type(layer).__name__ for layer in layers)
        raise ModelError(f"this lesson is on sigmoid_mlp (Flatten, Linear, Sigmoid, Linear), not a network of {found}")
    return layers[1], layers[3]  # type: ignore[return-value]


def _check_batch(x: Tensor, labels: Tensor, num_pixels: int, num_classes: int) -> None:
    if x.shape[1] != num_pixels:
        raise LenetteError(f"the images have {x.shape[1]} pixels; the network was built for {num_pixels}")
    if labels.shape != (len(x),) or not len(x):
        raise LenetteError(f"{len(x)} images need as many labels, and at least one; labels: {list(labels.shape)}")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise LenetteError(
            f"labels must be from 0 to {num_classes - 1}; found {int(labels.min())} to {int(labels.max())}"
        )
