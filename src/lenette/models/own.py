"""Networks of the user's own, named as `package.module:function` or `path/file.py:function`."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
import tokenize
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from lenette.errors import ModelError, nearest
from lenette.models import beside, given
from lenette.models.copies import copied

SIGNATURE = "(num_classes=10, in_channels=1, image_size=28)"
# What people call our arguments; "values" is what a linear first layer takes, channels x height x width.
NAMES = {
    "num_classes": "num_classes classes n_classes nclasses nclass nb_classes num_class n_class class_num num_labels "
    "n_labels num_outputs n_outputs out_features output_dim output_size out_dim n_out num_out",
    "in_channels": "in_channels in_channel input_channels in_ch inch in_chans channels n_channels nchannels "
    "num_channels img_channels image_channels c_in in_c ch",
    "image_size": "image_size img_size imgsize size side image_side resolution height width input_resolution img_dim",
    "values": "in_features input_dim input_size in_dim n_inputs num_inputs n_in num_features n_features input_features",
}
MEANINGS = {name: ours for ours, names in NAMES.items() for name in names.split()}


def own_network(
    name: str, num_classes: int, in_channels: int, image_size: int, source: str | None = None
) -> tuple[nn.Module, str]:
    """Return a new network of the user's own, and how it was called where that was assumed ("" where it was not).

    `name` points to a function or a class, called with what it takes of our arguments, or to a network itself.

    Args:
        source: the text that `own_source` returned, where it was read already; it is then what runs, whatever became
            of the file.

    Raises:
        ModelError: the file or module can't be loaded, the function isn't there, fails, or returns no nn.Module.
    """
    place, attribute = _split(name)
    if not is_file(name):
        return _called(name, _found(_import(place, attribute), place, attribute), num_classes, in_channels, image_size)
    path = Path(place).expanduser()
    with beside.laid_out(own_source(name) if source is None else source, path.name) as (file, text):
        module = _load(path, file, text)
        return _called(name, _found(module, place, attribute), num_classes, in_channels, image_size)


def _called(name: str, function: Any, num_classes: int, in_channels: int, image_size: int) -> tuple[nn.Module, str]:
    attribute = name.rpartition(":")[2]
    if isinstance(function, nn.Module):
        return copied(function), ""
    if not callable(function):
        raise ModelError(
            f"{name} is {_a(function)}, not a function; write: def {attribute}{SIGNATURE}: ... and return the network"
        )
    sizes = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    sizes["values"] = in_channels * image_size**2
    positional, named = _arguments(name, function, sizes)
    call = ", ".join([*map(str, positional), *(f"{key}={value}" for key, value in named.items())])
    try:
        model = function(*positional, **named)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{name} failed when called with {call or 'no arguments'}: {type(error).__name__}: {error}"
            f"{beside.missing(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{name} returned {model!r:.80} of type {type(model).__name__}, not a network; end it with: "
            f"return nn.Sequential(...), or another nn.Module"
        )
    for layer, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ModelError(
                f"{name}: '{layer}' has no size yet; write how many inputs its layer has, instead of Lazy..."
            )
    exact = set(named) == {"num_classes", "in_channels", "image_size"} and not positional
    return model, "" if exact else f"the network was made by {attribute}({call}): what it takes of classes and sizes"


def _arguments(name: str, function: Callable[..., Any], sizes: dict[str, int]) -> tuple[list[int], dict[str, int]]:
    """Return the arguments to call it with, by place and by name: those whose names mean one of the sizes."""
    ours = {key: sizes[key] for key in ("num_classes", "in_channels", "image_size")}
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return [], ours
    try:
        signature.bind(**ours)
    except TypeError:
        pass
    else:
        return [], ours
    positional, named, unknown = [], {}, []
    for key, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if (meaning := MEANINGS.get(key.lower())) is None:
            if parameter.default is parameter.empty:
                unknown.append(key)
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(sizes[meaning])
        else:
            named[key] = sizes[meaning]
    if unknown:
        attribute = name.rpartition(":")[2]
        raise ModelError(
            f"{name} can't be called with num_classes, in_channels and image_size: it also takes "
            f"{' and '.join(unknown)}, without a default; give {'it' if len(unknown) == 1 else 'them'} one, "
            f"or write: def {attribute}{SIGNATURE}: ..."
        )
    return positional, named


def _found(module: Any, place: str, attribute: str) -> Any:
    function = getattr(module, attribute, None)
    if function is None:
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ModelError(
            f"{place} has no function '{attribute}'{nearest(attribute, functions)}; "
            f"write there: def {attribute}{SIGNATURE}: ..."
        )
    return function


def own_source(name: str) -> str:
    """Return the text of the source that `name` points to, line ends \\n; a file's with what it needs from beside it.

    A module's is read once a process, as the module itself is imported once; what it imports is not in it.

    Raises:
        ModelError: there is no such file or module, it has no source, or that is no text.
    """
    place, attribute = _split(name)
    if place == given.PLACE:
        return given.code(attribute)
    if not is_file(name):
        return _module_source(place)
    path = _existing(place)
    return beside.together(_text(path), path)


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


def _load(path: Path, file: Path, text: str) -> ModuleType:
    # A name of its own can't clash with an installed module; executing the text by hand passes by Python's cache of
    # compiled files, which takes a quick edit for no edit.
    content = str(path).encode() + text.encode()
    module = ModuleType(f"lenette_own_{hashlib.sha256(content).hexdigest()[:16]}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module
    try:
        exec(compile(text, str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise ModelError(f"{path} can't be loaded: {type(error).__name__}: {error}{beside.missing(error)}") from error
    return module


def _import(module: str, attribute: str) -> Any:
    if module == given.PLACE:
        return given.networks(attribute)
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        file = Path(*module.split(".")).with_suffix(".py")
        hint = f"; the file is here: write {file}:{attribute}" if file.is_file() else ""
        raise ModelError(f"module '{module}' can't be imported: {type(error).__name__}: {error}{hint}") from error


def _a(thing: object) -> str:
    kind = type(thing).__name__
    return f"an {kind}" if kind[0].lower() in "aeiou" else f"a {kind}"
