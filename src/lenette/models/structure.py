"""The structure of a network as traced: its layers, their options and what is computed of what, without the weights."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx, nn

from lenette.chance import planned
from lenette.models.copies import copied

VERSION = 1  # of the form below: raised where the same network would be described otherwise


def structure(network: nn.Module) -> str:
    """Return the SHA-256 (hex) of the network's structure: two networks with the same one compute the same function of
    their weights and images.

    Traced symbolically (torch.fx), in training and in evaluation mode. Where that can't be done, since forward branches
    on its data, say, the structure is that of the modules alone, and the source has to tell the rest.
    """
    return hashlib.sha256("\n".join(description(network)).encode()).hexdigest()


def description(network: nn.Module) -> list[str]:
    """Return the structure in words, a line a tensor, a module and an operation."""
    lines = [f"structure {VERSION}", *_tensors(network)]
    for training in (True, False):
        lines.append("training" if training else "evaluation")
        try:
            traced = copied(network).train(training)
            with planned() as start:
                start(0)
                lines += _operations(traced, fx.Tracer().trace(traced))
        except Exception as error:  # a user's forward may raise anything at all when it meets a symbol
            return [*lines[:-1], f"not traced: {type(error).__name__}", *_modules(network)]
    return lines


def constants(network: nn.Module) -> list[torch.Tensor]:
    """Return the tensors that forward reads and that are no parameter or buffer; none where it can't be traced."""
    try:
        graph = fx.Tracer().trace(network)
    except Exception:
        return []
    known = {id(value) for value in (*network.parameters(), *network.buffers())}
    read = [_attribute(network, str(node.target)) for node in graph.nodes if node.op == "get_attr"]
    return [value for value in read if isinstance(value, torch.Tensor) and id(value) not in known]


def _tensors(network: nn.Module) -> Iterator[str]:
    """Yield a line for each parameter and buffer; the same tensor under another name is named by its first."""
    first: dict[int, str] = {}
    for kind, tensors in (
        ("parameter", network.named_parameters(remove_duplicate=False)),
        ("buffer", network.named_buffers(remove_duplicate=False)),
    ):
        for name, value in tensors:
            same = first.setdefault(id(value), name)
            about = f"is {same}" if same != name else f"{value.dtype} {list(value.shape)}"
            yield f"{kind} {name} {about}{' frozen' if kind == 'parameter' and not value.requires_grad else ''}"


def _operations(network: nn.Module, graph: fx.Graph) -> Iterator[str]:
    places = {node: place for place, node in enumerate(graph.nodes)}

    def plain(value: Any) -> Any:
        return f"%{places[value]}" if isinstance(value, fx.Node) else _shown(value)

    for node, place in places.items():
        arguments = fx.node.map_aggregate((node.args, dict(sorted(node.kwargs.items()))), plain)
        yield f"%{place} {node.op} {_target(network, node)} {arguments}"


def _target(network: nn.Module, node: fx.Node) -> str:
    if node.op == "call_module":
        return f"{node.target} {_module(network.get_submodule(str(node.target)))}"
    if node.op == "get_attr":
        value = _attribute(network, str(node.target))
        known = any(value is tensor for tensor in (*network.parameters(), *network.buffers()))
        return str(node.target) if known else _constant(value)
    return _function(node.target) if callable(node.target) else str(node.target)


def _attribute(network: nn.Module, path: str) -> Any:
    value: Any = network
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _function(function: Callable[..., Any]) -> str:
    home = getattr(function, "__module__", None) or ""
    # Not __qualname__: torch's own dispatchers (max_pool2d, adaptive_max_pool2d) share one.
    return f"{home}.{getattr(function, '__name__', repr(function))}"


def _modules(network: nn.Module) -> Iterator[str]:
    for name, module in network.named_modules(remove_duplicate=False):
        yield f"module {name} {_module(module)}"


def _module(module: nn.Module) -> str:
    kind = type(module)
    if kind.__module__.startswith("torch.nn."):
        return f"{kind.__qualname__}({module.extra_repr()})"
    options = {name: value for name, value in sorted(vars(module).items()) if _is_option(name, value)}
    return f"{kind.__qualname__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"


def _is_option(name: str, value: Any) -> bool:
    return not name.startswith("_") and name != "training" and isinstance(value, bool | int | float | str | tuple)


def _shown(value: Any) -> Any:
    return _constant(value) if isinstance(value, torch.Tensor) else value


def _constant(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return repr(value)
    content = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return f"constant {value.dtype} {list(value.shape)} {hashlib.sha256(content).hexdigest()}"
