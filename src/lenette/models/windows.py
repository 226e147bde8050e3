"""Where the windows of pools and the margins of convolutions lie."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from lenette.models.graph import Node

Pair = tuple[int, int]


class Window(NamedTuple):
    """What a pool covers along one side of a map: `taps` values from `start`; a mean is their sum over `divisor`."""

    start: int
    taps: int
    divisor: int


@dataclass(frozen=True)
class Pooling:
    """A pool of one map: its windows' `kernel` and `stride`, the `step` between the values of one, and all windows."""

    maximum: bool
    kernel: Pair
    stride: Pair
    step: Pair
    rows: tuple[Window, ...]
    columns: tuple[Window, ...]
    shape: Pair  # of the map that is pooled

    @property
    def size(self) -> Pair:
        """The height and width of the result."""
        return len(self.rows), len(self.columns)

    @property
    def is_plain(self) -> bool:
        """Whether all windows are whole, and as many as fit."""
        sides = zip((self.rows, self.columns), self.kernel, self.stride, self.step, self.shape, strict=True)
        return all(
            step == 1
            and len(windows) == (side - kernel) // stride + 1
            and all(window == (place * stride, kernel, kernel) for place, window in enumerate(windows))
            for windows, kernel, stride, step, side in sides
        )


def pooling(node: Node, shape: tuple[int, ...]) -> Pooling:
    """Return the windows of a pool's node over a map of that shape [C, H, W], by PyTorch's rules."""
    sides = shape[1], shape[2]
    if node.kind == "adaptive_average_pool":
        rows, columns = (
            tuple(_adaptive(place, side, size) for place in range(size))
            for side, size in zip(sides, node.shape[1:] or (1, 1), strict=True)
        )  # a mean over the map leaves no sides
        return Pooling(False, sides, sides, (1, 1), rows, columns, sides)
    options, maximum = node.options, node.kind == "max_pool"
    kernel = pair(options["kernel_size"])
    stride, padding = pair(options["stride"] or kernel), pair(options["padding"])
    step = pair(options.get("dilation", 1))
    include, override = options.get("count_include_pad", False), options.get("divisor_override")

    def window(axis: int, place: int) -> Window:
        start, end = place * stride[axis] - padding[axis], sides[axis] + padding[axis]
        taps = range(start, min(start + kernel[axis] * step[axis], end), step[axis])
        inside = [tap for tap in taps if 0 <= tap < sides[axis]]
        divisor = len(taps) if include else len(inside)
        return Window(inside[0] if inside else 0, len(inside), (override, 1)[axis] if override else divisor)

    rows, columns = (tuple(window(axis, place) for place in range(node.shape[1 + axis])) for axis in (0, 1))
    return Pooling(maximum, kernel, stride, step, rows, columns, sides)


def _adaptive(place: int, side: int, size: int) -> Window:
    start, end = place * side // size, -(-(place + 1) * side // size)
    return Window(start, end - start, end - start)


class Margins(NamedTuple):
    """A convolution's padding: `own` (height, width) on both sides, and `more` (top, bottom, left, right) before it."""

    own: Pair
    more: tuple[int, int, int, int]

    @property
    def all(self) -> tuple[int, int, int, int]:
        """All of it: (top, bottom, left, right)."""
        (rows, columns), (top, bottom, left, right) = self
        return rows + top, rows + bottom, columns + left, columns + right


def margins(node: Node) -> Margins:
    """Return a convolution's padding; its own is less than what the kernel spans, and the same on both sides."""
    options, own, more = node.options, [], []
    for axis in (0, 1):
        reach = (options["kernel_size"][axis] - 1) * pair(options["dilation"])[axis]
        padding = options["padding"]
        if padding == "same":
            before, after = reach // 2, reach - reach // 2
        else:
            before = after = 0 if padding == "valid" else pair(padding)[axis]
        own.append(min(before, after, reach))
        more += [before - own[-1], after - own[-1]]
    return Margins((own[0], own[1]), (more[0], more[1], more[2], more[3]))


def pair(value: Any) -> Pair:
    """Return an option, one number or two, as two."""
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]
