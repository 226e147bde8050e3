"""The kinds of nodes: for each, the layers, functions and methods that mean it, and their options.

Adding one is a line in KINDS, and what an engine or an exporter does with it.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Kind:
    """What stands for one operation.

    `calls` are functions, and methods by their names, that take one input and then what `order` names: tensors and
    options. A layer has attributes of the same names. `defaults` holds what a call leaves out.
    """

    name: str
    layers: tuple[type[nn.Module], ...] = ()
    calls: tuple[Callable[..., Any] | str, ...] = ()
    order: tuple[str, ...] = ()
    tensors: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> list[str]:
        """The names of its options."""
        return [name for name in self.order if name not in self.tensors]


def _kind(name: str, layers: Any, calls: Any = (), order: str = "", tensors: str = "", **defaults: Any) -> Kind:
    layers = layers if isinstance(layers, tuple) else (layers,)
    return Kind(name, layers, calls, tuple(order.split()), frozenset(tensors.split()), defaults)


NORM = "weight bias running_mean running_var"

KINDS = (
    _kind(
        "convolution", nn.Conv2d, (F.conv2d,), "weight bias stride padding dilation groups padding_mode", "weight bias",
        bias=None, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros",
    ),
    _kind("linear", nn.Linear, (F.linear,), "weight bias", "weight bias", bias=None),
    _kind(
        "batch_norm", (nn.BatchNorm2d, nn.BatchNorm1d), (F.batch_norm,),
        "running_mean running_var weight bias training momentum eps", NORM,
        weight=None, bias=None, training=False, momentum=0.1, eps=1e-5,
    ),
    _kind(
        "layer_norm", nn.LayerNorm, (F.layer_norm,), "normalized_shape weight bias eps", "weight bias",
        weight=None, bias=None, eps=1e-5,
    ),
    _kind(
        "group_norm", nn.GroupNorm, (F.group_norm,), "num_groups weight bias eps", "weight bias",
        weight=None, bias=None, eps=1e-5,
    ),
    _kind("relu", nn.ReLU, (F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_")),
    _kind("relu6", nn.ReLU6, (F.relu6,)),
    _kind("leaky_relu", nn.LeakyReLU, (F.leaky_relu, F.leaky_relu_), "negative_slope", negative_slope=0.01),
    _kind("prelu", nn.PReLU, (F.prelu, "prelu"), "weight", "weight"),
    _kind("elu", nn.ELU, (F.elu, F.elu_), "alpha", alpha=1.0),
    _kind("silu", nn.SiLU, (F.silu,)),
    _kind("gelu", nn.GELU, (F.gelu,), "approximate", approximate="none"),
    _kind("hardswish", nn.Hardswish, (F.hardswish,)),
    _kind("hardsigmoid", nn.Hardsigmoid, (F.hardsigmoid,)),
    _kind("tanh", nn.Tanh, (F.tanh, torch.tanh, "tanh", "tanh_")),
    _kind("sigmoid", nn.Sigmoid, (F.sigmoid, torch.sigmoid, "sigmoid", "sigmoid_")),
    _kind("softplus", nn.Softplus, (F.softplus,), "beta threshold", beta=1.0, threshold=20.0),
    _kind("dropout", nn.Dropout, (F.dropout,), "p training", p=0.5, training=True),
    _kind("dropout2d", nn.Dropout2d, (F.dropout2d,), "p training", p=0.5, training=True),
    _kind(
        "max_pool", nn.MaxPool2d, (F.max_pool2d, torch.max_pool2d),
        "kernel_size stride padding dilation ceil_mode return_indices",
        stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False,
    ),
    _kind(
        "average_pool", nn.AvgPool2d, (F.avg_pool2d,),
        "kernel_size stride padding ceil_mode count_include_pad divisor_override",
        stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None,
    ),
    _kind("adaptive_average_pool", nn.AdaptiveAvgPool2d, (F.adaptive_avg_pool2d,), "output_size"),
    _kind("mean", (), (torch.mean, "mean"), "dim keepdim", dim=None, keepdim=False),
    _kind("softmax", nn.Softmax, (F.softmax, torch.softmax, "softmax"), "dim", dim=None),
    _kind("log_softmax", nn.LogSoftmax, (F.log_softmax, torch.log_softmax, "log_softmax"), "dim", dim=None),
    _kind(
        "reshape", (nn.Flatten, nn.Unflatten),
        (torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze,
         "flatten", "view", "reshape", "squeeze", "squeeze_", "unsqueeze", "unflatten"),
    ),
    _kind("same", nn.Identity, ("contiguous", "clone", "float", torch.clone)),
)  # fmt: skip

# Of several inputs; a number instead of one of them makes it an "affine" of the other.
BINARY = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), "add"),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), "subtract"),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), "multiply"),
    **dict.fromkeys((operator.truediv, torch.div, "div", "div_"), "divide"),
}
CONCATENATE = (torch.cat, torch.concat)

LAYERS = {layer: kind for kind in KINDS for layer in kind.layers}
CALLS = {call: kind for kind in KINDS for call in kind.calls}
