"""The engines, and the visible rule by which "auto" chooses one."""

from typing import Any

import torch
from torch import nn

from lenette.data import Dataset
from lenette.engines import native, reference
from lenette.errors import LenetteError, UnsupportedByEngine, nearest
from lenette.plan import Plan

# What torch takes: OMP_NUM_THREADS, or the physical cores. Asked for before an engine sets another number.
DEFAULT_THREADS = torch.get_num_threads()

MOST_THREADS = 1024  # more is a slip, and takes the system's last

ENGINES: dict[str, Any] = {"reference": reference, "native": native}


def choose_device(name: str, engine: str = "auto") -> str:
    """Return "cpu" or "cuda"; "auto" is CUDA where there is one, save for the native engine.

    Raises:
        LenetteError: there is no such device on this machine.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() and engine != "native" else "cpu"
    if name not in ("cpu", "cuda"):
        raise LenetteError(f"unknown device '{name}'{nearest(name, ['auto', 'cpu', 'cuda'])}: auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise LenetteError("device 'cuda': torch finds no CUDA device here; use --device cpu")
    return name


def make(name: str, model: nn.Module, plan: Plan, dataset: Dataset, device: str, threads: int) -> tuple[Any, str]:
    """Return the engine, ready for step 0, and why it was taken.

    "auto" takes the native engine on a CPU where it knows the network and the recipe and finds a compiler, and else the
    reference.

    Raises:
        LenetteError: there is no such engine, or no such number of threads.
        UnsupportedByEngine: the named engine doesn't know a layer or a field, or finds no compiler.
    """
    if name not in ("auto", *ENGINES):
        raise LenetteError(f"unknown engine '{name}'{nearest(name, ENGINES)}: auto, {', '.join(ENGINES)}")
    if not 1 <= threads <= MOST_THREADS:
        raise LenetteError(f"threads = {threads}: at least 1 and at most {MOST_THREADS}")
    if name == "native" and device != "cpu":
        raise UnsupportedByEngine(f"the native engine runs on a CPU, not on '{device}': use the reference engine")
    if name != "auto":
        return ENGINES[name].Engine(model, plan, dataset, device=device, threads=threads), "as asked"
    if device != "cpu":
        reason = f"the device is {device}"
    else:
        try:
            return native.Engine(
                model, plan, dataset, device=device, threads=threads
            ), "a CPU, and a network that the native engine knows"
        except UnsupportedByEngine as why:
            reason = str(why)
    return reference.Engine(model, plan, dataset, device=device, threads=threads), reason
