"""How many numbers a network's inference reads: those that are trained, and those that are not, told apart."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from lenette.models.copies import copied, held, unregistered
from lenette.models.structure import constants
from lenette.records import Count, Record


class Counts(Record, frozen=True):
    """Numbers of a network.

    `trainable` parameters are what the courses count; `frozen` ones have no gradient; `buffers` are all other tensors,
    those outside the state dict and constants in forward included; `statistics` the running mean and variance of
    torch's batch-norm layers, which a shift and a factor of the layer before can take in.
    """

    trainable: Count
    frozen: Count
    buffers: Count
    statistics: Count

    @property
    def parameters(self) -> int:
        """What `max_parameters` is held against: everything but batch-norm's statistics."""
        return self.trainable + self.frozen + self.buffers


def count(network: nn.Module) -> Counts:
    """Return the numbers that inference reads, each tensor once, layers that forward never uses included."""
    network = copied(network).eval()  # tracing leaves its mark
    parameters = [value for value in network.parameters() if not nn.parameter.is_lazy(value)]
    statistics = [
        value
        for module in network.modules()
        if isinstance(module, _NormBase)
        for value in (module.running_mean, module.running_var, module.num_batches_tracked)
        if value is not None
    ]
    told = {id(value) for value in (*parameters, *statistics)}
    others = {id(value): _size(value) for value in _others(network) if id(value) not in told}
    return Counts(
        trainable=sum(value.numel() for value in parameters if value.requires_grad),
        frozen=sum(value.numel() for value in parameters if not value.requires_grad),
        buffers=sum(others.values()),
        statistics=sum(value.numel() for value in statistics),
    )


def _others(network: nn.Module) -> Iterator[Any]:
    yield from network.buffers()
    for module in network.modules():
        for value in held(unregistered(module)):
            if isinstance(value, nn.Module):
                yield from (*value.parameters(), *value.buffers())
            elif not isinstance(value, torch.Generator):
                yield value
    yield from constants(network)


def _size(value: Any) -> int:
    return value.numel() if isinstance(value, torch.Tensor) else value.size
