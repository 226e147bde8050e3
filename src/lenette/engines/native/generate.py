"""Write the C++ that instantiates the kernels for a network's shapes."""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from lenette.engines.native.stages import Reading, Shape, Stage, read
from lenette.models.graph import Node
from lenette.models.windows import Pooling, Window, margins, pair
from lenette.plan import MASK_LEVELS

# Nodes whose threads each sum a weight's gradient over their own images; the others' is summed over the batch at once.
CHUNKED = ("convolution", "layer_norm", "group_norm", "prelu")


def source_of(model: nn.Module, image_shape: Shape, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """Return the C++ of the network for images of that shape, normalised so.

    Raises:
        UnsupportedByEngine: the network is no graph, or something in it is unknown to the engine.
    """
    return write(model, read(model, image_shape), mean, std)


def write(model: nn.Module, reading: Reading, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """Return the C++ of stages that were read from the network."""
    places = _Places(model)
    lines = [f"images = std::make_unique<Images<{_list(reading.image_shape)}>>({_array(mean)}, {_array(std)});"]
    for stage in reading.stages:
        operation, tail = _operation(stage, places), _tail(stage, places)
        lines.append(f"stages.push_back({{{operation},\n                      {tail},")
        lines.append(f"                  {{{_list(stage.inputs)}}}}});")
    for name, uses in places.uses.items():
        if places.parameters[name].requires_grad:
            text = _list(f"{{{gradient}, {_bool(chunked)}}}" for gradient, chunked in uses)
            size = places.parameters[name].numel()
            lines.append(f"parameters.push_back({{{places.offsets[name]}, {size}, {{{text}}}}});  // {name}")
    lines += [f"num_dropouts = {reading.num_masks};", f"num_gradients = {places.end};"]
    body = "\n".join(f"    {line}" for line in lines)
    return f'#include "library.hpp"\n\nvoid lenette::Network::build() {{\n{body}\n}}\n'


class _Places:
    """Where parameters, their gradients and buffers lie in the engine's flat arrays."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.parameters = dict(model.named_parameters())
        buffers = ((name, value) for name, value in model.named_buffers() if value.is_floating_point())
        self.offsets = _offsets(self.parameters.items()) | _offsets(buffers)
        self.uses: dict[str, list[tuple[int, bool]]] = {}
        self.end = sum(parameter.numel() for parameter in self.parameters.values())

    def parameter(self, node: Node, role: str) -> str:
        """Return the C++ of a parameter's place; its gradient has another one for each use of it."""
        if role not in node.tensors:
            return "Place{}"
        name = node.tensors[role]
        uses = self.uses.setdefault(name, [])
        gradient = self.offsets[name]
        if uses:
            gradient, self.end = self.end, self.end + self.parameters[name].numel()
        uses.append((gradient, node.kind in CHUNKED))
        return f"Place{{{self.offsets[name]}, {gradient}}}"

    def parameters_of(self, node: Node) -> str:
        return f"{self.parameter(node, 'weight')}, {self.parameter(node, 'bias')}"

    def buffer(self, node: Node, role: str) -> int:
        return self.offsets[node.tensors[role]]

    def batches_seen(self, node: Node) -> int:
        return int(self.model.get_buffer(f"{node.name}.num_batches_tracked"))


def _offsets(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, int]:
    offsets, end = {}, 0
    for name, tensor in tensors:
        offsets[name] = end
        end += tensor.numel()
    return offsets


def _operation(stage: Stage, places: _Places) -> str:
    kind = "pool" if stage.window else stage.kind
    return f"std::make_unique<{OPERATIONS[kind](stage, stage.node, places)}"


def _convolution(stage: Stage, node: Node, places: _Places) -> str:
    options = node.options
    if stage.is_winograd:
        numbers = _list((*stage.sources[0], stage.made[0], *margins(node).own, _bool("bias" in node.tensors)))
        return f"WinogradConvolution<{numbers}>>({places.parameters_of(node)})"
    steps = (*pair(options["stride"]), *margins(node).own, *pair(options["dilation"]), options["groups"])
    numbers = _list((*stage.sources[0], stage.made[0], *options["kernel_size"], *steps))
    return f"Convolution<{numbers}, {_bool('bias' in node.tensors)}>>({places.parameters_of(node)})"


def _linear(stage: Stage, node: Node, places: _Places) -> str:
    channels, height, width = stage.sources[0]
    numbers = _list((channels * height * width, stage.made[0], _bool("bias" in node.tensors)))
    return f"Linear<{numbers}>>({places.parameters_of(node)})"


def _combine(stage: Stage, node: Node, _: _Places) -> str:
    gate = stage.sources[0] != stage.sources[1]
    return f"Combine<{_bool(node.kind == 'multiply')}, {_bool(gate)}, {_list(stage.made)}>>()"


def _norm(stage: Stage, node: Node, places: _Places) -> str:
    groups = node.options.get("num_groups", 1)
    kinds = _list((*stage.made, groups, _bool(node.kind == "layer_norm")))
    return f"GroupNorm<{kinds}>>({places.parameters_of(node)}, {float(node.options['eps'])!r})"


def _prelu(stage: Stage, node: Node, places: _Places) -> str:
    each = places.parameters[node.tensors["weight"]].numel() > 1
    return f"PRelu<{_list(stage.made)}, {_bool(each)}>>({places.parameter(node, 'weight')})"


def _pad(stage: Stage, _: Node, __: _Places) -> str:
    assert stage.margin
    return f"Pad<{_list((*stage.sources[0], *stage.margin, *stage.made[1:]))}>>()"


def _pool(stage: Stage, _: Node, __: _Places) -> str:
    pool = stage.window
    assert pool
    kinds = f"{_bool(pool.maximum)}, {_list((*stage.sources[0], *pool.size))}"
    return f"WindowPool<{kinds}>>({_list(pool.step)}, {_windows(pool.rows)}, {_windows(pool.columns)})"


def _plain(name: str) -> Callable[..., str]:
    return lambda stage, *_: f"{name}<{_list(stage.made)}>>()"


OPERATIONS: dict[str, Callable[..., str]] = {
    "convolution": _convolution,
    "linear": _linear,
    "add": _combine,
    "multiply": _combine,
    "concatenate": _plain("Concatenate"),
    "layer_norm": _norm,
    "group_norm": _norm,
    "prelu": _prelu,
    "softmax": _plain("Softmax"),
    "dropout2d": lambda stage, node, _: f"ChannelDropout<{_list(stage.made)}>>({_dropout(stage, '', node)})",
    "pool": _pool,
    "copy": _plain("Copy"),
    "reshape": _plain("Reshape"),
    "pad": _pad,
}

# The C++ of each activation, and its options.
ACTIVATIONS = {
    "relu": ("Relu", ()),
    "relu6": ("Relu6", ()),
    "leaky_relu": ("LeakyRelu", ("negative_slope",)),
    "elu": ("Elu", ("alpha",)),
    "sigmoid": ("Sigmoid", ()),
    "silu": ("Silu", ()),
    "tanh": ("Tanh", ()),
    "gelu": ("Gelu", ()),
    "hardswish": ("Hardswish", ()),
    "hardsigmoid": ("Hardsigmoid", ()),
    "softplus": ("Softplus", ("beta", "threshold")),
    "affine": ("Affine", ("factor", "offset")),
}


def _tail(stage: Stage, places: _Places) -> str:
    activation, value = _activation(stage.tail.get("activation"))
    has = {slot: _bool(slot in stage.tail) for slot in ("norm", "inner_dropout", "outer_dropout")}
    kinds = (
        f"{_list(stage.made)}, {has['norm']}, {activation}, {has['inner_dropout']}, {_fused_pool(stage.pooled)}, "
        f"{has['outer_dropout']}"
    )
    dropouts = [_dropout(stage, slot, stage.tail.get(slot)) for slot in ("inner_dropout", "outer_dropout")]
    values = [_batch_norm(stage.tail.get("norm"), places), value, *dropouts]
    return f"std::make_unique<FusedTail<{kinds}>>({', '.join(values)})"


def _activation(node: Node | None) -> tuple[str, str]:
    name, options = ACTIVATIONS[node.kind] if node else ("Same", ())
    if node and node.options.get("approximate") == "tanh":
        name = "GeluTanh"
    values = _list(f"Scalar({float(node.options[option])!r})" for option in options) if node else ""
    return name, f"{name}{{{values}}}"


def _fused_pool(pool: Pooling | None) -> str:
    if pool is None:
        return "NoPool"
    return f"Pool<Pooling::{'maximum' if pool.maximum else 'average'}, {_list((*pool.kernel, *pool.stride))}>"


def _batch_norm(node: Node | None, places: _Places) -> str:
    if node is None:
        return "BatchNorm{}"
    statistics = _list((places.buffer(node, "running_mean"), places.buffer(node, "running_var")))
    momentum, seen = node.options["momentum"], -1
    if momentum is None:
        momentum, seen = 0, places.batches_seen(node)
    return f"BatchNorm{{{places.parameters_of(node)}, {statistics}, {node.options['eps']!r}, {momentum!r}, {seen}}}"


def _dropout(stage: Stage, slot: str, node: Node | None) -> str:
    return f"Dropout({stage.masks[slot]}, {round(node.options['p'] * MASK_LEVELS)})" if node else "Dropout()"


def _windows(windows: tuple[Window, ...]) -> str:
    values = _list(f"Window{{{_list(window)}}}" for window in windows)
    return f"std::array<Window, {len(windows)}>{{{values}}}"


def _list(numbers: Iterable[int | str]) -> str:
    return ", ".join(map(str, numbers))


def _array(values: tuple[float, ...]) -> str:
    return f"(const double[{len(values)}]){{{', '.join(repr(float(value)) for value in values)}}}"


def _bool(value: bool) -> str:
    return "true" if value else "false"
