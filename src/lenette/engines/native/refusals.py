"""What the native engine's kernels don't know, refused by name."""

from math import prod

from torch import nn

from lenette.errors import UnsupportedByEngine
from lenette.models.graph import Node
from lenette.models.windows import pooling

MAP, FLAT = "an image", "flat"

# What a node may be given; the rest takes either.
WANTED = {
    **dict.fromkeys(("convolution", "max_pool", "average_pool", "adaptive_average_pool", "dropout2d"), (MAP,)),
    "linear": (FLAT,),
    **dict.fromkeys(("batch_norm", "group_norm", "prelu", "softmax", "concatenate"), (MAP, FLAT)),
}


def where(node: Node) -> str:
    """Return the node in words."""
    if node.layer:
        return f"layer '{node.name}' ({node.layer})"
    return f"'{node.name}' at {node.line}" if node.line else f"'{node.name}'"


def refusal(node: Node, what: str = "") -> UnsupportedByEngine:
    """Return the error that names the node."""
    words = f"the native engine doesn't know {where(node)} {what}".rstrip()
    return UnsupportedByEngine(f"{words}: use the reference engine")


def require(node: Node, shapes: list[tuple[int, ...]]) -> None:
    """Return if the kernels know the node over inputs of these shapes.

    Raises:
        UnsupportedByEngine: they don't.
    """
    for shape in shapes:
        given = {3: MAP, 1: FLAT}.get(len(shape), f"of {len(shape) + 1} dimensions")
        wanted = WANTED.get(node.kind, (given,))
        if given not in wanted:
            raise refusal(node, f"on what is {given}, not {' or '.join(wanted)}")
    if odd := _odd(node, shapes):
        raise refusal(node, odd)


def _odd(node: Node, shapes: list[tuple[int, ...]]) -> str:
    """Return what is odd about the node, in words, or ""."""
    options, tensors = node.options, node.tensors
    odd: dict[str, bool] = {"that goes on in evaluation": options.get("always", False)}
    match node.kind:
        case "convolution":
            odd = {f"padding_mode = {options['padding_mode']!r}": options["padding_mode"] != "zeros"}
        case "batch_norm":
            odd["track_running_stats = False"] = not tensors.keys() >= {"running_mean", "running_var"}
            odd["momentum = None"] = options["momentum"] is None and not node.layer
        case "layer_norm":
            size = list(options["normalized_shape"])
            odd = {f"normalized_shape = {size} of {list(shapes[0])}": prod(size) != prod(shapes[0])}
        case "softmax":
            odd = {f"dim = {options['dim']}": options["dim"] != 1}
        case "max_pool":
            found = pooling(node, shapes[0])
            odd = {"whose windows may miss the map": not all(one.taps for one in (*found.rows, *found.columns))}
        case "add" | "multiply":
            small, large = sorted(shapes, key=prod)
            is_gate = len(small) == len(large) == 3 and small == (large[0], 1, 1)
            odd = {f"of {list(shapes[0])} and {list(shapes[1])}": small != large and not is_gate}
    return next((words for words, is_odd in odd.items() if is_odd), "")


def require_tensors(model: nn.Module, nodes: list[Node]) -> None:
    """Return if all weights are parameters, and nothing hangs on the network that the kernels would pass over.

    Raises:
        UnsupportedByEngine: they aren't.
    """
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    seen: dict[str, Node] = {}
    for node in nodes:
        for role, name in node.tensors.items():
            held, kind = (buffers, "buffer") if role.startswith("running_") else (parameters, "parameter")
            if name not in held:
                raise refusal(node, f"whose {role} '{name}' is no {kind}")
            if node.kind == "batch_norm" and node.options["momentum"] is None and seen.setdefault(name, node) != node:
                raise refusal(node, "momentum = None, used a second time")
    for name, module in model.named_modules():
        if module._backward_hooks or module._backward_pre_hooks:
            raise UnsupportedByEngine(
                f"the native engine doesn't know layer '{name}' ({type(module).__name__}) with hooks: "
                "use the reference engine"
            )
    for name, parameter in parameters.items():
        if parameter._backward_hooks:
            raise UnsupportedByEngine(
                f"the native engine doesn't know parameter '{name}' with hooks: use the reference engine"
            )
