"""Receptive fields: what one value of each node of a graph depends on.

The arithmetic is that of Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks"
(Distill, 2019). A value that depends on several nodes has the largest of their fields.
"""

from typing import Any, NamedTuple

from lenette.models.graph import Graph, Node

Pair = tuple[int, int]


class Field(NamedTuple):
    """What one value of a map depends on: (height, width) each.

    `size` in input pixels, `jump` between neighbours in input pixels, `extent` of the map in values: it stays known
    after the map is flattened, because the layer that then takes all values together sees all of them.
    """

    size: Pair
    jump: Pair
    extent: Pair


def fields(found: Graph) -> list[Field | None]:
    """Return each node's field, None where it isn't known."""
    known: list[Field | None] = []
    for node in found.nodes:
        sources = [field for place in node.inputs if (field := known[place])]
        field = _through(node, found, _merged(sources)) if sources else None
        if node.kind == "input" and len(node.shape) == 3:
            field = Field((1, 1), (1, 1), node.shape[1:])
        if field and len(node.shape) == 3:
            field = field._replace(extent=node.shape[1:])
        known.append(field)
    return known


def side(pair: Pair | None) -> int | list[int] | None:
    """Return (3, 3) as 3 and (3, 5) as [3, 5]."""
    return None if pair is None else pair[0] if pair[0] == pair[1] else list(pair)


def _through(node: Node, found: Graph, field: Field) -> Field | None:
    options = node.options
    match node.kind:
        case "convolution":
            return _slid(field, options["kernel_size"], options["stride"], options["dilation"])
        case "max_pool" | "average_pool":
            stride = options["stride"] or options["kernel_size"]
            return _slid(field, options["kernel_size"], stride, options.get("dilation", 1))
        case "adaptive_average_pool":
            return _covered(field) if _pair(options["output_size"]) == (1, 1) else None
        case "linear" | "layer_norm" | "group_norm":
            return _covered(field)
    return field


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


def _merged(found: list[Field]) -> Field:
    def largest(pairs: list[Pair]) -> Pair:
        return max(height for height, _ in pairs), max(width for _, width in pairs)

    return Field(*(largest([getattr(field, name) for field in found]) for name in Field._fields))


def _pair(value: Any) -> Pair:
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]
