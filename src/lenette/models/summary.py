"""What a network is made of, row by row: its graph's nodes; where it has no graph, its layers in one forward pass."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from lenette.chance import planned
from lenette.models.advice import advice
from lenette.models.copies import copied
from lenette.models.fields import fields, side
from lenette.models.graph import Graph, Node, NotAGraph, graph

BYTES = 4  # of a float32
BATCH = 2  # images in the pass: two, so that a layer which mixes up images and features shows
VIEWS = (nn.Flatten, nn.Unflatten, nn.Identity)  # give back their input's memory


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters, those of layers that forward never uses included."""
    return sum(parameter.numel() for parameter in _known(model.parameters()) if parameter.requires_grad)


def num_bytes(state: Mapping[str, torch.Tensor]) -> int:
    """Return the bytes of all weights and buffers, those of a `state_dict()`."""
    return sum(value.numel() * value.element_size() for value in state.values())


def summary(model: nn.Module, input_shape: Sequence[int]) -> dict[str, Any]:
    """Return what the network does to images of `input_shape` [C, H, W], operation by operation, of plain values.

    The result holds `input_shape`, `output_shape` (None if it broke), `rows`, `totals`, `unused` (names of layers that
    don't reach the output), `error` (None, or `layer`, `message` and `advice`; the rows then end before that layer),
    and `why_no_graph`: "" where the rows are the nodes of its graph, else why it has none; they are then its layers.

    Shapes are those of one image. `parameters` of a layer used twice are counted once; `trainable` is None where there
    are none. `multiply_accumulates` are those of convolutions and matrix products, of one image, None where they could
    not be counted. `receptive_field` is the side in input pixels that one output value depends on, `jump` the distance
    between neighbours' (lists [height, width] where these differ, None where unknown or no map); a field may reach
    beyond the image, into the padding.

    Bytes: `input_bytes` one image; `parameter_bytes` all parameters; `forward_backward_bytes` twice the outputs of
    the layers for one image, once for the values and once for their gradients, without those of functions and those
    that are their input's own memory (flatten, in-place layers); `total_bytes` their sum.
    """
    model = copied(model)  # a forward pass may leave its mark
    walk = _Walk(model)
    first = next(_known(model.parameters()), None)
    device, dtype = (first.device, first.dtype) if first is not None else (None, None)
    images = torch.zeros(BATCH, *input_shape, device=device, dtype=dtype)
    tensor, error = walk.forward(images)
    try:
        rows, why = _graph_rows(model, graph(model, input_shape)), ""
    except NotAGraph as reason:
        rows, why = walk.rows, "" if error else str(reason)
        if not error:
            _count_products(model, images, rows)
    totals = {
        "parameters": sum(parameter.numel() for parameter in _known(model.parameters())),
        "trainable_parameters": count_parameters(model),
        "multiply_accumulates": sum(row["multiply_accumulates"] or 0 for row in rows),
        "input_bytes": images[0].numel() * images.element_size(),
        "parameter_bytes": sum(p.numel() * p.element_size() for p in _known(model.parameters())),
        "forward_backward_bytes": 2 * sum(row["output_bytes"] for row in rows),
    }
    totals["total_bytes"] = totals["input_bytes"] + totals["parameter_bytes"] + totals["forward_backward_bytes"]
    return {
        "input_shape": list(input_shape),
        "output_shape": None if error or tensor is None else list(tensor.shape[1:]),
        "rows": rows,
        "totals": totals,
        "unused": [] if error else walk.unused(tensor),
        "error": error,
        "why_no_graph": why,
    }


def _graph_rows(model: nn.Module, found: Graph) -> list[dict[str, Any]]:
    """Return a row for each node but the images."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    counted: set[str] = set()
    rows = []
    for node, field in zip(found.nodes, fields(found), strict=True):
        own = {name: parameters[name] for name in node.tensors.values() if name in parameters}
        if node.kind != "input":
            rows.append(
                {
                    "name": node.name,
                    "type": node.layer or node.kind,
                    "output_shape": list(node.shape),
                    "parameters": sum(value.numel() for name, value in own.items() if name not in counted),
                    "shared": not counted.isdisjoint(own),
                    "trainable": any(value.requires_grad for value in own.values()) if own else None,
                    "multiply_accumulates": _products(node, parameters),
                    "receptive_field": side(field.size) if field else None,
                    "jump": side(field.jump) if field and len(node.shape) == 3 else None,
                    "output_bytes": math.prod(node.shape) * BYTES if node.fresh and node.layer else 0,
                }
            )
        counted.update(own)
    return rows


def _products(node: Node, parameters: Mapping[str, nn.Parameter]) -> int:
    """Return the multiply-accumulates of a node for one image."""
    if node.kind not in ("convolution", "linear"):
        return 0
    weight = parameters[node.tensors["weight"]]
    return math.prod(node.shape) * weight[0].numel()


def _count_products(model: nn.Module, images: torch.Tensor, rows: list[dict[str, Any]]) -> None:
    """Fill in the multiply-accumulates of layers, as torch counts them; those it doesn't know stay None."""
    root = type(model).__name__
    counter = FlopCounterMode(display=False)
    # Attention's fused kernels aren't counted: they serve evaluation, or can be switched off.
    try:
        with planned(), sdpa_kernel(SDPBackend.MATH), counter:
            copied(model).train()(images)
    except Exception:  # it breaks in training mode alone: `require_fit` says so
        return
    counts = {name: sum(found.values()) // (2 * BATCH) for name, found in counter.get_flop_counts().items()}
    weighty = {name or root for name, module in model.named_modules() if _has_matrix(module)}
    seen: set[str] = set()
    for row in rows:
        name = row["name"]
        path = root if name == root else f"{root}.{name}"
        inner = sum(count for other, count in counts.items() if other.rpartition(".")[0] == path)
        products = 0 if name in seen else counts.get(path, 0) - inner
        row["multiply_accumulates"] = None if name in weighty and not products else products
        seen.add(name)


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.ndim > 1 for parameter in _known(module.parameters(recurse=False)))


def format_summary(table: dict[str, Any]) -> str:
    """Return what `summary` found as text for a terminal."""
    header = ("layer", "type", "output", "parameters", "trainable", "multiply-acc.", "field", "jump")
    lines = [header] + [
        (
            row["name"],
            row["type"],
            times(row["output_shape"]),
            f"{row['parameters']:,}" + (" (shared)" if row["shared"] else ""),
            {True: "yes", False: "no", None: "-"}[row["trainable"]],
            "uncounted" if row["multiply_accumulates"] is None else f"{row['multiply_accumulates']:,}",
            times(row["receptive_field"]),
            times(row["jump"]),
        )
        for row in table["rows"]
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    left = 3  # columns of words, the rest are of numbers
    text = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    totals = table["totals"]
    frozen = totals["parameters"] - totals["trainable_parameters"]
    text = [
        text[0],
        rule,
        *text[1:],
        rule,
        f"input {times(table['input_shape'])}",
        f"parameters {totals['parameters']:,}: {totals['trainable_parameters']:,} trainable, {frozen:,} not",
        f"multiply-accumulates of one image {totals['multiply_accumulates']:,}" + _uncounted(table["rows"]),
        f"memory of one image: input {_bytes(totals['input_bytes'])} + parameters "
        f"{_bytes(totals['parameter_bytes'])} + forward and backward pass "
        f"{_bytes(totals['forward_backward_bytes'])} = {_bytes(totals['total_bytes'])} "
        "(the pass: every layer's output and its gradient)",
    ]
    if table["why_no_graph"]:
        text.append(f"receptive fields and functions between layers are not known: {table['why_no_graph']}")
    if table["unused"]:
        text.append(f"never used by forward, parameters counted all the same: {', '.join(table['unused'])}")
    if table["error"]:
        error = table["error"]
        text.append(f"breaks at {error['layer']}: {error['message']}")
        if error["advice"]:
            text.append(f"  {error['advice']}")
    return "\n".join(text)


def _uncounted(rows: Sequence[dict[str, Any]]) -> str:
    names = [row["name"] for row in rows if row["multiply_accumulates"] is None]
    return f", without those of {', '.join(names)}, which can't be counted" if names else ""


class _Latest(TorchFunctionMode):
    """Note the shape of what the last operation gave."""

    def __init__(self, walk: "_Walk") -> None:
        super().__init__()
        self.walk = walk

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if (tensor := _tensor(result)) is not None:
            self.walk.latest = tensor.shape
        return result


class _Walk:
    """One forward pass under hooks: the rows so far and the modules that are being entered."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.rows: list[dict[str, Any]] = []
        self.latest: torch.Size = torch.Size()
        self.names = {module: name or type(module).__name__ for name, module in model.named_modules()}
        self.inside: list[tuple[nn.Module, tuple[Any, ...]]] = []
        self.called: set[nn.Module] = set()
        self.counted: set[int] = set()
        self.batches: list[int | None] = []

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor | None, dict[str, Any] | None]:
        """Return what the network gives for the images, and what is wrong with it, if anything."""
        output = None
        self.latest = images.shape
        self.model.eval()  # where batch-norm learns nothing from the black images
        with self.hooked(), planned(), torch.enable_grad():
            try:
                with _Latest(self):
                    output = self.model(images)
            except Exception as exception:
                return None, self.error(exception)
        self.adopt()
        tensor = _tensor(output)
        return tensor, self.mixed_up(tensor)

    def adopt(self) -> None:
        """Count parameters that a layer uses of children it doesn't call (attention's last projection) as its own."""
        rows = {row["name"]: row for row in reversed(self.rows)}
        for module, name in self.names.items():
            path = name.rpartition(".")[0]
            while module not in self.called and path and path not in rows:
                path = path.rpartition(".")[0]
            fresh = [value for value in _known(module.parameters(recurse=False)) if id(value) not in self.counted]
            if module not in self.called and path in rows and rows[path]["parameters"]:
                self.counted.update(map(id, fresh))
                rows[path]["parameters"] += sum(value.numel() for value in fresh)

    @contextmanager
    def hooked(self) -> Iterator[None]:
        handles = []
        for module in self.names:
            handles.append(module.register_forward_pre_hook(self._enter))
            handles.append(module.register_forward_hook(self._leave))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.inside.append((module, inputs))

    def _leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.inside.pop()
        again = module in self.called
        self.called.add(module)
        own = list(_known(module.parameters(recurse=False)))
        if next(module.children(), None) is not None and not own:
            return  # a mere container
        tensor = _tensor(output)
        # A layer that changes its output in place hands on its input's memory.
        view = isinstance(module, VIEWS) or getattr(module, "inplace", False)
        fresh = [parameter for parameter in own if id(parameter) not in self.counted]
        self.counted.update(id(parameter) for parameter in own)
        self.batches.append(None if tensor is None else _batch(tensor))
        self.rows.append(
            {
                "name": self.names[module],
                "type": type(module).__name__,
                "output_shape": None if tensor is None else list(tensor.shape[1:]),
                "parameters": sum(parameter.numel() for parameter in fresh),
                "shared": again or len(fresh) < len(own),
                "trainable": any(parameter.requires_grad for parameter in own) if own else None,
                "multiply_accumulates": None,
                "receptive_field": None,
                "jump": None,
                "output_bytes": 0 if view or tensor is None else tensor.numel() * tensor.element_size() // BATCH,
            }
        )

    def error(self, exception: Exception) -> dict[str, Any]:
        message = str(exception).strip().split("\n")[0] or type(exception).__name__
        module, inputs = self.inside[-1] if self.inside else (self.model, ())
        name = self.names[module]
        if next(module.children(), None) is None:
            tensor = _tensor(inputs)
            expected, hint = advice(module, tensor) if tensor is not None else ("", "")
            return {"layer": name, "message": expected or f"{type(module).__name__}: {message}", "advice": hint}
        after = f"after {self.rows[-1]['name']}" if self.rows else "before its first layer"
        shape = self.latest[1:]
        hint = f"at that point an image is {times(shape)} = {math.prod(shape)} values"
        return {"layer": name, "message": f"{type(exception).__name__} in forward, {after}: {message}", "advice": hint}

    def mixed_up(self, output: torch.Tensor | None) -> dict[str, Any] | None:
        """Return the error of a network that gives another number of outputs than it was given images."""
        if output is None or _batch(output) == BATCH:
            return None
        wrong = [row for row, batch in zip(self.rows, self.batches, strict=True) if batch != BATCH]
        name = wrong[0]["name"] if wrong else self.names[self.model]
        return {
            "layer": name,
            "message": f"{BATCH} images went in and {_batch(output)} rows came out: images and features are mixed up",
            "advice": "flatten with nn.Flatten() or x.flatten(1), which keep images apart, not with x.view(-1, ...)",
        }

    def unused(self, output: torch.Tensor | None) -> list[str]:
        """Return the layers that were never called, or whose parameters don't reach the output."""
        parameters = [p for p in _known(self.model.parameters()) if p.requires_grad]
        reached: set[int] = set()
        if output is not None and output.requires_grad and parameters:
            gradients = torch.autograd.grad(output.sum(), parameters, allow_unused=True)
            reached = {id(p) for p, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
        unused = []
        for module, name in self.names.items():
            own = list(_known(module.parameters(recurse=False)))
            trainable = [parameter for parameter in own if parameter.requires_grad]
            leaf = next(module.children(), None) is None
            idle = not any(id(p) in reached for p in trainable) if trainable else leaf and module not in self.called
            if idle and (leaf or trainable):
                unused.append(name)
        return unused


def _known(parameters: Any) -> Iterator[nn.Parameter]:
    """Leave out the parameters of lazy layers, which have no shape before their first input."""
    return (parameter for parameter in parameters if not nn.parameter.is_lazy(parameter))


def _tensor(value: Any) -> torch.Tensor | None:
    """Return the first tensor in what a module takes or gives."""
    if isinstance(value, torch.Tensor):
        return value
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((tensor for item in values if (tensor := _tensor(item)) is not None), None)


def _batch(tensor: torch.Tensor) -> int:
    return tensor.shape[0] if tensor.ndim else 1


def times(shape: Sequence[int] | int | None) -> str:
    """Return a shape in words: 1x28x28."""
    if shape is None:
        return "-"
    return "x".join(map(str, shape)) if isinstance(shape, Sequence) else str(shape)


def _bytes(count: int) -> str:
    return f"{count / 2**20:.2f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
