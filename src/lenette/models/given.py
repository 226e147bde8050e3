"""Networks that a Python program hands over as they are: classes, functions, and networks that are made already.

Their source is written out where that can be done (`written`). Else they can be used in this program alone.
"""

import hashlib
import inspect
from collections.abc import Iterator
from functools import partial
from types import CodeType, SimpleNamespace
from typing import Any

from torch import nn

from lenette.errors import ModelError
from lenette.models import written
from lenette.models.copies import copied

PLACE = "given"  # stands where a file's or a module's name would
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
    source = written.instance(network) if isinstance(network, nn.Module) else written.definition(network)
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
