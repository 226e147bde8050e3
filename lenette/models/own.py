"""Networks of the user's own, named as `package.module:function` or `path/file.py:function`."""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from lenette.errors import ModelError, nearest

SIGNATURE = "(num_classes=10, in_channels=1, image_size=28)"


def own_function(name: str) -> Callable[..., Any]:
    """Return the function that `name` points to; a file is read afresh each time, a module is imported once a process.

    Raises:
        ModelError: the file or module can't be loaded or has no such function.
    """
    source, attribute = _split(name)
    module = _load_file(_existing(source)) if source.endswith(".py") else _import(source, attribute)
    function = getattr(module, attribute, None)
    if function is None:
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ModelError(
            f"{source} has no function '{attribute}'{nearest(attribute, functions)}; "
            f"write there: def {attribute}{SIGNATURE}: ..."
        )
    if not callable(function):
        raise ModelError(
            f"{name} is {_a(function)}, not a function; write: def {attribute}{SIGNATURE}: ... and return the network"
        )
    return function


def own_digest(name: str) -> str:
    """Return the sha256 (hex) of the one source file that `name` points to, not of what that file imports.

    A module's is taken once a process, as the module itself is imported once.

    Raises:
        ModelError: there is no such file or module, or it has no source.
    """
    source, _ = _split(name)
    return _sha256(_existing(source).read_bytes()) if source.endswith(".py") else _module_digest(source)


def source_file(name: str) -> Path | None:
    """Return the file that `name` (path/file.py:function) points to; None for any other name."""
    source = name.rpartition(":")[0]
    return _existing(source) if source.endswith(".py") else None


def _split(name: str) -> tuple[str, str]:
    source, _, attribute = name.rpartition(":")
    if not source or not attribute:
        raise ModelError(f"'{name}' names no network: write package.module:function or path/file.py:function")
    return source, attribute


@cache
def _module_digest(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:
        raise ModelError(f"module '{module}' can't be found: {type(error).__name__}: {error}") from error
    if spec is None or not spec.has_location or spec.origin is None:
        raise ModelError(f"module '{module}' has no source file; write path/file.py:function")
    return _sha256(Path(spec.origin).read_bytes())


def _existing(source: str) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        siblings = [str(path.parent / file.name) for file in path.parent.glob("*.py")]
        raise ModelError(f"there is no file '{source}'{nearest(str(path), siblings)}")
    return path.resolve()


def _load_file(path: Path) -> ModuleType:
    content = path.read_bytes()
    # A name of its own can't clash with an installed module; executing the text by hand passes by Python's cache of
    # compiled files, which takes a quick edit for no edit.
    module = ModuleType(f"lenette_own_{_sha256(str(path).encode() + content)[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module
    try:
        exec(compile(content, str(path), "exec"), vars(module))
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


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _a(thing: object) -> str:
    kind = type(thing).__name__
    return f"an {kind}" if kind[0].lower() in "aeiou" else f"a {kind}"
