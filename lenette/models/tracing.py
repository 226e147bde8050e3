"""Receptive fields and multiply-accumulates of whatever a forward pass computes, called as a layer or as a function."""

from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Pair = tuple[int, int]


class Field(NamedTuple):
    """What one value of a tensor depends on: (height, width) each.

    `size` in input pixels, `jump` between neighbours in input pixels, `extent` of the tensor's map in values: it stays
    known after the map is flattened, because the layer that then takes all values together sees all of them.
    """

    size: Pair
    jump: Pair
    extent: Pair


class Tracer(TorchDispatchMode):
    """Follow each tensor's Field through every operation, and count the products between `open` and `close`.

    The arithmetic of the fields is that of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural
    Networks" (Distill, 2019). A value that depends on several tensors has the largest of their fields.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fields: dict[int, Field] = {}
        self._alive: list[torch.Tensor] = []  # an id is only as good as its tensor is alive
        self._products: list[int] = []
        self.latest: list[int] = []  # shape of what the last operation gave

    def start(self, images: torch.Tensor) -> None:
        """Give the input, float [N, C, H, W] or any other shape, its own pixels as fields."""
        self.latest = list(images.shape)
        if images.ndim == 4:
            height, width = images.shape[-2:]
            self._keep(images, Field((1, 1), (1, 1), (height, width)))

    def open(self) -> None:
        self._products.append(0)

    def close(self) -> int:
        """Return the multiply-accumulates since the matching `open`, without those of inner pairs."""
        return self._products.pop()

    def field(self, tensor: torch.Tensor | None) -> Field | None:
        return None if tensor is None else self._fields.get(id(tensor))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        outputs = _tensors(result)
        if outputs:
            self.latest = list(outputs[0].shape)
        if self._products:
            self._products[-1] += _products(name, args, result)
        sources = [field for tensor in _tensors(args) if (field := self.field(tensor))]
        if sources:
            field = _through(name, args, _merged(sources))
            for tensor in outputs:
                if field and tensor.ndim == 4:
                    field = field._replace(extent=(tensor.shape[-2], tensor.shape[-1]))
                if field:
                    self._keep(tensor, field)
        return result

    def _keep(self, tensor: torch.Tensor, field: Field) -> None:
        self._fields[id(tensor)] = field
        self._alive.append(tensor)


def _through(name: str, args: Any, field: Field) -> Field | None:
    """Return the field after one operation, None where it isn't known."""
    if name == "convolution":
        _, weight, _, stride, _, dilation, transposed = args[:7]
        if transposed or weight.ndim != 4:
            return None
        return _slid(field, weight.shape[-2:], stride, dilation)
    if name in {"max_pool2d_with_indices", "avg_pool2d"}:
        kernel = args[1]
        stride = args[2] if len(args) > 2 and args[2] else kernel
        dilation = args[4] if name.startswith("max") and len(args) > 4 else [1]
        return _slid(field, kernel, stride, dilation)
    if name in {"_adaptive_avg_pool2d", "adaptive_max_pool2d"}:
        return _covered(field) if all(side == 1 for side in args[1]) else None
    if name in {"mean", "sum", "amax"} and args[0].ndim == 4 and len(args) > 1:
        dims = {dim % 4 for dim in args[1] or range(4)}
        return _covered(field) if {2, 3} <= dims else None if dims & {2, 3} else field
    return _covered(field) if name in {"mm", "addmm", "bmm", "baddbmm"} else field


def _slid(field: Field, kernel: Any, stride: Any, dilation: Any) -> Field:
    kernel, stride, dilation = _pair(kernel), _pair(stride), _pair(dilation)
    size = [s + (k - 1) * d * j for s, k, d, j in zip(field.size, kernel, dilation, field.jump, strict=True)]
    jump = [j * step for j, step in zip(field.jump, stride, strict=True)]
    return field._replace(size=_pair(size), jump=_pair(jump))


def _covered(field: Field) -> Field:
    """Return the field of a value that depends on the whole map."""
    size = [s + (e - 1) * j for s, e, j in zip(field.size, field.extent, field.jump, strict=True)]
    jump = [e * j for e, j in zip(field.extent, field.jump, strict=True)]
    return Field(_pair(size), _pair(jump), (1, 1))


def _merged(fields: list[Field]) -> Field:
    def largest(pairs: list[Pair]) -> Pair:
        return max(height for height, _ in pairs), max(width for _, width in pairs)

    return Field(
        largest([field.size for field in fields]),
        largest([field.jump for field in fields]),
        largest([field.extent for field in fields]),
    )


def _products(name: str, args: Any, result: Any) -> int:
    if name == "convolution":
        images, weight, transposed = args[0], args[1], args[6]
        return (images if transposed else result).numel() * weight[0].numel()
    if name in {"mm", "bmm"}:
        return result.numel() * args[0].shape[-1]
    if name in {"addmm", "baddbmm"}:
        return result.numel() * args[1].shape[-1]
    return 0


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, list | tuple) else []


def _pair(value: Any) -> Pair:
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]
