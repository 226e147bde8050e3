"""The networks: each is a function of (num_classes, in_channels, image_size) that returns a torch module."""

import inspect
from collections.abc import Callable

from torch import nn

from lenette.errors import ModelError, nearest
from lenette.models.batches import require_batch
from lenette.models.counts import Counts, count
from lenette.models.deep import deep_19k
from lenette.models.four_conv import four_conv_593k
from lenette.models.ladder import ladder_7k, ladder_12k, ladder_15k
from lenette.models.lenet import lenet5
from lenette.models.mlp import sigmoid_mlp
from lenette.models.own import SIGNATURE, is_file, own_function, own_source
from lenette.models.sprint import sprint
from lenette.models.summary import count_parameters, format_summary, num_bytes, require_fit, summary
from lenette.models.transition import transition_19k
from lenette.models.under import under_8k, under_10k, under_20k

__all__ = [
    "MODELS",
    "Counts",
    "build",
    "count",
    "count_parameters",
    "format_summary",
    "is_file",
    "num_bytes",
    "require_batch",
    "require_fit",
    "source",
    "summary",
]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "sigmoid_mlp": sigmoid_mlp,
    "lenet5": lenet5,
    "transition_19k": transition_19k,
    "four_conv_593k": four_conv_593k,
    "ladder_15k": ladder_15k,
    "ladder_12k": ladder_12k,
    "ladder_7k": ladder_7k,
    "deep_19k": deep_19k,
    "under_8k": under_8k,
    "under_10k": under_10k,
    "under_20k": under_20k,
    "sprint": sprint,
}


def build(
    name: str, num_classes: int = 10, in_channels: int = 1, image_size: int = 28, source: str | None = None
) -> nn.Module:
    """Return a new network, its weights drawn from torch's global generator.

    Args:
        name: a key of MODELS, `package.module:function` or `path/file.py:function`.
        num_classes: logits that it gives for each image.
        in_channels: of the images [in_channels, image_size, image_size], pixels.
        image_size: height and width of the images, pixels.
        source: the text of the file that `name` names, where it was read already.

    Raises:
        ModelError: the name is unknown, a number isn't positive, the image is too small or too large, or the user's
            own function can't be loaded, fails or returns no nn.Module.
    """
    for field, value in (("num_classes", num_classes), ("in_channels", in_channels), ("image_size", image_size)):
        if value < 1:
            raise ModelError(f"{field} = {value}: it must be at least 1")
    _require_name(name)
    if name in MODELS:
        try:
            return MODELS[name](num_classes, in_channels, image_size)
        except RuntimeError as error:  # of its size alone
            what = f"{num_classes} classes of images of {in_channels}x{image_size}x{image_size}"
            raise ModelError(f"{name} for {what} is too large for this machine's memory: {error}") from error
    function = own_function(name, source)
    arguments = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    short = name.rpartition(":")[2]
    try:
        inspect.signature(function).bind(**arguments)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{name} can't be called with num_classes, in_channels and image_size ({error}); "
            f"write: def {short}{SIGNATURE}: ..."
        ) from error
    try:
        model = function(**arguments)
    except ModelError:
        raise
    except Exception as error:
        call = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise ModelError(f"{name} failed when called with {call}: {type(error).__name__}: {error}") from error
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
    return model


def source(name: str) -> str:
    """Return the text of the source of a user's own network, a file's or a module's; "" for a shipped one.

    Raises:
        ModelError: the name is unknown or the file isn't there.
    """
    _require_name(name)
    return "" if name in MODELS else own_source(name)


def _require_name(name: str) -> None:
    if name in MODELS or ":" in name:
        return
    if name.endswith(".py"):
        raise ModelError(f"'{name}' is a file: name the function in it too, {name}:function")
    raise ModelError(
        f"unknown model '{name}'{nearest(name, MODELS)}; the models are {', '.join(MODELS)}, "
        f"or your own as package.module:function or path/file.py:function"
    )
