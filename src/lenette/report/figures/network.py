"""Figures of what is inside a network: its first filters, the maps of an image, and what spoke for a class."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from lenette.errors import ModelError
from lenette.inference import Network
from lenette.report.figures.images import show
from lenette.report.style import GREY, INK, VERMILLION, bare, new, styled
from lenette.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CHANNELS = 16
MOST_FILTERS = 100
MOST_CLASSES = 11


@styled
def filters(run: Run) -> "Figure":
    """Draw the weights of the first layer, each as an image: mid-grey is zero, dark is positive, light is negative.

    All share one scale; a layer with several input channels is drawn by its mean over them. Raises ModelError where the
    first layer with weights is neither a convolution nor a linear layer over the image.
    """
    network = run.network()
    shape = network.shape
    name, layer = next(
        ((n, m) for n, m in network.model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)), ("", None)
    )
    if layer is None or (isinstance(layer, nn.Linear) and layer.in_features != math.prod(shape)):
        raise ModelError(f"run {run.id}: its first layer '{name}' reads no image, so that it has no filters to draw")
    weights = layer.weight.detach()
    if isinstance(layer, nn.Linear):
        weights = weights.reshape(-1, *shape)
    weights = weights.mean(dim=1)
    shown = weights[:MOST_FILTERS]
    columns = len(shown) if len(shown) <= 8 else 10
    rows = math.ceil(len(shown) / columns)
    size = 0.62 if columns > 8 else 0.9
    figure, grid = new(size * columns + 0.3, size * rows + 0.7, rows=rows, columns=columns, squeeze=False)
    reach = shown.abs().max().item()
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image in zip(grid.flat, shown, strict=False):
        axes.set_axis_on()
        bare(axes)
        axes.imshow(-image.numpy(), cmap="gray", vmin=-reach, vmax=reach, interpolation="nearest")
    kind = "×".join(map(str, shown.shape[1:]))
    of = f"{len(shown)} of {len(weights)}" if len(shown) < len(weights) else f"{len(shown)}"
    figure.suptitle(f"{name}: {of} filters {kind}", x=0.02, ha="left", fontsize=10, fontweight="bold")
    figure.supxlabel(f"black {reach:+.2f}, white {-reach:+.2f}", fontsize=8, color=GREY)
    return figure


@styled
def feature_maps(run: Run, image: torch.Tensor, layers: list[str] | None = None) -> "Figure":
    """Draw what the layers make of an image uint8 [C, H, W], a row a layer, the first 16 channels of each.

    Each row has its own scale: white is its lowest value, black its highest.

    Args:
        layers: names of layers with maps; without them each convolution's activation, or itself where it has none.
    """
    network = run.network()
    passed = _outputs(network, image)
    names = _blocks(network.model, passed) if layers is None else layers
    for name in names:
        if name not in passed or passed[name].ndim != 3:
            having = ", ".join(key for key, value in passed.items() if value.ndim == 3)
            raise ModelError(f"run {run.id}: layer '{name}' has no maps; these have: {having or 'none'}")
    if not names:
        raise ModelError(f"run {run.id}: its network has no convolutions, hence no maps")
    columns = min(MOST_CHANNELS, max(len(passed[name]) for name in names)) + 1
    figure, grid = new(0.55 * columns + 1.1, 0.58 * len(names) + 0.4, rows=len(names), columns=columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    grid[0, 0].set_axis_on()
    show(grid[0, 0], image.float() / 255)
    grid[0, 0].set_title("image", loc="center", fontsize=8, fontweight="normal")
    for row, name in zip(grid, names, strict=True):
        maps = passed[name]
        low, high = maps.min().item(), maps.max().item()
        for axes, values in zip(row[1:], maps, strict=False):
            axes.set_axis_on()
            bare(axes)
            axes.imshow(values.numpy(), cmap="gray_r", vmin=low, vmax=max(high, low + 1e-12), interpolation="nearest")
        more = f", first {MOST_CHANNELS}" if len(maps) > MOST_CHANNELS else ""
        row[1].set_ylabel(
            f"{name}\n{'×'.join(map(str, maps.shape))}{more}", rotation=0, ha="right", va="center", fontsize=7.5
        )
    return figure


@styled
def grad_cam(run: Run, image: torch.Tensor, number: int = MOST_CLASSES) -> "Figure":
    """Draw which places of an image uint8 [C, H, W] spoke for each class, the likeliest class first.

    Grad-CAM of the last convolution (Selvaraju et al., arXiv:1610.02391): its maps, each weighted by the mean gradient
    of the class's logit, added up, what is negative left out. Every class has its own scale; the line is at half its
    maximum. Raises ModelError for a network without convolutions.
    """
    maps = class_activations(run, image)
    network = run.network()
    probabilities = network.probabilities(image[None])[0]
    chosen = probabilities.argsort(descending=True, stable=True)[:number].tolist()
    columns = min(6, len(chosen) + 1)
    rows = math.ceil((len(chosen) + 1) / columns)
    figure, grid = new(1.2 * columns, 1.36 * rows, rows=rows, columns=columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    panels = grid.flat
    first = next(panels)
    first.set_axis_on()
    show(first, image.float() / 255)
    first.set_title("image", loc="center", fontsize=9)
    for axes, label in zip(panels, chosen, strict=False):
        axes.set_axis_on()
        show(axes, image.float() / 255 * 0.45)
        strength = maps[label] / maps[label].max().clamp(min=1e-12)
        red, green, blue = (int(VERMILLION[place : place + 2], 16) / 255 for place in (1, 3, 5))
        ones = torch.ones_like(strength)
        axes.imshow(torch.stack([red * ones, green * ones, blue * ones, 0.75 * strength], dim=-1).numpy())
        if strength.max() > 0:
            axes.contour(strength.numpy(), levels=[0.5], colors=INK, linewidths=1)
        axes.set_title(f"{network.classes[label]}: {100 * probabilities[label]:.2f} %", loc="center", fontsize=9)
    return figure


def class_activations(run: Run, image: torch.Tensor) -> torch.Tensor:
    """Return Grad-CAM's maps float32 [classes, H, W], not negative, of an image uint8 [C, H, W]; see `grad_cam`."""
    network = run.network()
    convolutions = [module for module in network.model.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ModelError(f"run {run.id}: its network has no convolutions, and Grad-CAM needs one")
    kept: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output)
        return output.clone()  # what follows may change it in place

    with torch.enable_grad():
        for convolution in convolutions:
            convolution.register_forward_hook(keep)
        logits = network.model(_normalised(network, image))[0]
        maps = kept[-1]
        result = []
        for logit in logits:
            (gradient,) = torch.autograd.grad(logit, maps, retain_graph=True)
            weights = gradient.mean(dim=(2, 3), keepdim=True)
            result.append((weights * maps).sum(dim=1, keepdim=True).relu())
    size = (image.shape[1], image.shape[2])
    return functional.interpolate(torch.cat(result).detach(), size, mode="bilinear", align_corners=False)[:, 0]


def _normalised(network: Network, image: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (network.mean, network.std))
    return ((image.float() / 255 - mean) / std)[None]


def _outputs(network: Network, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return each layer's output for the image, without the batch's dimension, in the order of the forward pass."""
    outputs: dict[str, torch.Tensor] = {}

    def keeper(name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                outputs[name] = output[0].clone()

        return keep

    for name, module in network.model.named_modules():
        if next(module.children(), None) is None:
            module.register_forward_hook(keeper(name))
    with torch.no_grad():
        network.model(_normalised(network, image))
    return outputs


def _blocks(model: nn.Module, outputs: dict[str, torch.Tensor]) -> list[str]:
    """Return for each convolution the name of its activation, or its own where none follows."""
    modules, names = dict(model.named_modules()), list[str]()
    for name, output in outputs.items():
        if isinstance(modules[name], nn.Conv2d):
            names.append(name)
        elif names and output.ndim == 3 and type(modules[name]).__module__ == "torch.nn.modules.activation":
            names[-1] = name
    return names
