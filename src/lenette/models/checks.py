"""What is tried out on a network before its first step: that images fit it, and that it is one and the same everywhere.

All of it on copies, or on networks made for it: what is trained is never touched.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from lenette.chance import planned
from lenette.errors import ModelError
from lenette.inference import rows
from lenette.models.copies import copied, held, unregistered
from lenette.models.graph import NotAGraph, graph
from lenette.models.summary import summary, times

BATCH = 3
CLOSE = 1e-3  # of the largest logit: sums of other batch sizes are rounded otherwise
Make = Callable[[int], nn.Module]


def require_fit(model: nn.Module, input_shape: Sequence[int], num_classes: int) -> None:
    """Raise ModelError unless images of `input_shape` [C, H, W] give `num_classes` logits each, when trained too."""
    for name, value in model.state_dict().items():
        if not isinstance(value, torch.Tensor):
            kind = type(value).__name__
            raise ModelError(f"the network's state dict holds '{name}', a {kind} and no tensor: it can't be saved")
    table = summary(model, input_shape)
    if error := table["error"]:
        raise ModelError(f"the network breaks at {error['layer']}: {error['message']}; {error['advice']}".rstrip("; "))
    for training, when in ((False, ""), (True, "in training mode ")):
        try:
            with torch.no_grad(), planned():
                output = copied(model).train(training)(torch.zeros(BATCH, *input_shape))
        except Exception as error:
            raise ModelError(
                f"the network breaks {'in training mode alone' if training else f'on {BATCH} images'}: "
                f"{type(error).__name__}: {error}"
            ) from error
        _require_logits(output, when)
        if list(output.shape) != [BATCH, num_classes]:
            last = table["rows"][-1]["name"] if table["rows"] else "it"
            flat = output[0].numel() == num_classes
            raise ModelError(
                f"{when}the network gives {times(output.shape[1:])} values an image, not {num_classes}, one a class: "
                + ("let it end in nn.Flatten()" if flat else f"let its last layer ({last}) give num_classes values")
            )


def require_sound(make: Make, input_shape: Sequence[int], num_classes: int) -> list[str]:
    """Return what is to be known of a network of one's own, in sentences.

    Checked are: its first weights and its training hang on the seed alone; evaluation is a function, of one image
    whatever else is in the batch; its state dict holds all that was trained.

    Args:
        make: makes the network with the initial weights of a seed.

    Raises:
        ModelError: one of these is not so; the message says where, and what to write instead.
    """
    one, twin, other = make(0), make(0), make(1)
    if not _same_state(one, twin):
        raise ModelError(
            "the network's first weights are others each time for one seed: they come from a generator of its own, "
            "such as numpy.random.default_rng() without a number, or from the clock; draw them with torch"
        )
    told = []
    if _same_state(one, other) and any(value.requires_grad for value in one.parameters()):
        told.append("the network starts from the same weights for every seed: those that it brings")
    with planned() as start:
        start(0)
        images, labels = torch.randn(BATCH, *input_shape), torch.arange(BATCH) % num_classes
    if not _alike(_step(one, images, labels), _step(twin, images, labels)):
        raise ModelError(
            "the network's training is another each time for one seed: it draws from a generator of its own, such as "
            "numpy.random.default_rng(); draw with torch"
        )
    logits = _evaluated(one, images)
    if not _alike(logits, _evaluated(one, images, seed=2)):
        raise ModelError(f"in evaluation the network gives other answers each time: {_never_stops(one, input_shape)}")
    _require_alone(one, images, logits)
    _require_saved(one, other, images, logits)
    return told + _endings(one, images)


def _require_logits(output: Any, when: str) -> None:
    """Raise ModelError for an output that is more than logits."""
    if isinstance(output, torch.Tensor):
        return
    hint = "end its forward with: return logits"
    if isinstance(output, Mapping) and output:
        hint = f"end its forward with the logits alone, as in output[{next(iter(output))!r}]"
    elif isinstance(output, tuple | list):
        hint = "end its forward with the logits alone, as in output[0]"
    names = f" with {', '.join(map(repr, output))}" if isinstance(output, Mapping) else ""
    where = when or "in evaluation mode "
    raise ModelError(
        f"{where}the network gives a {type(output).__name__}{names}, not one tensor of logits [N, classes]: {hint}"
    )


def _step(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Train one step of plain gradient descent; return the logits before it."""
    model.train()
    try:
        with planned() as start, torch.enable_grad():
            start(1)
            output = rows(model(images), images)
            functional.cross_entropy(output, labels).backward()
    except Exception as error:
        raise ModelError(f"the network can't be trained: {type(error).__name__}: {error}") from error
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=0.01)
    return output.detach()


def _evaluated(model: nn.Module, images: torch.Tensor, seed: int = 1) -> torch.Tensor:
    model.eval()
    with planned() as start, torch.no_grad():
        start(seed)
        return rows(model(images), images)


def _require_alone(model: nn.Module, images: torch.Tensor, logits: torch.Tensor) -> None:
    """Raise ModelError unless each image alone, and in another batch, gives what it gave."""
    for batch in (*(slice(i, i + 1) for i in range(BATCH)), slice(0, BATCH - 1)):
        size = len(images[batch])
        try:
            answer = _evaluated(model, images[batch])
        except Exception as error:
            raise ModelError(
                f"the network breaks on {'one image alone' if size == 1 else f'{size} images'}: "
                f"{type(error).__name__}: {error}; keep the batch's dimension, as x.flatten(1) does, in place of "
                "squeeze() or a view with a fixed number"
            ) from error
        if answer.shape != logits[batch].shape:
            raise ModelError(
                f"of a batch of {size} the network gives {list(answer.shape)}, not {list(logits[batch].shape)}: "
                "keep the batch's dimension: flatten with x.flatten(1) in place of squeeze()"
            )
        if not _alike(answer, logits[batch]):
            raise ModelError(
                "an image's answer hangs on the other images in its batch, in evaluation too: a batch-norm with "
                "track_running_stats=False, or a mean over dimension 0, does that; let it look at each image alone"
            )


def _require_saved(model: nn.Module, other: nn.Module, images: torch.Tensor, logits: torch.Tensor) -> None:
    """Raise ModelError unless another network with the model's state dict gives the same logits."""
    try:
        other.load_state_dict({name: value.clone() for name, value in model.state_dict().items()})
    except RuntimeError as error:
        raise ModelError(f"the network's state dict can't be loaded again: {error}") from error
    if _alike(_evaluated(other, images), logits):
        return
    hidden = next(_hidden(model), "something outside of its state dict decides")
    raise ModelError(f"what is saved would not be what was trained: {hidden}")


def _hidden(model: nn.Module) -> Iterator[str]:
    """Yield what may decide a network's answers and is not in its state dict; layers first."""
    known = {id(value) for value in (*model.parameters(), *model.buffers())}
    for kind in (nn.Module, torch.Tensor):
        for place, module in model.named_modules():
            for name, value in unregistered(module).items():
                found = [each for each in held(value) if isinstance(each, kind)]
                path = f"{place}.{name}".lstrip(".")
                if kind is nn.Module and found:
                    yield (
                        f"'{path}' holds layers in a plain {type(value).__name__}, which torch neither trains nor "
                        "saves: make it nn.ModuleList or nn.ModuleDict"
                    )
                elif kind is torch.Tensor and any(id(each) not in known and each.is_leaf for each in found):
                    yield (
                        f"'{path}' is a tensor outside of the state dict: make it nn.Parameter to be trained, or "
                        f"self.register_buffer('{name}', ...) to be kept"
                    )
            for name in module._non_persistent_buffers_set:
                yield f"buffer '{f'{place}.{name}'.lstrip('.')}' has persistent=False: leave that out"


def _never_stops(model: nn.Module, input_shape: Sequence[int]) -> str:
    """Say what to do about a network that draws in evaluation."""
    advice = "write F.dropout(x, p, training=self.training), or nn.Dropout, and draw nothing in evaluation"
    try:
        found = [node for node in graph(model, input_shape).nodes if node.options.get("always")]
    except NotAGraph:
        return advice
    return f"{found[0].name} ({found[0].line}) never stops; {advice}" if found else advice


def _endings(model: nn.Module, images: torch.Tensor) -> list[str]:
    """Say where a network ends in probabilities, which the loss would take for logits."""
    answers = [_evaluated(model, images * scale) for scale in (1, 1000)]
    if not all(bool((answer >= 0).all() and (answer <= 1).all()) for answer in answers):
        return []
    if all(torch.allclose(answer.sum(1), torch.ones(len(answer)), atol=1e-4) for answer in answers):
        kind, where = "a softmax", "probabilities"
    elif all(bool((answer > 0).any()) for answer in answers):
        kind, where = "a sigmoid, or another function into 0..1", "numbers between 0 and 1"
    else:
        return []
    return [
        f"*** the network ends in {kind}, and the loss takes a softmax itself: it will learn slowly and badly. Leave "
        f"the last function out, so that it gives logits, not {where}. It is trained as written ***"
    ]


def _same_state(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(_alike(value, theirs[name], 0.0) for name, value in mine.items())


def _alike(one: torch.Tensor, other: torch.Tensor, close: float = CLOSE) -> bool:
    if one.shape != other.shape:
        return False
    scale = float(one.abs().max()) if close and one.numel() else 0.0
    return torch.allclose(one, other, rtol=0.0, atol=close * scale, equal_nan=True)
