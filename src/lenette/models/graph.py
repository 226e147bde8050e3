"""One reading of a network: any module and an image shape become nodes, whatever it is written with.

Layers, functions and methods that mean the same become the same node (`kinds` says which). The network is traced by
torch.fx and run once, on a few black images, so that shapes are numbers and arithmetic on shapes is gone.
"""

import operator
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import torch
from torch import fx, nn

from lenette.chance import generators, planned
from lenette.errors import ModelError
from lenette.models.copies import copied
from lenette.models.kinds import BINARY, CALLS, CONCATENATE, LAYERS, Kind

BATCH = 3  # images in the run: a size of 3 is that of the batch, and nobody's channels should come out as it


class NotAGraph(ModelError):
    """The network can't be read as a graph; the message names the layer or the line, and why."""


@dataclass(frozen=True)
class Node:
    """One operation on whole batches.

    `kind` is a name in `kinds`, or "input", "add", "multiply", "concatenate", "affine"; `inputs` are the places of the
    nodes that it reads; `tensors` maps what the kind calls its parameters and buffers to their names in the state dict;
    `shape` is that of the output for one image; `fresh` says that it isn't its input's own memory; `name` is the
    layer's, or the function's; `layer` the layer's class, "" for a function; `line` where the user wrote it.
    """

    kind: str
    inputs: tuple[int, ...]
    options: Mapping[str, Any]
    tensors: Mapping[str, str]
    shape: tuple[int, ...]
    fresh: bool
    name: str
    layer: str = ""
    line: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes in order, the images first; `output` is the place of the one that the network returns."""

    nodes: tuple[Node, ...]
    output: int

    @property
    def used(self) -> list[int]:
        """The places of the nodes that the output depends on, in order."""
        needed = {self.output}
        for place in range(self.output, -1, -1):
            if place in needed:
                needed.update(self.nodes[place].inputs)
        return sorted(needed)


def graph(network: nn.Module, image_shape: Sequence[int]) -> Graph:
    """Return what the network computes of images [C, H, W] of that shape.

    The option `always` of a dropout or a batch-norm says that it does in evaluation what it does in training.

    Raises:
        NotAGraph: it can't be traced (a branch on the data, say), does something that no kind of node is, or computes
            something else in evaluation than in training.
    """
    training, evaluation = (_read(copied(network).train(mode), image_shape) for mode in (True, False))
    nodes = []
    for node, other in zip(training.nodes, evaluation.nodes, strict=False):
        options = dict(node.options)
        if "training" in options:
            if not options.pop("training"):
                raise NotAGraph(f"'{node.name}' {_at(node.line)} does in training what it does in evaluation")
            options["always"] = other.options["training"]
        nodes.append(replace(node, options=options))
    same = [(node.kind, node.inputs, node.shape) for node in training.nodes]
    if same != [(node.kind, node.inputs, node.shape) for node in evaluation.nodes]:
        raise NotAGraph("the network computes something else in evaluation than in training")
    return Graph(tuple(nodes), training.output)


def _read(network: nn.Module, image_shape: Sequence[int]) -> Graph:
    if network._forward_hooks or network._forward_pre_hooks:
        raise NotAGraph(f"the network ({type(network).__name__}) has hooks")
    tracer = _Tracer()
    try:
        with _quiet(), torch.enable_grad():
            before = generators()
            traced = fx.GraphModule(network, tracer.trace(network))
            if generators() != before:
                raise NotAGraph("its forward draws random numbers while it is traced")
    except NotAGraph:
        raise
    except Exception as error:
        raise NotAGraph(f"the network can't be traced: {type(error).__name__}: {error}") from error
    tensors = (*network.named_parameters(), *network.named_buffers())
    reader = _Reader(traced, {id(value): name for name, value in reversed(tensors)})
    first = next(network.parameters(), None)
    images = torch.zeros(BATCH, *image_shape, dtype=None if first is None else first.dtype)
    try:
        with _quiet(), torch.no_grad():
            reader.run(images)
    except NotAGraph:
        raise
    except Exception as error:
        raise NotAGraph(f"the network breaks {reader.where()}: {type(error).__name__}: {error}") from error
    return Graph(tuple(reader.nodes), reader.output_place)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave the generators alone, and warnings to whoever runs the network in earnest."""
    with planned() as start, warnings.catch_warnings():
        start(0)
        warnings.simplefilter("ignore")
        yield


class _Tracer(fx.Tracer):
    """Refuses what fx would pass over: a context that changes what is done in it."""

    def create_proxy(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> fx.Proxy:
        proxy = super().create_proxy(kind, target, *args, **kwargs)
        proxy.node.meta["line"] = _caller()
        for context, is_on in (
            ("no_grad", not torch.is_grad_enabled()),
            ("autocast", torch.is_autocast_enabled("cpu")),
        ):
            if is_on and kind.startswith("call"):
                name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
                raise NotAGraph(f"'{name}' {_at(_line(proxy.node))} stands under torch.{context}")
        return proxy


@dataclass
class _Value:
    """A tensor in the run, the place of the node that made it, and how often it had been changed in place then."""

    tensor: torch.Tensor
    place: int
    version: int = field(init=False)

    def __post_init__(self) -> None:
        self.version = self.tensor._version


class _Reader:
    """Run a traced network operation by operation, and write down the nodes."""

    def __init__(self, traced: fx.GraphModule, names: dict[int, str]) -> None:
        self.traced, self.names = traced, names
        self.nodes: list[Node] = []
        self.output_place = 0
        self.now: fx.Node | None = None

    def run(self, images: torch.Tensor) -> None:
        values: dict[fx.Node, Any] = {}
        for node in self.traced.graph.nodes:
            self.now = node
            given = fx.node.map_arg((node.args, node.kwargs), lambda one: values[one])
            for value in _flat(given):
                if isinstance(value, _Value) and value.tensor._version != value.version:
                    raise NotAGraph(f"'{node.name}' {self.where()} reads what was changed in place since")
            values[node] = self.step(node, *given, images)

    def where(self) -> str:
        """Return where the operation under way stands."""
        return _at("" if self.now is None else _line(self.now))

    def step(self, node: fx.Node, args: Any, kwargs: Any, images: torch.Tensor) -> Any:
        match node.op:
            case "placeholder":
                return self.add("input", (), {}, {}, images, str(node.target))
            case "get_attr":
                return operator.attrgetter(str(node.target))(self.traced)
            case "call_module":
                return self.layer(node, self.traced.get_submodule(str(node.target)), args, kwargs)
            case "output":
                if not isinstance(args[0], _Value):
                    kind = type(args[0]).__name__.removeprefix("immutable_")
                    raise NotAGraph(f"the network returns a {kind}, not one tensor of logits")
                self.output_place = args[0].place
                return None
        return self.call(node, args, kwargs)

    def layer(self, node: fx.Node, layer: nn.Module, args: Any, kwargs: Any) -> _Value:
        kind = LAYERS.get(type(layer))
        if kind is None or kwargs or len(args) != 1 or layer._forward_hooks or layer._forward_pre_hooks:
            hooked = " with hooks" if layer._forward_hooks or layer._forward_pre_hooks else ""
            raise NotAGraph(f"layer '{node.target}' ({type(layer).__name__}{hooked}) is of no kind that is known here")
        found = {name: getattr(layer, name, kind.defaults.get(name)) for name in kind.order}
        return self.known(kind, args[0], found, layer(args[0].tensor), str(node.target), type(layer).__name__)

    def call(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        target = node.target
        plain = fx.node.map_aggregate((args, kwargs), lambda one: one.tensor if isinstance(one, _Value) else one)
        function = getattr(plain[0][0], target) if isinstance(target, str) else target
        result = function(*(plain[0][1:] if isinstance(target, str) else plain[0]), **plain[1])
        read = [one for one in _flat((args, kwargs)) if isinstance(one, _Value)]
        if not read or not any(isinstance(one, torch.Tensor) for one in _flat(result)):
            return result  # arithmetic on shapes and constants
        name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
        if target in CALLS:
            kind = CALLS[target]
            given = dict(zip(kind.order, args[1:], strict=False)) | kwargs
            found = {key: given.get(key, kind.defaults.get(key)) for key in kind.order}
            return self.known(kind, args[0], found, result, name)
        if target in BINARY and len(args) == 2 and not kwargs:
            return self.binary(BINARY[target], args, result, name)
        dim = kwargs.get("dim", (*args, 0)[1])
        if target in CONCATENATE and dim in (1, 1 - result.ndim) and len(read) == len(args[0]):
            return self.add("concatenate", tuple(one.place for one in read), {}, {}, result, name)
        raise NotAGraph(f"'{name}' {self.where()} is of no kind that is known here")

    def known(
        self, kind: Kind, source: _Value, found: dict[str, Any], result: torch.Tensor, name: str, layer: str = ""
    ) -> _Value:
        """Write down a node of a kind of the table."""
        if kind.name == "same":
            return _Value(result, source.place)
        if kind.name == "reshape" and (len(result) != BATCH or result.numel() != source.tensor.numel()):
            raise NotAGraph(f"'{name}' {self.where()} mixes up images and features: keep the batch, x.flatten(1)")
        tensors = {}
        for role in [role for role in kind.order if role in kind.tensors]:
            if (value := found.pop(role)) is not None:
                tensors[role] = self.name_of(value, name)
                if kind.name == "convolution" and role == "weight":
                    found["kernel_size"] = tuple(value.shape[2:])
        kind_name = kind.name
        if kind_name == "mean":
            kind_name, found = _mean(source.tensor, found, name)
        if kind_name in ("softmax", "log_softmax"):
            rank, dim = result.ndim, found["dim"]
            found = {"dim": int(rank not in (1, 3)) if dim is None else dim % rank}  # torch's rule where none is named
        fresh = result.data_ptr() != source.tensor.data_ptr()
        return self.add(kind_name, (source.place,), found, tensors, result, name, layer, fresh)

    def binary(self, kind: str, args: Any, result: torch.Tensor, name: str) -> _Value:
        values = [one for one in args[:2] if isinstance(one, _Value)]
        if len(values) == 2 and kind in ("add", "multiply"):
            return self.add(kind, tuple(one.place for one in values), {}, {}, result, name)
        numbers = [one for one in args[:2] if isinstance(one, int | float)]
        if len(numbers) != 1:
            raise NotAGraph(f"'{name}' {self.where()} is of no kind that is known here")
        number, first = float(numbers[0]), isinstance(args[0], _Value)
        affine = {
            "add": (1.0, number),
            "subtract": (1.0, -number) if first else (-1.0, number),
            "multiply": (number, 0.0),
            "divide": (1 / number, 0.0) if first and number else None,
        }[kind]
        if affine is None:
            raise NotAGraph(f"'{name}' {self.where()} is of no kind that is known here")
        return self.add("affine", (values[0].place,), {"factor": affine[0], "offset": affine[1]}, {}, result, name)

    def name_of(self, value: Any, name: str) -> str:
        if not isinstance(value, torch.Tensor) or id(value) not in self.names:
            raise NotAGraph(f"'{name}' {self.where()} reads weights that are no parameter and no buffer of the network")
        return self.names[id(value)]

    def add(
        self, kind: str, inputs: tuple[int, ...], options: dict[str, Any], tensors: dict[str, str],
        result: torch.Tensor, name: str, layer: str = "", fresh: bool = True,
    ) -> _Value:  # fmt: skip
        line = "" if self.now is None else _line(self.now)
        shape = tuple(result.shape[1:])
        self.nodes.append(Node(kind, inputs, options, tensors, shape, fresh, name, layer, line))
        return _Value(result, len(self.nodes) - 1)


def _at(line: str) -> str:
    return f"at {line}" if line else "in its forward"


def _mean(source: torch.Tensor, found: dict[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    dims = found["dim"]
    dims = {dim % source.ndim for dim in ([dims] if isinstance(dims, int) else dims or range(source.ndim))}
    if source.ndim != 4 or dims != {2, 3}:
        raise NotAGraph(
            f"'{name}' over dimensions {sorted(dims)} is of no kind that is known here: a map's are 2 and 3"
        )
    return "adaptive_average_pool", {"output_size": 1}


def _flat(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [one for item in value.values() for one in _flat(item)]
    return [one for item in value for one in _flat(item)] if isinstance(value, list | tuple) else [value]


def _line(node: fx.Node) -> str:
    """Return file:line of the user's forward where the operation stands, or ""."""
    return str(node.meta.get("line", ""))


def _caller() -> str:
    """Return file:line of the user's forward that is being traced, or "".

    fx can note it too (`record_stack_traces`), and loads half of torch's compiler for it, which takes a second.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not _read.__code__:
        path = frame.f_code.co_filename
        if "/torch/" not in path and path != __file__:
            return f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
