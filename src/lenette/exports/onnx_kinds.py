"""What each kind of node is in ONNX: a function a kind, and KINDS, their table."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from lenette.errors import ModelError
from lenette.models.graph import Node

if TYPE_CHECKING:
    from lenette.exports.onnx_float import Writer

Form = Callable[["Writer", Node, list[Node], list[str]], str]


class Unsupported(ModelError):
    """Something in the network has no form in what is written; the message names it."""


def _pair(value: Any) -> list[int]:
    return [int(value)] * 2 if isinstance(value, int) else [int(one) for one in value]


def _convolution(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    options = node.options
    kernel, dilation, padding = _pair(options["kernel_size"]), _pair(options["dilation"]), options["padding"]
    if padding == "same":  # torch puts the odd pixel behind
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        pads = [one // 2 for one in reach] + [one - one // 2 for one in reach]
    else:
        pads = (_pair(0) if padding == "valid" else _pair(padding)) * 2
    source, mode = inputs[0], options["padding_mode"]
    if mode != "zeros":
        modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
        around = to.constant(np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64))
        source, pads = to.operator("Pad", source, around, mode=modes[mode]), [0] * 4
    bias = [to.tensor(node, "bias")] if "bias" in node.tensors else []
    return to.operator(
        "Conv", source, to.tensor(node, "weight"), *bias, kernel_shape=kernel, strides=_pair(options["stride"]),
        dilations=dilation, pads=pads, group=int(options["groups"]),
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
    options = node.options
    kernel = _pair(options["kernel_size"])
    stride = kernel if options["stride"] in (None, []) else _pair(options["stride"])
    ends = _ends(node, sources[0], kernel, stride, _pair(options["padding"]), _pair(options["dilation"]))
    return to.operator(
        "MaxPool", inputs[0], kernel_shape=kernel, strides=stride, dilations=_pair(options["dilation"]),
        pads=[*_pair(options["padding"]), *ends],
    )  # fmt: skip


def _average_pool(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    """Averages as a sum over the zero-padded map, divided by how many pixels torch counts in each window."""
    options = node.options
    kernel, padding = _pair(options["kernel_size"]), _pair(options["padding"])
    stride = kernel if options["stride"] in (None, []) else _pair(options["stride"])
    ends = _ends(node, sources[0], kernel, stride, padding, [1, 1])
    area = kernel[0] * kernel[1]
    sums = to.operator(
        "AveragePool", inputs[0], kernel_shape=kernel, strides=stride, pads=[*padding, *ends], count_include_pad=1
    )
    if options["divisor_override"]:
        counts = np.full(node.shape[1:], options["divisor_override"], np.float64)
    else:
        edge = padding if options["count_include_pad"] else [0, 0]
        sides = [
            [
                min(start + kernel[axis], size + edge[axis]) - max(start, -edge[axis])
                for start in (place * stride[axis] - padding[axis] for place in range(node.shape[1 + axis]))
            ]
            for axis, size in enumerate(sources[0].shape[1:])
        ]
        counts = np.outer(sides[0], sides[1]).astype(np.float64)
    return sums if (counts == area).all() else to.operator("Mul", sums, to.constant(area / counts))


def _ends(
    node: Node, source: Node, kernel: list[int], stride: list[int], padding: list[int], dilation: list[int]
) -> list[int]:
    """Return the padding behind, with which a pool gives the map that torch gives, whatever its ceil_mode was."""
    found = []
    for axis in (0, 1):
        reach = (node.shape[1 + axis] - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1
        found.append(max(0, reach - source.shape[1 + axis] - padding[axis]))
    return found


def _adaptive_average_pool(to: "Writer", node: Node, sources: list[Node], inputs: list[str]) -> str:
    """The mean of the map; of parts of it as two products with matrices, since their sizes may differ."""
    wanted = node.options["output_size"]
    height, width = (wanted, wanted) if wanted is None or isinstance(wanted, int) else wanted
    rows, columns = sources[0].shape[1:]
    height, width = height or rows, width or columns
    if (height, width) == (1, 1):
        pooled = to.operator("GlobalAveragePool", inputs[0])
    else:
        left, right = to.constant(_means(height, rows)), to.constant(_means(width, columns).T)
        pooled = to.operator("MatMul", to.operator("MatMul", left, inputs[0]), right)
    shape = (sources[0].shape[0], height, width)
    return pooled if node.shape == shape else _reshape(to, node, sources, [pooled])


def _means(parts: int, size: int) -> np.ndarray:
    """Return float64 [parts, size] that takes the mean of each part, as torch's adaptive pools cut them."""
    matrix = np.zeros((parts, size))
    for part in range(parts):
        start, stop = part * size // parts, -(-(part + 1) * size // parts)
        matrix[part, start:stop] = 1 / (stop - start)
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
        dim, rank = node.options["dim"], len(node.shape) + 1
        axis = (0 if rank in (1, 3) else 1) if dim is None else dim % rank  # torch's own rule where none is named
        if axis == 0:
            raise Unsupported("it is taken over the images that are given together")
        return to.operator(operator, inputs[0], axis=axis)

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
