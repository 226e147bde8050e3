"""The source of a network that a program has, as a file of its own: the statements of the program that it needs.

For a network that is made already, what puts it together again, with its weights beside it.
"""

import ast
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from lenette.errors import ModelError
from lenette.models import beside
from lenette.models.copies import unregistered
from lenette.models.structure import structure

MAX_BYTES = 8 << 20  # of the weights that are kept in a source
FRAME = """
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn


def network(num_classes=10, in_channels=1, image_size=28):
"""


def instance(network: nn.Module) -> str | None:
    """Return a source that makes the network as it is, weights and all, or None.

    Its classes are called where that makes it, or else put together without their __init__, attribute by attribute.
    """
    from safetensors.torch import save

    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    if sum(value.numel() * value.element_size() for value in state.values()) > MAX_BYTES:
        return None
    kind = type(network)
    definitions = _definitions({type(module) for module in network.modules()})
    if definitions is None:
        return None
    text, path = definitions
    assembled: list[str] = []
    ways = [[f"made = {kind.__name__}()"], assembled if _assembled(network, "made", assembled) else []]
    for lines in [way for way in ways if way]:
        body = [*lines, "made.load_state_dict(load_file(Path(__file__).parent / 'weights.safetensors'))", "return made"]
        whole = text + FRAME + "".join(f"    {line}\n" for line in body)
        files = beside.apart(beside.together(whole, path), "")[2] if path else {}
        whole = beside.joined(f"{kind.__name__}.py", whole, {**files, "weights.safetensors": save(state)})
        if _makes(whole, network):
            return whole
    return None


def _definitions(kinds: set[type]) -> tuple[str, Path | None] | None:
    """Return the statements that define these classes of one program, but torch's, and where its file lies, or None."""
    own = sorted(
        (kind for kind in kinds if not kind.__module__.startswith("torch.nn.")), key=lambda kind: kind.__name__
    )
    if len({kind.__module__ for kind in own}) > 1 or any(kind.__name__ != kind.__qualname__ for kind in own):
        return None
    if not own:
        return "", None
    text, path = _program(sys.modules.get(own[0].__module__))
    needed = _needed(ast.parse(text), text, *(kind.__name__ for kind in own)) if _parses(text) else ""
    return (needed, path) if needed else None


def _assembled(network: nn.Module, name: str, lines: list[str]) -> bool:
    """Append the statements that put the network together under that name; say whether that can be done."""
    if (layers := _torch_layers(network)) is not None:
        lines.append(f"{name} = {layers}")
        return True
    kind = type(network)
    title = f"nn.{kind.__name__}" if kind.__module__.startswith("torch.nn.") else kind.__name__
    lines += [f"{name} = {title}.__new__({title})", f"nn.Module.__init__({name})"]
    for key, value in unregistered(network).items():
        if key in vars(nn.Module()):
            continue
        if not isinstance(value, bool | int | float | str | tuple | type(None)):
            return False
        lines.append(f"{name}.{key} = {value!r}")
    for key, parameter in network._parameters.items():
        made = (
            None
            if parameter is None
            else f"nn.Parameter(torch.empty({tuple(parameter.shape)}), {parameter.requires_grad})"
        )
        lines.append(f"{name}.register_parameter({key!r}, {made})")
    for key, buffer in network._buffers.items():
        made = "None" if buffer is None else f"torch.empty({tuple(buffer.shape)}, dtype={buffer.dtype})"
        lines.append(f"{name}.register_buffer({key!r}, {made})")
    for key, child in network._modules.items():
        inner = f"{name}_{key}"
        if child is None or not inner.isidentifier() or not _assembled(child, inner, lines):
            return False
        lines.append(f"{name}.add_module({key!r}, {inner})")
    return True


def _torch_layers(network: nn.Module) -> str | None:
    """Return what makes layers of torch, in Sequentials or alone, as Python; None for what has no such form."""
    kind = type(network)
    if isinstance(network, nn.Sequential) and kind is nn.Sequential:
        inner = [_torch_layers(child) for child in network]
        names = list(network._modules)
        if None in inner or names != [str(number) for number in range(len(names))]:
            return None
        return f"nn.Sequential({', '.join(map(str, inner))})"
    if list(network.children()) or getattr(nn, kind.__name__, None) is not kind:
        return None
    options = network.extra_repr()
    if "bias" in inspect.signature(kind).parameters and "bias=" not in options and getattr(network, "bias", 0) is None:
        options += ", bias=False"
    return f"nn.{kind.__name__}({options})"


def _makes(text: str, network: nn.Module) -> bool:
    """Say whether a source makes just this network."""
    from lenette.models.own import own_network

    try:
        made, _ = own_network("network.py:network", 10, 1, 28, text)
        return structure(made) == structure(network) and _options(made) == _options(network)
    except Exception:  # whatever its source runs into: it has then none
        return False


def _options(network: nn.Module) -> list[str]:
    """Return what decides what a network does beside its structure: plain attributes of its modules."""
    plain = (bool, int, float, str, tuple, list, dict, type(None))
    return [
        f"{place}.{name}={value!r}"
        for place, module in network.named_modules()
        for name, value in sorted(vars(module).items())
        if isinstance(value, plain) and not name.startswith("_") and name != "training"
    ]


def definition(thing: Callable[..., Any]) -> str | None:
    """Return the statements of a program that a class or function needs, in their order; None where these aren't known.

    Its top-level name must be its own. The text is run once, so that what it lacks shows here.
    """
    from lenette.models.own import own_network

    name = getattr(thing, "__name__", "")
    if not name.isidentifier() or getattr(thing, "__qualname__", name) != name:
        return None
    module = sys.modules.get(thing.__module__)
    text, path = _program(module)
    try:
        kept = _needed(ast.parse(text), text, name)
        if not kept:
            return None
        source = beside.together(kept, path) if path else kept
        with beside.laid_out(source, f"{name}.py") as (_, own):
            compile(own, name, "exec")
        own_network(f"{name}.py:{name}", 10, 1, 28, source)
    except ModelError as error:
        itself = "failed when called" in str(error) or "can't be called" in str(error)  # training will say why
        return source if itself and "NameError" not in str(error) else None
    except (SyntaxError, ValueError):
        return None
    return source


def _program(module: Any) -> tuple[str, Path | None]:
    """Return the text of a module, a script or a notebook, and where its file lies; "" where there is none."""
    path = getattr(module, "__file__", None)
    try:
        if path is not None:
            return Path(path).read_text(encoding="utf-8"), Path(path).resolve()
    except (OSError, UnicodeDecodeError):
        return "", None
    cells = vars(module).get("In", []) if module is not None else []
    return "\n".join(cell for cell in cells if isinstance(cell, str) and _parses(cell)), None


def _parses(cell: str) -> bool:
    try:
        ast.parse(cell)
    except SyntaxError:  # a notebook's %magic
        return False
    return True


def _needed(tree: ast.Module, text: str, *names: str) -> str:
    """Return the top-level statements that bind these names, and all names that those use, as text."""
    binding: dict[str, list[int]] = {}
    for place, statement in enumerate(tree.body):
        for bound in _bound(statement):
            binding.setdefault(bound, []).append(place)
    kept: set[int] = set()
    wanted = [*names, "*"]
    while wanted:
        # a class or function that is written several times, as in a notebook, is the last one
        places = binding.pop(wanted.pop(), [])
        if places and isinstance(tree.body[places[-1]], ast.ClassDef | ast.FunctionDef):
            places = places[-1:]
        for place in set(places) - kept:
            kept.add(place)
            wanted += [node.id for node in ast.walk(tree.body[place]) if isinstance(node, ast.Name)]
    lines = text.splitlines(keepends=True)
    parts = []
    for place in sorted(kept):
        statement = tree.body[place]
        decorators = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
        part = "".join(lines[first - 1 : statement.end_lineno])
        parts.append(part if part.endswith("\n") else part + "\n")
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            parts.append("\n\n")
    return "".join(parts)


def _bound(statement: ast.stmt) -> list[str]:
    """Return the names that a top-level statement binds."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return [statement.name]
    if isinstance(statement, ast.If | ast.Try | ast.With) and "__name__" not in ast.dump(statement):
        return [name for inner in ast.walk(statement) if inner is not statement for name in _simply_bound(inner)]
    return _simply_bound(statement)


def _simply_bound(statement: ast.AST) -> list[str]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return [
        node.id
        for target in targets
        if target is not None and isinstance(statement, ast.Assign | ast.AnnAssign)
        for node in ast.walk(target)
        if isinstance(node, ast.Name)
    ]
