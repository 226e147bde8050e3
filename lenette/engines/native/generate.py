"""Read a plain PyTorch network as stages, and write the C++ that instantiates the kernels for its shapes."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

from torch import nn

from lenette.errors import UnsupportedByEngine
from lenette.plan import MASK_LEVELS
from lenette.recipes import Recipe

Shape = tuple[int, int, int]  # channels, height, width
# What a tail may hold, in this order; anything in another order starts a new stage with a plain copy.
SLOTS = ("norm", "activation", "inner_dropout", "pool", "outer_dropout")
LAYERS = (
    "Conv2d, Linear, BatchNorm2d, BatchNorm1d after Linear, ReLU, Sigmoid, Dropout, MaxPool2d, AvgPool2d, "
    "AdaptiveAvgPool2d(1), Flatten, Identity"
)


@dataclass
class Stage:
    """One operation (a convolution, a linear layer, None for a plain copy) and the tail that follows it."""

    operation: nn.Module | None
    name: str
    tail: dict[str, Any] = field(default_factory=dict)

    def takes(self, slot: str) -> bool:
        return all(SLOTS.index(slot) > SLOTS.index(filled) for filled in self.tail)


def supports(model: nn.Module, recipe: Recipe) -> None:
    """Return if the native engine can train the network by that recipe.

    Raises:
        UnsupportedByEngine: a layer or field, which is named, is unknown to it.
    """
    if recipe.precision != "float32":
        raise UnsupportedByEngine(f"the native engine doesn't know precision = '{recipe.precision}': use 'float32'")
    read_stages(model)


def read_stages(model: nn.Module) -> list[Stage]:
    """Return the network's stages.

    Raises:
        UnsupportedByEngine: a layer, which is named, is unknown to the engine.
    """
    stages: list[Stage] = []
    flat = False
    num_dropouts = 0
    for name, layer in _layers(model):
        _refuse_oddities(name, layer)
        match layer:
            case nn.Identity():
                continue
            case nn.Flatten():
                flat = True
                continue
            case nn.Conv2d() if flat:
                raise _unsupported(name, layer, "after Flatten")
            case nn.Linear() if not flat:
                raise _unsupported(name, layer, "without Flatten before it")
            case nn.Conv2d() | nn.Linear():
                stages.append(Stage(layer, name))
                continue
            case nn.BatchNorm2d() | nn.BatchNorm1d():
                slot, value = "norm", (name, layer)
            case nn.ReLU():
                slot, value = "activation", "relu"
            case nn.Sigmoid():
                slot, value = "activation", "sigmoid"
            case nn.Dropout():
                fits = stages and stages[-1].takes("inner_dropout")
                slot, value = "inner_dropout" if fits or not stages else "outer_dropout", (num_dropouts, layer.p)
                num_dropouts += 1
            case _:
                slot, value = "pool", layer
        if not stages or not _place(stages[-1], slot):
            stages.append(Stage(None, name))
            slot = "inner_dropout" if slot == "outer_dropout" else slot
        stages[-1].tail[slot] = value
    if not flat:
        raise UnsupportedByEngine("the native engine wants a network that ends flat, with [N, classes]: end it with Flatten")
    if not any(stage.operation for stage in stages):
        raise UnsupportedByEngine("the native engine finds neither a Conv2d nor a Linear layer in the network")
    return stages


def _place(stage: Stage, slot: str) -> bool:
    # Max-pool and ReLU give the same in either order.
    if slot == "activation" and isinstance(stage.tail.get("pool"), nn.MaxPool2d):
        return not stage.tail.keys() - {"norm", "pool"}
    return stage.takes(slot)


def _layers(model: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    if type(model) is not nn.Sequential:
        return [(prefix or "the network", model)]
    return [
        pair for name, child in model.named_children() for pair in _layers(child, f"{prefix}.{name}" if prefix else name)
    ]


def _refuse_oddities(name: str, layer: nn.Module) -> None:
    """Raise UnsupportedByEngine for a layer, or an option of it, that the kernels don't know."""
    odd: dict[str, bool]
    match layer:
        case nn.Conv2d():
            odd = {
                "groups": layer.groups != 1,
                "dilation": layer.dilation != (1, 1),
                "stride": layer.stride[0] != layer.stride[1],
                "padding_mode": layer.padding_mode != "zeros",
                "padding": isinstance(layer.padding, str)
                or any(p >= k for p, k in zip(layer.padding, layer.kernel_size, strict=True)),
            }
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            odd = {"momentum": layer.momentum is None, "track_running_stats": not layer.track_running_stats}
        case nn.MaxPool2d():
            odd = {
                "padding": _pair(layer.padding) != (0, 0),
                "dilation": _pair(layer.dilation) != (1, 1),
                "ceil_mode": layer.ceil_mode,
                "return_indices": layer.return_indices,
            }
        case nn.AvgPool2d():
            odd = {
                "padding": _pair(layer.padding) != (0, 0),
                "ceil_mode": layer.ceil_mode,
                "divisor_override": layer.divisor_override is not None,
            }
        case nn.AdaptiveAvgPool2d():
            odd = {"output_size": _pair(layer.output_size) != (1, 1)}
        case nn.Flatten():
            odd = {"start_dim": layer.start_dim != 1, "end_dim": layer.end_dim != -1}
        case _:
            odd = {}
    known = (
        nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.BatchNorm1d, nn.ReLU, nn.Sigmoid, nn.Dropout, nn.MaxPool2d, nn.AvgPool2d,
        nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity,
    )  # fmt: skip
    if type(layer) not in known:
        raise UnsupportedByEngine(
            f"the native engine doesn't know layer '{name}' ({type(layer).__name__}): it knows {LAYERS}, in nn.Sequential"
        )
    for option, is_odd in odd.items():
        if is_odd:
            raise _unsupported(name, layer, f"with {option} = {getattr(layer, option)!r}")
    if layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks:
        raise _unsupported(name, layer, "with hooks")
    if not all(parameter.requires_grad for parameter in layer.parameters()):
        raise _unsupported(name, layer, "with frozen parameters")


def _unsupported(name: str, layer: nn.Module, what: str) -> UnsupportedByEngine:
    return UnsupportedByEngine(
        f"the native engine doesn't know layer '{name}' ({type(layer).__name__}) {what}: use the reference engine"
    )


def _pair(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


def source_of(model: nn.Module, image_shape: Shape, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """Return the C++ of the network for images of that shape, normalised so.

    Raises:
        UnsupportedByEngine: a layer is unknown to the engine, or doesn't fit its input.
    """
    offsets = _offsets(dict(model.named_parameters())) | _offsets(
        {name: value for name, value in model.named_buffers() if value.is_floating_point()}
    )
    stages = read_stages(model)
    lines = [f"images = std::make_unique<Images<{_list(image_shape)}>>({_array(mean)}, {_array(std)});"]
    shape = image_shape
    for stage in stages:
        operation, shape = _operation(stage, shape, offsets)
        tail, shape = _tail(stage, shape, offsets)
        lines.append(f"stages.push_back({{{operation}, {tail}}});")
    for name, parameter in model.named_parameters():
        # A convolution's threads each sum over their own images; everything else is summed over the batch at once.
        chunked = isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Conv2d)
        lines.append(f"parameters.push_back({{{offsets[name]}, {parameter.numel()}, {_bool(chunked)}}});  // {name}")
    num_dropouts = sum("dropout" in slot for stage in stages for slot in stage.tail)
    lines.append(f"num_dropouts = {num_dropouts};")
    body = "\n".join(f"    {line}" for line in lines)
    return f'#include "network.hpp"\n\nvoid lenette::Network::build() {{\n{body}\n}}\n'


def _offsets(tensors: dict[str, Any]) -> dict[str, int]:
    offsets, end = {}, 0
    for name, tensor in tensors.items():
        offsets[name] = end
        end += tensor.numel()
    return offsets


def _operation(stage: Stage, shape: Shape, offsets: dict[str, int]) -> tuple[str, Shape]:
    layer = stage.operation
    where = f"{offsets.get(stage.name + '.weight', -1)}, {offsets.get(stage.name + '.bias', -1)}"
    match layer:
        case nn.Conv2d():
            _require(stage.name, shape[0], layer.in_channels)
            assert not isinstance(layer.padding, str)
            kernel, stride, padding = layer.kernel_size, layer.stride[0], layer.padding
            out = (
                layer.out_channels,
                *((size + 2 * p - k) // stride + 1 for size, k, p in zip(shape[1:], kernel, padding, strict=True)),
            )
            numbers = (*shape, layer.out_channels, *kernel, stride, *padding)
            kind = f"Convolution<{_list(numbers)}, {_bool(layer.bias is not None)}>({where})"
        case nn.Linear():
            _require(stage.name, prod(shape), layer.in_features)
            out = (layer.out_features, 1, 1)
            kind = f"Linear<{layer.in_features}, {layer.out_features}, {_bool(layer.bias is not None)}>({where})"
        case _:
            out = shape
            kind = f"Copy<{_list(shape)}>()"
    if min(out) < 1:
        raise UnsupportedByEngine(f"layer '{stage.name}' doesn't fit its input of {shape} (channels, height, width)")
    return f"std::make_unique<{kind.replace('>(', '>>(')}", out


def _tail(stage: Stage, shape: Shape, offsets: dict[str, int]) -> tuple[str, Shape]:
    tail = stage.tail
    norm = "{}"
    if "norm" in tail:
        name, layer = tail["norm"]
        _require(name, shape[0], layer.num_features)
        keys = ("weight", "bias", "running_mean", "running_var")
        where = ", ".join(str(offsets.get(f"{name}.{key}", -1)) for key in keys)
        norm = f"{{{where}, {layer.eps!r}, {layer.momentum!r}}}"
    kind, sizes, out = "none", (1, 1, 1, 1), shape
    match tail.get("pool"):
        case nn.AdaptiveAvgPool2d():
            kind, sizes = "average", (*shape[1:], *shape[1:])
        case nn.MaxPool2d() | nn.AvgPool2d() as pool:
            kind = "maximum" if isinstance(pool, nn.MaxPool2d) else "average"
            sizes = (*_pair(pool.kernel_size), *_pair(pool.stride))
    out = (shape[0], (shape[1] - sizes[0]) // sizes[2] + 1, (shape[2] - sizes[1]) // sizes[3] + 1)
    if min(out) < 1:
        raise UnsupportedByEngine(f"the pool after layer '{stage.name}' doesn't fit its input of {shape}")
    arguments = [norm, _dropout(tail.get("inner_dropout")), _dropout(tail.get("outer_dropout"))]
    kinds = (
        f"{_list(shape)}, {_bool('norm' in tail)}, Activation::{tail.get('activation', 'none')}, "
        f"{_bool('inner_dropout' in tail)}, Pool<Pooling::{kind}, {_list(sizes)}>, {_bool('outer_dropout' in tail)}"
    )
    return f"std::make_unique<FusedTail<{kinds}>>(BatchNorm{arguments[0]}, {arguments[1]}, {arguments[2]})", out


def _dropout(dropout: tuple[int, float] | None) -> str:
    return f"Dropout({dropout[0]}, {round(dropout[1] * MASK_LEVELS)})" if dropout else "Dropout()"


def _require(name: str, got: int, wanted: int) -> None:
    if got != wanted:
        raise UnsupportedByEngine(f"layer '{name}' wants {wanted} inputs and gets {got}: the network doesn't fit its images")


def _list(numbers: Any) -> str:
    return ", ".join(map(str, numbers))


def _array(values: tuple[float, ...]) -> str:
    return f"(const double[{len(values)}]){{{', '.join(map(repr, map(float, values)))}}}"


def _bool(value: bool) -> str:
    return "true" if value else "false"
