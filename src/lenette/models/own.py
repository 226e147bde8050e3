"""Networks of the user's own, named as `package.module:function` or `path/file.py:function`."""

import hashlib
import importlib
import importlib.util
import sys
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from lenette.errors import ModelError, nearest

SIGNATURE = "(num_classes=10, in_channels=1, image_size=28)"


def own_function(name: str, source: str | None = None) -> Callable[..., Any]:
    """Return the function that `name` points to; a file is read afresh each time, a module is imported once a process.

    Args:
        source: the file's text where it was read already; it is then what runs, whatever became of the file.

    Raises:
        ModelError: the file or module can't be loaded or has no such function.
    """
    place, attribute = _split(name)
    if is_file(name):
        module = _load_file(Path(place).expanduser(), own_source(name) if source is None else source)
    else:
        module = _import(place, attribute)
    function = getattr(module, attribute, None)
    if function is None:
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ModelError(
            f"{place} has no function '{attribute}'{nearest(attribute, functions)}; "
            f"write there: def {attribute}{SIGNATURE}: ..."
        )
    if not callable(function):
        raise ModelError(
            f"{name} is {_a(function)}, not a function; write: def {attribute}{SIGNATURE}: ... and return the network"
        )
    return function


def own_source(name: str) -> str:
    """Return the text of the one source file that `name` points to, not of what that file imports; line ends are \\n.

    A module's is read once a process, as the module itself is imported once.

    Raises:
        ModelError: there is no such file or module, it has no source, or that is no text.
    """
    place, _ = _split(name)
    return _text(_existing(place)) if is_file(name) else _module_source(place)


def is_file(name: str) -> bool:
    """Say whether `name` is path/file.py:function."""
    return name.rpartition(":")[0].endswith(".py")


def _split(name: str) -> tuple[str, str]:
    source, _, attribute = name.rpartition(":")
    if not source or not attribute:
        raise ModelError(f"'{name}' names no network: write package.module:function or path/file.py:function")
    return source, attribute


@cache
def _module_source(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise ModelError(f"module '{module}' can't be found: {type(error).__name__}: {error}") from error
    if spec is None or not spec.has_location or spec.origin is None:
        raise ModelError(f"module '{module}' has no source file; write path/file.py:function")
    return _text(Path(spec.origin))


def _text(path: Path) -> str:
    try:
        with tokenize.open(path) as file:  # as Python reads it: in the encoding that it names, line ends made one
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} can't be read as Python: {error}") from error


def _existing(source: str) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        siblings = [str(path.parent / file.name) for file in path.parent.glob("*.py")]
        raise ModelError(f"there is no file '{source}'{nearest(str(path), siblings)}")
    return path.resolve()


def _load_file(path: Path, text: str) -> ModuleType:
    # A name of its own can't clash with an installed module; executing the text by hand passes by Python's cache of
    # compiled files, which takes a quick edit for no edit.
    content = str(path).encode() + text.encode()
    module = ModuleType(f"lenette_own_{hashlib.sha256(content).hexdigest()[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise ModelError(f"{path} can't be loaded: {type(error).__name__}: {error}") from error
    return module


def _import(module: str, attribute: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        file = Path(*module.split(".")).with_suffix(".py")
        hint = f"; the file is here: write {file}:{attribute}" if file.is_file() else ""
        raise ModelError(f"module '{module}' can't be imported: {type(error).__name__}: {error}{hint}") from error


def _a(thing: object) -> str:
    kind = type(thing).__name__
    return f"an {kind}" if kind[0].lower() in "aeiou" else f"a {kind}"
