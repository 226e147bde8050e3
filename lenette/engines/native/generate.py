"""Write the C++ that instantiates the kernels for a network's shapes."""

from collections.abc import Iterable
from math import prod

from torch import Tensor, nn

from lenette.engines.native.stages import Stage, pair, read
from lenette.errors import UnsupportedByEngine
from lenette.plan import MASK_LEVELS

Shape = tuple[int, int, int]  # channels, height, width


def source_of(model: nn.Module, image_shape: Shape, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """Return the C++ of the network for images of that shape, normalised so.

    Raises:
        UnsupportedByEngine: a layer is unknown to the engine, or doesn't fit its input.
    """
    buffers = ((name, value) for name, value in model.named_buffers() if value.is_floating_point())
    offsets = _offsets(model.named_parameters()) | _offsets(buffers)
    stages = read(model)
    lines = [f"images = std::make_unique<Images<{_list(image_shape)}>>({_array(mean)}, {_array(std)});"]
    shape = image_shape
    for stage in stages:
        operation, shape = _operation(stage, shape, offsets)
        tail, shape = _tail(stage, shape, offsets)
        lines.append(f"stages.push_back({{{operation},\n                      {tail}}});")
    for name, parameter in model.named_parameters():
        # A convolution's threads each sum over their own images; everything else is summed over the batch at once.
        chunked = isinstance(model.get_submodule(name.rpartition(".")[0]), nn.Conv2d)
        lines.append(f"parameters.push_back({{{offsets[name]}, {parameter.numel()}, {_bool(chunked)}}});  // {name}")
    lines.append(f"num_dropouts = {sum(len(stage.masks) for stage in stages)};")
    body = "\n".join(f"    {line}" for line in lines)
    return f'#include "network.hpp"\n\nvoid lenette::Network::build() {{\n{body}\n}}\n'


def _offsets(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, int]:
    offsets, end = {}, 0
    for name, tensor in tensors:
        offsets[name] = end
        end += tensor.numel()
    return offsets


def _operation(stage: Stage, shape: Shape, offsets: dict[str, int]) -> tuple[str, Shape]:
    layer = stage.operation
    where = f"{offsets.get(f'{stage.name}.weight', -1)}, {offsets.get(f'{stage.name}.bias', -1)}"
    match layer:
        case nn.Conv2d():
            _require(stage.name, shape[0], layer.in_channels)
            (kh, kw), stride = pair(layer.kernel_size), layer.stride[0]
            ph, pw = pair(layer.padding)
            spans = [(k - 1) * layer.dilation[0] + 1 for k in (kh, kw)]
            height, width = (s + 2 * p - k for s, p, k in zip(shape[1:], (ph, pw), spans, strict=True))
            out = (layer.out_channels, height // stride + 1, width // stride + 1)
            numbers = (*shape, layer.out_channels, kh, kw, stride, ph, pw, layer.dilation[0], layer.groups)
            code = f"Convolution<{_list(numbers)}, {_bool(layer.bias is not None)}>>({where})"
        case nn.Linear():
            _require(stage.name, prod(shape), layer.in_features)
            out = (layer.out_features, 1, 1)
            code = f"Linear<{layer.in_features}, {layer.out_features}, {_bool(layer.bias is not None)}>>({where})"
        case _:
            out = shape
            code = f"Copy<{_list(shape)}>>()"
    if min(out) < 1:
        raise UnsupportedByEngine(f"layer '{stage.name}' doesn't fit its input of {shape} (channels, height, width)")
    return f"std::make_unique<{code}", out


def _tail(stage: Stage, shape: Shape, offsets: dict[str, int]) -> tuple[str, Shape]:
    name, pool = stage.tail.get("pool", ("", None))
    kind, sizes = "none", (1, 1, 1, 1)
    match pool:
        case nn.AdaptiveAvgPool2d():
            kind, sizes = "average", (*shape[1:], *shape[1:])
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = "maximum" if isinstance(pool, nn.MaxPool2d) else "average"
            sizes = (*pair(pool.kernel_size), *pair(pool.stride))
    out = (shape[0], (shape[1] - sizes[0]) // sizes[2] + 1, (shape[2] - sizes[1]) // sizes[3] + 1)
    if min(out) < 1:
        raise UnsupportedByEngine(f"layer '{name}' doesn't fit its input of {shape} (channels, height, width)")
    activation = type(stage.tail["activation"][1]).__name__.lower() if "activation" in stage.tail else "none"
    has = {slot: _bool(slot in stage.tail) for slot in ("norm", "inner_dropout", "outer_dropout")}
    kinds = (
        f"{_list(shape)}, {has['norm']}, Activation::{activation}, {has['inner_dropout']}, "
        f"Pool<Pooling::{kind}, {_list(sizes)}>, {has['outer_dropout']}"
    )
    values = [_norm(stage, shape, offsets), _dropout(stage, "inner_dropout"), _dropout(stage, "outer_dropout")]
    return f"std::make_unique<FusedTail<{kinds}>>({', '.join(values)})", out


def _norm(stage: Stage, shape: Shape, offsets: dict[str, int]) -> str:
    if "norm" not in stage.tail:
        return "BatchNorm{}"
    name, layer = stage.tail["norm"]
    assert isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d)
    _require(name, shape[0], layer.num_features)
    where = (offsets.get(f"{name}.{key}", -1) for key in ("weight", "bias", "running_mean", "running_var"))
    return f"BatchNorm{{{_list(where)}, {layer.eps!r}, {layer.momentum!r}}}"


def _dropout(stage: Stage, slot: str) -> str:
    if slot not in stage.tail:
        return "Dropout()"
    layer = stage.tail[slot][1]
    assert isinstance(layer, nn.Dropout)
    return f"Dropout({stage.masks[slot]}, {round(layer.p * MASK_LEVELS)})"


def _require(name: str, got: int, wanted: int) -> None:
    if got != wanted:
        raise UnsupportedByEngine(
            f"layer '{name}' wants {wanted} inputs and gets {got}: the network doesn't fit its images"
        )


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _array(values: tuple[float, ...]) -> str:
    return f"(const double[{len(values)}]){{{', '.join(repr(float(value)) for value in values)}}}"


def _bool(value: bool) -> str:
    return "true" if value else "false"
