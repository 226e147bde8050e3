"""The arithmetic of an integer network, defined: every exported form gives the numbers that these functions give.

Sums are taken in float64 where a matrix product is wanted: whole numbers below 2**53 are exact there.
"""

from collections.abc import Iterator
from functools import reduce

import numpy as np

from lenette.errors import DataError
from lenette.integer.network import (
    Add,
    Clamp,
    Concatenate,
    Convolution,
    Format,
    Input,
    IntegerNetwork,
    Multiply,
    Node,
    Pool,
    Reshape,
    Scaled,
    Table,
)
from lenette.models.windows import Window

BATCH = 250  # images at once


def logits(network: IntegerNetwork, images: np.ndarray) -> np.ndarray:
    """Return int64 [N, classes] for images uint8 [N, C, H, W]; times the network's step they are real logits.

    Raises:
        DataError: the images are of another type or shape.
    """
    shape = network.nodes[0].shape
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise DataError(f"images of {images.dtype} {list(images.shape)}: the network takes uint8 [N, *{list(shape)}]")
    parts = [
        list(values(network.nodes, images[start : start + BATCH]))[-1][:, :, 0, 0]
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(network.classes)), np.int64)


def values(nodes: tuple[Node, ...], images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield what each node gives, int64 [N, *shape], for images uint8 [N, C, H, W]."""
    last = {place: reader for reader, node in enumerate(nodes) for place in node.inputs}
    kept: dict[int, np.ndarray] = {}
    for place, node in enumerate(nodes):
        inputs = [kept[one] for one in node.inputs]
        kept[place] = value(node, inputs, [nodes[one].format for one in node.inputs], images)
        yield kept[place]
        for one in [one for one in kept if last.get(one, place) <= place]:
            del kept[one]


def value(  # noqa: PLR0911 - one a kind
    node: Node, inputs: list[np.ndarray], formats: list[Format], images: np.ndarray
) -> np.ndarray:
    """Return what a node gives, int64 [N, *shape], for what it reads and the formats of that."""
    match node:
        case Input():
            return images.astype(np.int64)
        case Convolution():
            shape = (-1, 1, 1)
            return scaled(node, sums(node, inputs[0]), node.multiplier.reshape(shape), node.shift.reshape(shape))
        case Add():
            terms = zip(node.factors, inputs, formats, strict=True)
            total = np.sum([factor * (each - form.zero) for factor, each, form in terms], axis=0)
            return scaled(node, total, 1, node.shift)
        case Multiply():
            product = (inputs[0] - formats[0].zero) * (inputs[1] - formats[1].zero)
            return scaled(node, product, node.multiplier, node.shift)
        case Pool(maximum=True):
            return _windows(_windows(inputs[0], node.rows, 2, np.maximum), node.columns, 3, np.maximum)
        case Pool():
            return _mean(node, inputs[0])
        case Clamp():
            return inputs[0].clip(node.low, node.high)
        case Table():
            return node.table.astype(np.int64)[inputs[0]]
        case Concatenate():
            return np.concatenate(inputs, axis=1)
        case Reshape():
            return inputs[0].reshape(-1, *node.shape)
    raise TypeError(f"no arithmetic for {type(node).__name__}")


def scaled(node: Scaled, total: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int) -> np.ndarray:
    """Return sums in the node's format: total * multiplier / 2**shift, a half rounded up; its zero added; clamped."""
    half = np.left_shift(1, np.asarray(shift, np.int64) - 1)
    return (((total * multiplier + half) >> shift) + node.format.zero).clip(node.low, node.high)


def sums(node: Convolution, source: np.ndarray) -> np.ndarray:
    """Return a convolution's sums, int64 [N, *shape], the bias included; each fits into int32."""
    top, bottom, left, right = node.padding
    count, channels, rows, columns = source.shape
    framed = np.empty((count, channels, rows + top + bottom, columns + left + right))
    framed[:] = node.border.reshape(-1, 1, 1)
    framed[:, :, top : top + rows, left : left + columns] = source
    outputs, height, width = node.shape
    total = np.zeros((count, node.groups, outputs // node.groups, height * width))
    for row, column in np.ndindex(node.weight.shape[2:]):
        first = (row * node.dilation[0], column * node.dilation[1])
        ends = (first[0] + (height - 1) * node.stride[0] + 1, first[1] + (width - 1) * node.stride[1] + 1)
        seen = framed[:, :, first[0] : ends[0] : node.stride[0], first[1] : ends[1] : node.stride[1]]
        seen = seen.reshape(count, node.groups, channels // node.groups, height * width)
        weight = node.weight[:, :, row, column].reshape(node.groups, outputs // node.groups, -1).astype(np.float64)
        total += weight * seen if weight.shape[2] == 1 else weight @ seen
    return total.reshape(count, *node.shape).astype(np.int64) + node.bias.reshape(-1, 1, 1)


def _windows(source: np.ndarray, windows: tuple[Window, ...], axis: int, join: np.ufunc) -> np.ndarray:
    """Return what `join` makes of each window along an axis."""
    parts = [
        reduce(join, np.moveaxis(source, axis, 0)[window.start : window.start + window.taps]) for window in windows
    ]
    return np.stack(parts, axis)


def _mean(node: Pool, source: np.ndarray) -> np.ndarray:
    """Return each window's mean, a half rounded up; a missing number counts as the format's zero."""
    taps, divisors = (
        np.multiply.outer([getattr(one, what) for one in node.rows], [getattr(one, what) for one in node.columns])
        for what in ("taps", "divisor")
    )
    total = _windows(_windows(source, node.rows, 2, np.add), node.columns, 3, np.add)
    total = total + (divisors - taps) * node.format.zero
    return (2 * total + divisors) // (2 * divisors)
