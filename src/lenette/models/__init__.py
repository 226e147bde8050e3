"""The networks: each is a function of (num_classes, in_channels, image_size) that returns a torch module."""

from collections.abc import Callable

from torch import nn

from lenette.errors import ModelError, nearest
from lenette.models.batches import require_batch
from lenette.models.checks import require_fit, require_sound
from lenette.models.counts import Counts, count
from lenette.models.deep import deep_19k
from lenette.models.four_conv import four_conv_593k
from lenette.models.given import give
from lenette.models.ladder import ladder_7k, ladder_12k, ladder_15k
from lenette.models.lenet import lenet5
from lenette.models.mlp import sigmoid_mlp
from lenette.models.own import is_file, own_network, own_source
from lenette.models.sprint import sprint
from lenette.models.summary import count_parameters, format_summary, num_bytes, summary
from lenette.models.transition import transition_19k
from lenette.models.under import under_8k, under_10k, under_20k

__all__ = [
    "MODELS",
    "Counts",
    "assumed",
    "build",
    "count",
    "count_parameters",
    "format_summary",
    "give",
    "is_file",
    "num_bytes",
    "require_batch",
    "require_fit",
    "require_sound",
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
    return own_network(name, num_classes, in_channels, image_size, source)[0]


def assumed(name: str, num_classes: int, in_channels: int, image_size: int, source: str | None = None) -> str:
    """Return how a network of one's own is called, where that had to be assumed; "" where it takes just our arguments.

    Raises ModelError as `build` does.
    """
    return "" if name in MODELS else own_network(name, num_classes, in_channels, image_size, source)[1]


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
