"""Networks that a Python program hands over as they are: classes, functions, and networks that are made already.

Their source is written out where that can be done, as a file of its own: the statements of the program that the network
needs, and for a network that is made already its weights beside them. Else it can be used in this program alone.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

from torch import nn

from lenette.errors import ModelError
from lenette.models import beside
from lenette.models.copies import copied
from lenette.models.structure import structure

PLACE = "given"  # stands where a file's or a module's name would
MAX_BYTES = 8 << 20  # of the weights that are kept in a source
_given: dict[str, tuple[Any, str]] = {}


def give(network: Any) -> tuple[str, str, str | None, list[str]]:
    """Return the title of a class, function or network, what names it to `build`, its source (None where it has none),
    and what to say.

    Raises:
        ModelError: it is none of these.
    """
    kind = network if inspect.isclass(network) or inspect.isroutine(network) else type(network)
    if not (isinstance(network, nn.Module) or callable(network)):
        raise ModelError(f"{network!r:.80} is no network: give a class, a function, or an nn.Module")
    title = getattr(network, "__name__", None) or kind.__name__
    title = "".join(letter for letter in title if letter.isalnum() or letter == "_") or "network"
    source = _instance(network) if isinstance(network, nn.Module) else _definition(network)
    if source is not None:
        return title, f"{title}.py:{'network' if isinstance(network, nn.Module) else title}", source, []
    told = (
        f"no source of {title} could be found: its run can be used in this program alone; "
        f"written into a file it is found again: lenette.train('net.py:{title}')"
    )
    return title, f"{PLACE}:{_remember(title, network)}", None, [told]


def networks(name: str) -> Any:
    """Return an object that has the network that was given under that name as an attribute of that name.

    Raises:
        ModelError: none was given in this program.
    """
    if name not in _given:
        raise ModelError(
            f"the network {name} was given to a program as an object without a source: its run can be used in that "
            "program alone; write the network into a file and train that"
        )
    return SimpleNamespace(**{name: _given[name][0]})


def code(name: str) -> str:
    """Return what tells one network that was given from another: a digest of its compiled code, as text."""
    networks(name)
    return _given[name][1]


def _remember(title: str, network: Any) -> str:
    """Keep the network for this program; another one of the same name gets a number."""
    kind = type(network) if isinstance(network, nn.Module) else network
    told = hashlib.sha256("\n".join(_compiled(kind)).encode()).hexdigest()
    kept = copied(network) if isinstance(network, nn.Module) else network
    number, name = 1, title
    while name in _given and (_given[name][1] != told or isinstance(network, nn.Module)):
        number += 1
        name = f"{title}_{number}"
    _given[name] = (kept, told)
    return name


def _compiled(kind: Any) -> Iterator[str]:
    """Yield the compiled code of a function, or of the functions of a class, as text."""
    if isinstance(kind, partial):
        yield f"{kind.args} {kind.keywords}"
        kind = kind.func
    for home in getattr(kind, "__mro__", (kind,)):
        functions = vars(home).values() if inspect.isclass(home) else [home]
        for function in functions:
            if isinstance(found := getattr(function, "__code__", None), CodeType):
                yield from _told(found)


def _told(found: CodeType) -> Iterator[str]:
    yield f"{found.co_name} {found.co_code.hex()} {found.co_names}"
    for constant in found.co_consts:
        yield from _told(constant) if isinstance(constant, CodeType) else [repr(constant)]


def _instance(network: nn.Module) -> str | None:
    """Return a source that makes the network as it is, weights and all, or None."""
    from safetensors.torch import save

    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    if sum(value.numel() * value.element_size() for value in state.values()) > MAX_BYTES:
        return None
    kind = type(network)
    if kind.__module__.startswith("torch.nn."):
        made, text = _torch_layers(network), "from torch import nn\n"
    else:
        made, text = f"{kind.__name__}()", _definition(kind) or ""
    if not made or not text:
        return None
    text += (
        "from pathlib import Path\nfrom safetensors.torch import load_file\n\n\n"
        "def network(num_classes=10, in_channels=1, image_size=28):\n"
        f"    made = {made}\n    made.load_state_dict(load_file(Path(__file__).parent / 'weights.safetensors'))\n"
        "    return made\n"
    )
    text = beside.joined(f"{kind.__name__}.py", text, {"weights.safetensors": save(state)})
    return text if _makes(text, network) else None


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


def _definition(thing: Callable[..., Any]) -> str | None:
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


def _needed(tree: ast.Module, text: str, name: str) -> str:
    """Return the top-level statements that bind `name`, and all names that these use, as text."""
    binding: dict[str, list[int]] = {}
    for place, statement in enumerate(tree.body):
        for bound in _bound(statement):
            binding.setdefault(bound, []).append(place)
    kept: set[int] = set()
    wanted = [name, "*"]
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
