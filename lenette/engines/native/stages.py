"""Read a plain PyTorch network as the stages of the native engine, and refuse by name what its kernels don't know."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from lenette.errors import UnsupportedByEngine

LAYERS = (
    nn.Conv2d,
    nn.Linear,
    nn.BatchNorm2d,
    nn.BatchNorm1d,
    nn.ReLU,
    nn.Sigmoid,
    nn.Dropout,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Flatten,
    nn.Identity,
)
# What a tail may hold, in this order; a layer that comes in another order starts a new stage, with a plain copy.
SLOTS = ("norm", "activation", "inner_dropout", "pool", "outer_dropout")


@dataclass
class Stage:
    """One operation (a convolution, a linear layer, or None for a plain copy) and the tail that follows it.

    `tail` maps slots to layers, each with its name; `masks` maps the slots of dropouts to their numbers in the plan.
    """

    name: str
    operation: nn.Module | None = None
    tail: dict[str, tuple[str, nn.Module]] = field(default_factory=dict)
    masks: dict[str, int] = field(default_factory=dict)

    def is_free(self, slot: str) -> bool:
        """Say whether the slot and all later ones are empty, or it is a ReLU's, which max-pool may come before."""
        later = [name for name in self.tail if SLOTS.index(name) >= SLOTS.index(slot)]
        return not later or (slot == "activation" and later == ["pool"] and type(self.tail["pool"][1]) is nn.MaxPool2d)


def read(model: nn.Module) -> list[Stage]:
    """Return the network's stages.

    Raises:
        UnsupportedByEngine: the engine doesn't know a layer, which the message names.
    """
    layers = _layers(model)
    _refuse(layers)
    stages: list[Stage] = []
    num_dropouts = 0
    for name, layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            stages.append(Stage(name, layer))
        slot = _slot(layer, stages)
        if not slot:
            continue
        if not stages or not stages[-1].is_free(slot):
            stages.append(Stage(name))
            slot = _slot(layer, stages)
        stages[-1].tail[slot] = (name, layer)
        if isinstance(layer, nn.Dropout):
            stages[-1].masks[slot] = num_dropouts
            num_dropouts += 1
    return stages


def _layers(model: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Return all layers with their names, in order, a layer that is used twice twice."""
    if type(model) is not nn.Sequential:
        return [(prefix or "the network", model)]
    return [
        pair
        for name, child in model._modules.items()
        if child
        for pair in _layers(child, f"{prefix}.{name}".strip("."))
    ]


def _slot(layer: nn.Module, stages: list[Stage]) -> str:
    match layer:
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            return "norm"
        case nn.ReLU() | nn.Sigmoid():
            return "activation"
        case nn.MaxPool2d() | nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
            return "pool"
        case nn.Dropout():
            return "outer_dropout" if stages and "pool" in stages[-1].tail else "inner_dropout"
    return ""


def _refuse(layers: list[tuple[str, nn.Module]]) -> None:
    form = "an image"
    seen: set[nn.Module] = set()
    weights: set[nn.Parameter] = set()
    for name, layer in layers:
        if type(layer) not in LAYERS:
            known = ", ".join(kind.__name__ for kind in LAYERS)
            raise UnsupportedByEngine(
                f"the native engine doesn't know layer '{name}' ({type(layer).__name__}); it knows {known}, in an "
                "nn.Sequential: use the reference engine"
            )
        wanted = {
            nn.Linear: ("flat", "features"),
            nn.BatchNorm1d: ("features",),
            nn.ReLU: (form,),
            nn.Sigmoid: (form,),
            nn.Dropout: (form,),
            nn.Flatten: (form,),
            nn.Identity: (form,),
        }.get(type(layer), ("an image",))
        odd = {f"{option} = {getattr(layer, option)!r}": True for option in _odd_options(layer)}
        odd |= {
            f"on what is {form}, not {' or '.join(wanted)}": form not in wanted,
            "used a second time": layer in seen and any(True for _ in layer.parameters()),
            "whose weights are another layer's too": layer not in seen and not weights.isdisjoint(layer.parameters()),
            "with hooks": bool(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks),
            "with frozen parameters": not all(parameter.requires_grad for parameter in layer.parameters()),
        }
        for what, is_odd in odd.items():
            if is_odd:
                raise UnsupportedByEngine(
                    f"the native engine doesn't know layer '{name}' ({type(layer).__name__}) {what}: "
                    "use the reference engine"
                )
        seen.add(layer)
        weights.update(layer.parameters())
        if isinstance(layer, nn.Flatten) and form == "an image":
            form = "flat"
        elif isinstance(layer, nn.Linear):
            form = "features"
    if form == "an image":
        raise UnsupportedByEngine("the native engine wants a network that ends flat, [N, classes]: end it with Flatten")
    if not any(isinstance(layer, nn.Conv2d | nn.Linear) for _, layer in layers):
        raise UnsupportedByEngine("the native engine finds neither a Conv2d nor a Linear layer in the network")


def _odd_options(layer: nn.Module) -> list[str]:
    """Return the names of the options that the kernels don't know in the layer."""
    odd: dict[str, bool] = {}
    match layer:
        case nn.Conv2d():
            odd = {
                "dilation": layer.dilation[0] != layer.dilation[1],
                "stride": layer.stride[0] != layer.stride[1],
                "padding_mode": layer.padding_mode != "zeros",
                "padding": isinstance(layer.padding, str)
                or any(
                    p > (k - 1) * d for p, k, d in zip(layer.padding, layer.kernel_size, layer.dilation, strict=True)
                ),
            }
        case nn.BatchNorm2d() | nn.BatchNorm1d():
            odd = {"momentum": layer.momentum is None, "track_running_stats": not layer.track_running_stats}
        case nn.MaxPool2d():
            odd = {
                "padding": pair(layer.padding) != (0, 0),
                "dilation": pair(layer.dilation) != (1, 1),
                "ceil_mode": layer.ceil_mode,
                "return_indices": layer.return_indices,
            }
        case nn.AvgPool2d():
            odd = {
                "padding": pair(layer.padding) != (0, 0),
                "ceil_mode": layer.ceil_mode,
                "divisor_override": layer.divisor_override is not None,
            }
        case nn.AdaptiveAvgPool2d():
            odd = {"output_size": pair(layer.output_size) != (1, 1)}
        case nn.Flatten():
            odd = {"start_dim": layer.start_dim != 1, "end_dim": layer.end_dim != -1}
    return [name for name, is_odd in odd.items() if is_odd]


def pair(value: Any) -> tuple[int, int]:
    """Return a layer's option, one number or two, as two."""
    return tuple(value) if isinstance(value, tuple | list) else (value, value)
