"""A copy of a network, for whoever tries it out: what is looked into stays as it was."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from lenette.errors import ModelError


def copied(network: nn.Module) -> nn.Module:
    """Return a copy of the network, its hooks included; results that it keeps (feature maps, say) are copied as values.

    Raises:
        ModelError: it holds something that can't be copied, such as an open file.
    """
    memo: dict[int, Any] = {}
    for module in network.modules():
        for value in held(vars(module)):
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
            elif isinstance(value, torch.Generator):
                memo[id(value)] = value.clone_state()
    try:
        return copy.deepcopy(network, memo)
    except Exception as error:
        raise ModelError(f"the network can't be copied: {type(error).__name__}: {error}") from error


def held(value: Any) -> Iterator[Any]:
    """Yield the tensors, arrays, generators and modules in what a module keeps, in lists and the like too."""
    if isinstance(value, torch.Tensor | np.ndarray | torch.Generator | nn.Module):
        yield value
    elif isinstance(value, dict | list | tuple | set):
        for item in value.values() if isinstance(value, dict) else value:
            yield from held(item)


def unregistered(module: nn.Module) -> dict[str, Any]:
    """Return what a module keeps as plain attributes, which no state dict holds."""
    return {name: value for name, value in vars(module).items() if name not in ("_parameters", "_buffers", "_modules")}
