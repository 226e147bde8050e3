"""A trained network as a few kinds of operation in float64: batch-norms folded, ReLUs as bounds, dropout gone."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lenette.errors import ModelError
from lenette.inference import Network
from lenette.integer.network import Shape
from lenette.models.graph import Graph, Node, graph
from lenette.models.windows import Pair, Pooling, margins, pair, pooling

PASSING = ("max_pool", "reshape")  # kinds through which a ReLU may be moved to what they read
FUNCTIONS: dict[str, Callable[..., torch.Tensor]] = {
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "silu": F.silu,
    "gelu": F.gelu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
}


class NotQuantised(ModelError):
    """The network has no integer form; the message names the node and its line."""


@dataclass
class Operation:
    """One operation in real numbers; `kind` is "input", "convolution", "add", "multiply", "concatenate", "max_pool",
    "average_pool", "clamp", "table" or "reshape".

    A convolution's source has `border` (by channel) taken from it, 0 but where it reads pixels; `low` and `high` bound
    what it gives.
    """

    kind: str
    name: str
    inputs: list[int]
    shape: Shape
    weight: np.ndarray = field(default_factory=lambda: np.zeros(0))
    bias: np.ndarray = field(default_factory=lambda: np.zeros(0))
    border: np.ndarray | None = None
    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    low: float = -inf
    high: float = inf
    window: Pooling | None = None
    function: Callable[[torch.Tensor], torch.Tensor] | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether a ReLU has become part of it."""
        return (self.low, self.high) != (-inf, inf)


def lower(network: Network) -> list[Operation]:
    """Return the network's operations, the input first and the logits last; a last softmax is left out.

    Raises:
        NotQuantised: an operation has no integer form.
        NotAGraph: the network can't be read.
    """
    found = graph(network.model, network.shape)
    last = found.nodes[found.output]
    if last.kind in ("softmax", "log_softmax") and len(last.shape) == last.options["dim"] == 1:
        found = Graph(found.nodes, last.inputs[0])
        last = found.nodes[found.output]
    if prod(last.shape) != len(network.classes):
        raise NotQuantised(f"the network gives {list(last.shape)} for an image, not {len(network.classes)} logits")
    operations = _Lowering(network, found).run()
    return _compact(_pixels_folded(operations, network))


class _Lowering:
    """Turn nodes into operations, one by one, folding where what is read has no other reader."""

    def __init__(self, network: Network, found: Graph) -> None:
        self.network, self.graph = network, found
        self.state = {name: value.detach().double().cpu().numpy() for name, value in network.model.state_dict().items()}
        self.done: list[Operation] = []
        self.at: dict[int, int] = {}  # the operation that gives a node's value
        self.readers = Counter(one for place in found.used for one in found.nodes[place].inputs)

    def run(self) -> list[Operation]:
        for place in self.graph.used:
            node = self.graph.nodes[place]
            self.at[place] = self.step(node)
            if node.kind == "dropout":  # whoever reads it reads what it reads
                self.readers[node.inputs[0]] += self.readers[place] - 1
        return self.done

    def step(self, node: Node) -> int:  # noqa: PLR0911 - one a kind
        lone = bool(node.inputs) and self.readers[node.inputs[0]] == 1
        inputs = [self.at[one] for one in node.inputs]
        match node.kind:
            case "input":
                return self.image(node)
            case "convolution" | "linear":
                return self.add(self.weighted(node, inputs))
            case "batch_norm" | "affine":
                return self.by_channel(node, inputs[0], lone)
            case "relu" | "relu6":
                return self.bounded(node, inputs[0], lone, 6.0 if node.kind == "relu6" else inf)
            case "dropout" | "dropout2d" if not node.options.get("always"):
                return inputs[0]
            case "reshape" | "add" | "multiply" | "concatenate":
                return self.add(Operation(node.kind, node.name, inputs, self.joined(node)))
            case "max_pool" | "average_pool" | "adaptive_average_pool":
                return self.pooled(node, inputs)
        function = FUNCTIONS.get(node.kind)
        if function is None:
            raise refusal(node)
        options = dict(node.options)
        return self.add(
            Operation("table", node.name, inputs, form(node.shape), function=lambda x: function(x, **options))
        )

    def add(self, operation: Operation) -> int:
        self.done.append(operation)
        return len(self.done) - 1

    def image(self, node: Node) -> int:
        """Add the image, and what makes its pixels what the network was trained on."""
        shape = form(node.shape)
        at = self.add(Operation("input", node.name, [], shape))
        std, mean = np.array(self.network.std), np.array(self.network.mean)
        return self.add(_factors("normalise", at, shape, 1 / (255 * std), np.zeros(shape[0]), 255 * mean))

    def weighted(self, node: Node, inputs: list[int]) -> Operation:
        weight = self.state[node.tensors["weight"]]
        bias = self.state[node.tensors["bias"]] if "bias" in node.tensors else np.zeros(len(weight))
        if node.kind == "linear":
            if len(self.shape_of(node)) != 1:
                raise refusal(node, "over a value that isn't flat")
            return Operation("convolution", node.name, inputs, form(node.shape), weight[:, :, None, None], bias)
        if node.options["padding_mode"] != "zeros":
            raise refusal(node, f"with padding_mode '{node.options['padding_mode']}'")
        options = node.options
        return Operation(
            "convolution", node.name, inputs, form(node.shape), weight, bias, None, pair(options["stride"]),
            margins(node).all, pair(options["dilation"]), options["groups"],
        )  # fmt: skip

    def by_channel(self, node: Node, at: int, lone: bool) -> int:
        """Fold a factor and an offset into the convolution before, or make them one."""
        shape = form(node.shape)
        if node.kind == "affine":
            factor, offset = (np.full(shape[0], node.options[name]) for name in ("factor", "offset"))
        else:
            if node.options.get("always") or "running_mean" not in node.tensors:
                raise refusal(node, "without running statistics")
            read = {name: self.state[key] for name, key in node.tensors.items()}
            factor = read.get("weight", 1.0) / np.sqrt(read["running_var"] + node.options["eps"])
            offset = read.get("bias", 0.0) - read["running_mean"] * factor
        source = self.done[at]
        if lone and source.kind == "convolution" and source.name != "normalise" and not source.is_bounded:
            source.weight = source.weight * factor[:, None, None, None]
            source.bias = source.bias * factor + offset
            return at
        return self.add(_factors(node.name, at, shape, factor, offset))

    def bounded(self, node: Node, at: int, lone: bool, high: float) -> int:
        """Make a ReLU the bounds of what it reads, or an operation of its own."""
        before = at
        while lone and self.done[before].kind in PASSING:
            before = self.done[before].inputs[0]
            lone = sum(before in one.inputs for one in self.done) == 1
        source = self.done[before]
        if lone and source.kind in ("convolution", "add", "multiply") and not source.is_bounded:
            source.low, source.high = 0.0, high
            return at
        return self.add(Operation("clamp", node.name, [at], form(node.shape), low=0.0, high=high))

    def pooled(self, node: Node, inputs: list[int]) -> int:
        if pair(node.options.get("dilation", 1)) != (1, 1):
            raise refusal(node, "with a dilation")
        if node.options.get("divisor_override") or node.options.get("return_indices"):
            raise refusal(node, "with divisor_override or return_indices")
        kind = "max_pool" if node.kind == "max_pool" else "average_pool"
        return self.add(Operation(kind, node.name, inputs, form(node.shape), window=pooling(node, self.shape_of(node))))

    def joined(self, node: Node) -> Shape:
        """Return the shape of an operation that joins values of the same shape, or one and its gates."""
        shape, shapes = form(node.shape), [form(self.graph.nodes[one].shape) for one in node.inputs]
        if node.kind == "multiply" and shapes[0] != shape:
            raise refusal(node, "of a gate and a map: write the map first")
        fits = {"add": [shape], "multiply": [shape, (shape[0], 1, 1)]}.get(node.kind, shapes)
        if any(one not in fits for one in shapes):
            raise refusal(node, f"of values of shapes {', '.join(map(str, shapes))}")
        return shape

    def shape_of(self, node: Node) -> tuple[int, ...]:
        return self.graph.nodes[node.inputs[0]].shape


def refusal(node: Node, why: str = "") -> NotQuantised:
    """Return the error that names a node which has no integer form."""
    where = f" at {node.line}" if node.line else ""
    return NotQuantised(f"'{node.name}'{where} ({node.kind}{' ' + why if why else ''}) has no integer form")


def form(shape: tuple[int, ...]) -> Shape:
    """Return a shape as channels, height and width."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (prod(shape), 1, 1)


def _factors(
    name: str, at: int, shape: Shape, factor: np.ndarray, offset: np.ndarray, border: np.ndarray | None = None
) -> Operation:
    return Operation(
        "convolution", name, [at], shape, factor[:, None, None, None], offset, border, groups=shape[0]
    )  # fmt: skip


def _pixels_folded(operations: list[Operation], network: Network) -> list[Operation]:
    """Let convolutions read the pixels themselves, where nothing else reads the images."""
    images = {1} | {at for at, one in enumerate(operations) if one.kind == "reshape" and one.inputs == [1]}
    readers = [(at, one) for at, one in enumerate(operations) if at not in images and images.intersection(one.inputs)]
    if len(operations) == 2 or any(one.kind != "convolution" or at == 1 for at, one in readers):
        return operations
    mean, std = (np.array(values) for values in (network.mean, network.std))
    for _, one in readers:
        per = operations[one.inputs[0]].shape[0] // len(mean)  # features of a flat value for each channel
        factor, zero = np.repeat(1 / (255 * std), per), np.repeat(255 * mean, per)
        num_read = one.weight.shape[1]
        for output in range(len(one.weight)):
            first = output // (len(one.weight) // one.groups) * num_read
            one.weight[output] = one.weight[output] * factor[first : first + num_read, None, None]
        one.border = zero
    for one in operations:
        one.inputs = [0 if at == 1 else at for at in one.inputs]
    return operations


def _compact(operations: list[Operation]) -> list[Operation]:
    """Drop what nothing reads."""
    needed, places = {len(operations) - 1}, {}
    for at in range(len(operations) - 1, -1, -1):
        if at in needed:
            needed.update(operations[at].inputs)
    kept: list[Operation] = []
    for at in sorted(needed | {0}):
        places[at] = len(kept)
        kept.append(operations[at])
    for one in kept:
        one.inputs = [places[at] for at in one.inputs]
    return kept


def result(operation: Operation, inputs: list[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Return what an operation gives in real numbers, float32 [N, *shape]; for "input" the pixels as they are."""
    match operation.kind:
        case "input":
            return images.float()
        case "convolution":
            top, bottom, left, right = operation.padding
            weight, bias = (torch.from_numpy(one).float() for one in (operation.weight, operation.bias))
            source = inputs[0]
            if operation.border is not None:
                source = source - torch.from_numpy(operation.border).float()[:, None, None]
            made: Any = F.conv2d(
                F.pad(source, (left, right, top, bottom)), weight, bias, operation.stride, 0, operation.dilation,
                operation.groups,
            )  # fmt: skip
        case "add":
            made = sum(inputs)
        case "multiply":
            made = inputs[0] * inputs[1]
        case "clamp":
            made = inputs[0]
        case "max_pool" | "average_pool":
            return _pool(operation, inputs[0])
        case "concatenate":
            return torch.cat(inputs, 1)
        case "reshape":
            return inputs[0].reshape(-1, *operation.shape)
        case _:
            assert operation.function is not None
            return operation.function(inputs[0])
    return made.clamp(operation.low, operation.high) if operation.is_bounded else made


def _pool(operation: Operation, source: torch.Tensor) -> torch.Tensor:
    window = operation.window
    assert window is not None
    for axis, windows in ((2, window.rows), (3, window.columns)):
        parts = [source.narrow(axis, one.start, one.taps) for one in windows]
        source = torch.stack(
            [
                part.amax(axis) if window.maximum else part.sum(axis) / one.divisor
                for part, one in zip(parts, windows, strict=True)
            ],
            axis,
        )
    return source
