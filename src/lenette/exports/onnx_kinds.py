"""What each kind of node is in ONNX: a function a kind, and KINDS, their table."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lenette.errors import ModelError
from lenette.models.graph import Node
from lenette.models.windows import Pooling, Window, margins, pair, pooling

if TYPE_CHECKING:
    from lenette.exports.onnx_float import Writer

Form = Callable[["Writer", Node, list[Node], list[str]], str]


class Unsupported(ModelError):
    """Something in the network has no form in what is written; the message names it."""


def _convolution(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    options, (top, bottom, left, right) = node.options, margins(node).all
    pads = [top, left, bottom, right]
    source, mode = inputs[0], options["padding_mode"]
    if mode != "zeros":
        modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
        around = to.constant(np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64))
        source, pads = to.operator("Pad", source, around, mode=modes[mode]), [0] * 4
    bias = [to.tensor(node, "bias")] if "bias" in node.tensors else []
    return to.operator(
        "Conv", source, to.tensor(node, "weight"), *bias, kernel_shape=pair(options["kernel_size"]),
        strides=pair(options["stride"]), dilations=pair(options["dilation"]), pads=pads, group=int(options["groups"]),
    )  # fmt: skip


def _linear(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    weight = to.tensor(node, "weight")
    bias = [to.tensor(node, "bias")] if "bias" in node.tensors else []
    if len(node.shape) == 1:
        return to.operator("Gemm", inputs[0], weight, *bias, transB=1)
    product = to.operator("MatMul", inputs[0], to.operator("Transpose", weight, perm=[1, 0]))
    return to.operator("Add", product, *bias) if bias else product


def _batch_norm(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    if node.options["always"] or "running_mean" not in node.tensors:
        raise Unsupported("it takes the mean and the variance of the images that it is given together")
    size = len(to.state[node.tensors["running_mean"]])
    scale = to.tensor(node, "weight") or to.constant(np.ones(size, np.float32))
    shift = to.tensor(node, "bias") or to.constant(np.zeros(size, np.float32))
    mean, variance = to.tensor(node, "running_mean"), to.tensor(node, "running_var")
    return to.operator(
        "BatchNormalization", inputs[0], scale, shift, mean, variance, epsilon=float(node.options["eps"])
    )


def _layer_norm(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    shape = node.options["normalized_shape"]
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    scale = to.tensor(node, "weight") or to.constant(np.ones(shape, np.float32))
    bias = [to.tensor(node, "bias")] if "bias" in node.tensors else []
    epsilon = float(node.options["eps"])
    return to.operator("LayerNormalization", inputs[0], scale, *bias, axis=-len(shape), epsilon=epsilon)


def _group_norm(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    groups, channels = int(node.options["num_groups"]), node.shape[0]
    parts = to.operator("Reshape", inputs[0], to.constant(np.array([0, groups, -1], np.int64)))
    ones, zeros = (to.constant(np.full(groups, value, np.float32)) for value in (1, 0))
    even = to.operator("InstanceNormalization", parts, ones, zeros, epsilon=float(node.options["eps"]))
    value = to.operator("Reshape", even, to.constant(np.array([0, *node.shape], np.int64)))
    for role, operator in (("weight", "Mul"), ("bias", "Add")):
        if role in node.tensors:
            shape = (channels,) + (1,) * (len(node.shape) - 1)
            value = to.operator(operator, value, to.tensor(node, role, shape))
    return value


def _prelu(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    size = to.state[node.tensors["weight"]].size
    shape = (size,) + (1,) * (len(node.shape) - 1)
    return to.operator("PRelu", inputs[0], to.tensor(node, "weight", shape if size > 1 else (1,)))


def _silu(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    return to.operator("Mul", inputs[0], to.operator("Sigmoid", inputs[0]))


def _softplus(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    beta, threshold = (to.constant(float(node.options[name])) for name in ("beta", "threshold"))
    scaled = to.operator("Mul", inputs[0], beta)
    soft = to.operator("Div", to.operator("Softplus", scaled), beta)
    return to.operator("Where", to.operator("Greater", scaled, threshold), inputs[0], soft)


def _dropout(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    if node.options["always"] and node.options["p"]:
        raise Unsupported("it drops at random in evaluation too")
    return inputs[0]


def _max_pool(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    found = pooling(node, sources[0].shape)
    return to.operator(
        "MaxPool", inputs[0], kernel_shape=found.kernel, strides=found.stride, dilations=found.step,
        pads=_pads(node, found),
    )  # fmt: skip


def _average_pool(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    """Averages as a sum over the zero-padded map, divided by how many pixels torch counts in each window."""
    found = pooling(node, sources[0].shape)
    sums = to.operator(
        "AveragePool", inputs[0], kernel_shape=found.kernel, strides=found.stride, pads=_pads(node, found),
        count_include_pad=1,
    )  # fmt: skip
    area = found.kernel[0] * found.kernel[1]
    counts = np.outer([one.divisor for one in found.rows], [one.divisor for one in found.columns])
    return sums if (counts == area).all() else to.operator("Mul", sums, to.constant(area / counts))


def _pads(node: Node, found: Pooling) -> list[int]:
    """Return the padding in front and behind, with which a pool gives torch's map, whatever its ceil_mode was."""
    padding = pair(node.options["padding"])
    behind = [
        max(0, (len(windows) - 1) * stride + step * (kernel - 1) + 1 - side - before)
        for windows, stride, step, kernel, side, before in zip(
            (found.rows, found.columns), found.stride, found.step, found.kernel, found.shape, padding, strict=True
        )
    ]
    return [*padding, *behind]


def _adaptive_average_pool(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    """The mean of the map; of parts of it as two products with matrices, since their sizes may differ."""
    found = pooling(node, sources[0].shape)
    if found.size == (1, 1):
        pooled = to.operator("GlobalAveragePool", inputs[0])
    else:
        height, width = found.shape
        left, right = to.constant(_means(found.rows, height)), to.constant(_means(found.columns, width).T)
        pooled = to.operator("MatMul", to.operator("MatMul", left, inputs[0]), right)
    shape = (sources[0].shape[0], *found.size)
    return pooled if node.shape == shape else _reshape(to, node, sources, [pooled])


def _means(windows: tuple[Window, ...], size: int) -> np.ndarray:
    """Return float64 [windows, size] that takes each window's mean."""
    matrix = np.zeros((len(windows), size))
    for row, window in zip(matrix, windows, strict=True):
        row[window.start : window.start + window.taps] = 1 / window.divisor
    return matrix


def _reshape(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    return to.operator("Reshape", inputs[0], to.constant(np.array([0, *node.shape], np.int64)))


def _affine(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    value, factor, offset = inputs[0], node.options["factor"], node.options["offset"]
    if factor != 1:
        value = to.operator("Mul", value, to.constant(float(factor)))
    return to.operator("Add", value, to.constant(float(offset))) if offset else value


def _over_features(operator: str) -> Form:
    def form(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
        if node.options["dim"] == 0:
            raise Unsupported("it is taken over the images that are given together")
        return to.operator(operator, inputs[0], axis=node.options["dim"])

    return form


def _plain(operator: str, **attributes: Any) -> Form:
    """Return the form of a kind that is one operator; an attribute in braces is taken from the node's options."""

    def form(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
        given = {key: node.options[value[1:-1]] if _is_option(value) else value for key, value in attributes.items()}
        return to.operator(operator, *inputs, **given)

    return form


def _is_option(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{")


def _relu6(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    return to.operator("Clip", inputs[0], to.constant(0.0), to.constant(6.0))


KINDS: dict[str, Form] = {
    "convolution": _convolution,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "relu": _plain("Relu"),
    "relu6": _relu6,
    "leaky_relu": _plain("LeakyRelu", alpha="{negative_slope}"),
    "prelu": _prelu,
    "elu": _plain("Elu", alpha="{alpha}"),
    "silu": _silu,
    "gelu": _plain("Gelu", approximate="{approximate}"),
    "hardswish": _plain("HardSwish"),
    "hardsigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "tanh": _plain("Tanh"),
    "sigmoid": _plain("Sigmoid"),
    "softplus": _softplus,
    "dropout": _dropout,
    "dropout2d": _dropout,
    "max_pool": _max_pool,
    "average_pool": _average_pool,
    "adaptive_average_pool": _adaptive_average_pool,
    "softmax": _over_features("Softmax"),
    "log_softmax": _over_features("LogSoftmax"),
    "reshape": _reshape,
    "add": _plain("Add"),
    "multiply": _plain("Mul"),
    "affine": _affine,
    "concatenate": _plain("Concat", axis=1),
}
