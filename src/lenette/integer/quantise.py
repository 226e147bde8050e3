"""From a trained network and training images to an integer network."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lenette.inference import Network
from lenette.integer import interpreter
from lenette.integer import network as integer
from lenette.integer.lowering import NotQuantised, Operation, lower, result
from lenette.integer.network import Format, IntegerNetwork

NUM_IMAGES = 1000  # training images on which ranges and means are measured
KEPT = ("max_pool", "average_pool", "clamp", "reshape", "concatenate")  # kinds that keep the format of what they read
MAX_SUM = 1 << 30


def quantise(network: Network, images: torch.Tensor) -> IntegerNetwork:
    """Return the network on integers, its ranges measured on training images uint8 [N, C, H, W], evenly chosen.

    Raises:
        NotQuantised: an operation has no integer form; it is named.
    """
    operations = lower(network)
    places = np.linspace(0, len(images) - 1, min(len(images), NUM_IMAGES)).astype(np.int64)
    return _Quantiser(operations, images[torch.from_numpy(places)]).run(tuple(network.classes))


class _Quantiser:
    def __init__(self, operations: list[Operation], images: torch.Tensor) -> None:
        self.operations, self.images = operations, images
        self.group = self.groups()
        self.formats = self.measured()
        self.nodes: list[integer.Node] = []

    def groups(self) -> list[int]:
        """Return for each operation the first one whose format it shares."""
        group = list(range(len(self.operations)))
        for at, one in enumerate(self.operations):
            if one.kind in KEPT:
                joined = {group[at], *(group[source] for source in one.inputs)}
                group = [min(joined) if each in joined else each for each in group]
        return group

    def measured(self) -> dict[int, Format]:
        """Return each group's format."""
        ranges: dict[int, tuple[float, float]] = {0: (0.0, 255.0)}
        for at, value in enumerate(self.real()):
            low, high = ranges.get(self.group[at], (0.0, 0.0))
            if self.group[at]:
                ranges[self.group[at]] = min(low, float(value.min())), max(high, float(value.max()))
        read = {self.group[at] for one in self.operations if one.kind in ("convolution", "table") for at in one.inputs}
        wide = {self.group[-1]} - read
        return {group: _format(*found, group in wide) for group, found in ranges.items()} | {0: Format(1.0, 0)}

    def real(self) -> Iterator[torch.Tensor]:
        """Yield what each operation gives in real numbers."""
        last = {at: reader for reader, one in enumerate(self.operations) for at in one.inputs}
        kept: dict[int, torch.Tensor] = {}
        with torch.inference_mode():
            for at, one in enumerate(self.operations):
                kept[at] = result(one, [kept[source] for source in one.inputs], self.images)
                yield kept[at]
                for old in [old for old in kept if last.get(old, at) <= at]:
                    del kept[old]

    def run(self, classes: tuple[str, ...]) -> IntegerNetwork:
        last = {at: reader for reader, one in enumerate(self.operations) for at in one.inputs}
        values: dict[int, np.ndarray] = {}
        images = self.images.numpy()
        for at, (one, real) in enumerate(zip(self.operations, self.real(), strict=True)):
            inputs, formats = [values[source] for source in one.inputs], self.read(one)
            node = self.node(at, one)
            if isinstance(node, integer.Convolution):
                node = self.corrected(node, one, inputs[0], real)
            self.nodes.append(node)
            values[at] = interpreter.value(node, inputs, formats, images)
            for old in [old for old in values if last.get(old, at) <= at]:
                del values[old]
        return IntegerNetwork(tuple(self.nodes), classes)

    def read(self, one: Operation) -> list[Format]:
        return [self.formats[self.group[at]] for at in one.inputs]

    def node(self, at: int, one: Operation) -> integer.Node:  # noqa: PLR0911 - one a kind
        form = self.formats[self.group[at]]
        about: dict[str, Any] = {"name": one.name, "inputs": tuple(one.inputs), "shape": one.shape, "format": form}
        bounds: dict[str, Any] = {"low": _within(one.low, form, form.low), "high": _within(one.high, form, form.high)}
        match one.kind:
            case "input":
                return integer.Input(**about)
            case "convolution":
                return self.convolution(one, about, bounds)
            case "add":
                factors, shared = _factors(self.read(one), form)
                return integer.Add(**about, **bounds, factors=factors, shift=shared)
            case "multiply":
                first, second = self.read(one)
                multiplier, shift = _multiplier(np.array(first.step * second.step / form.step), one.name)
                return integer.Multiply(**about, **bounds, multiplier=int(multiplier), shift=int(shift))
            case "max_pool" | "average_pool":
                window = one.window
                assert window is not None
                return integer.Pool(**about, maximum=window.maximum, rows=window.rows, columns=window.columns)
            case "clamp":
                return integer.Clamp(**about, **bounds)
            case "concatenate":
                return integer.Concatenate(**about)
            case "reshape":
                return integer.Reshape(**about)
        source = self.read(one)[0]
        assert one.function is not None
        real = one.function((torch.arange(256).double() - source.zero) * source.step).numpy()
        return integer.Table(**about, table=_rounded(real, form))

    def convolution(self, one: Operation, about: dict[str, Any], bounds: dict[str, Any]) -> integer.Convolution:
        source, form = self.read(one)[0], about["format"]
        largest = np.abs(one.weight).max(axis=(1, 2, 3))
        step = np.where(largest > 0, largest, 1.0) / 127
        # A bias that dwarfs its weights must fit, and a sum must not be worth more than a quarter of what is given.
        step = np.maximum(step, np.abs(one.bias) / (source.step * MAX_SUM / 2))
        step = np.minimum(step, 0.25 * form.step / source.step)
        weight = np.rint(one.weight / step[:, None, None, None]).clip(-127, 127).astype(np.int8)
        multiplier, shift = _multiplier(source.step * step / form.step, one.name)
        num_read = one.weight.shape[1] * one.groups
        zero = one.border if one.border is not None else np.full(num_read, float(source.zero))
        seen = zero.reshape(one.groups, -1).repeat(len(weight) // one.groups, axis=0)
        bias = one.bias / (step * source.step) - (weight.sum(axis=(2, 3)) * seen).sum(axis=1)
        if (np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3)) * 255 >= MAX_SUM - (1 << 21)).any():
            raise NotQuantised(f"'{one.name}' has sums that don't fit into 32 bits")
        bias = bias.clip(-MAX_SUM, MAX_SUM)
        return integer.Convolution(
            **about, **bounds, weight=weight, bias=np.rint(bias).astype(np.int32), multiplier=multiplier, shift=shift,
            border=np.rint(zero).clip(0, 255).astype(np.uint8), stride=one.stride, padding=one.padding,
            dilation=one.dilation, groups=one.groups,
        )  # fmt: skip

    def corrected(
        self, node: integer.Convolution, one: Operation, source: np.ndarray, real: torch.Tensor
    ) -> integer.Convolution:
        """Move the biases so that what is given is in the mean, over the images, what it is in real numbers."""
        made = interpreter.value(node, [source], [], self.images.numpy())
        error = real.double().numpy().mean(axis=(0, 2, 3)) / node.format.step - (made - node.format.zero).mean(
            (0, 2, 3)
        )
        active = ((made > node.low) & (made < node.high)).mean(axis=(0, 2, 3))
        scale = node.multiplier / np.exp2(node.shift)
        move = np.where((active > 0.05) & (scale > 0), error / np.maximum(active, 0.05) / np.maximum(scale, 1e-12), 0)
        return replace(node, bias=(node.bias + np.rint(move.clip(-(1 << 20), 1 << 20))).astype(np.int32))


def _format(low: float, high: float, wide: bool) -> Format:
    if wide:  # four times what was seen
        return Format(max(-low, high, 1e-6) / 8191, 0, True)
    step = max(high - low, 1e-6) / 255
    return Format(step, int(np.rint(-low / step).clip(0, 255)))


def _within(bound: float, form: Format, otherwise: int) -> int:
    if not np.isfinite(bound):
        return otherwise
    return int(min(max(round(bound / form.step) + form.zero, form.low), form.high))


def _rounded(real: np.ndarray, form: Format) -> np.ndarray:
    kept = np.rint(real / form.step + form.zero).clip(form.low, form.high)
    return kept.astype(np.int16 if form.wide else np.uint8)


def _multiplier(scale: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return multipliers in 0..32768 and shifts in 17..46, int32, of scales up to a quarter."""
    if (scale > 0.2500001).any():
        raise NotQuantised(f"'{name}' has a range so small that its numbers would be scaled by {scale.max():.2g}")
    _, exponent = np.frexp(np.maximum(scale, 2.0**-60))
    shift = (15 - exponent).clip(17, 46)
    return np.rint(scale * np.exp2(shift)).clip(0, 32768).astype(np.int32), shift.astype(np.int32)


def _factors(sources: list[Format], form: Format) -> tuple[tuple[int, ...], int]:
    """Return an addition's factors and its shift, as fine as 32 bits allow."""
    ratios = [one.step / form.step for one in sources]
    largest = sum(ratio * (one.high - one.low) for ratio, one in zip(ratios, sources, strict=True))
    shift = int(np.clip(np.floor(np.log2((MAX_SUM - 1) / largest)), 1, 24))
    return tuple(round(ratio * 2**shift) for ratio in ratios), shift
