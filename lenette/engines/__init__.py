"""The engines, and the visible rule by which "auto" chooses one."""

from typing import Any

import torch
from torch import nn

from lenette.engines import reference
from lenette.errors import LenetteError, nearest
from lenette.recipes import Recipe

# What torch takes: OMP_NUM_THREADS, or the physical cores. Asked for before an engine sets another number.
DEFAULT_THREADS = torch.get_num_threads()

ENGINES: dict[str, Any] = {"reference": reference}


def choose_device(name: str) -> str:
    """Return "cpu" or "cuda"; "auto" is CUDA where there is one.

    Raises:
        LenetteError: there is no such device on this machine.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise LenetteError(f"unknown device '{name}'{nearest(name, ['auto', 'cpu', 'cuda'])}: auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise LenetteError("device 'cuda': torch finds no CUDA device here; use --device cpu")
    return name


def choose(name: str, model: nn.Module, recipe: Recipe, device: str) -> tuple[str, str]:
    """Return the engine's name and the reason for it.

    Raises:
        LenetteError: there is no such engine.
        UnsupportedByEngine: the named engine doesn't know a layer or a field.
    """
    if name == "auto":
        return "reference", "the only engine"
    if name not in ENGINES:
        raise LenetteError(f"unknown engine '{name}'{nearest(name, ENGINES)}: auto, {', '.join(ENGINES)}")
    return name, "as asked"
