"""torch's settings around our own sums: float32 that is float32, and the same bits twice."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.backends import cuda, cudnn, mkldnn

from lenette.errors import UnsupportedByEngine

# One of the two values with which cuBLAS gives the same bits twice (its documentation, "Results reproducibility").
CUBLAS_WORKSPACE = ":4096:8"


@contextmanager
def exact(threads: int | None = None) -> Iterator[None]:
    """Hold torch to float32 without TF32 or bfloat16 in it, and to deterministic algorithms; then put all back.

    The settings are the process's: its other threads meet them too.

    Args:
        threads: CPU threads of torch; without it, as many as there are.

    Raises:
        UnsupportedByEngine: an operation has no algorithm that gives the same bits twice.
    """
    with ExitStack() as former:
        _set_variable(former, "CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
        if threads is not None:
            former.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(threads)
        former.callback(torch.set_deterministic_debug_mode, torch.get_deterministic_debug_mode())
        torch.set_deterministic_debug_mode("error")
        _set(former, torch.utils.deterministic, "fill_uninitialized_memory", False)  # costs time, decides no bit
        _set(former, cudnn, "deterministic", True)
        _set(former, cudnn, "benchmark", False)
        _set_float32(former)
        try:
            yield
        except RuntimeError as error:
            operation, known, _ = str(error).partition(" does not have a deterministic implementation")
            if not known:
                raise
            raise UnsupportedByEngine(
                f"'{operation}' has no algorithm that gives the same bits twice on this device: "
                "let the network do without it, or try the other device (--device cpu)"
            ) from error


def _set_float32(former: ExitStack) -> None:
    """Have float32 computed in float32 by cuBLAS, cuDNN and oneDNN."""
    # A place that says "none" takes the value of the one above it, and only so reads as what it was.
    _set(former, torch.backends, "fp32_precision", "none")
    for library in (cudnn, mkldnn):
        _set(former, library, "fp32_precision", "ieee")
    libraries: Any = {cuda: ("matmul",), cudnn: ("conv", "rnn"), mkldnn: ("matmul", "conv", "rnn")}
    for place in (getattr(library, name) for library, names in libraries.items() for name in names):
        if place.fp32_precision != "ieee":
            _set(former, place, "fp32_precision", "ieee")


def _set(former: ExitStack, place: Any, name: str, value: Any) -> None:
    former.callback(setattr, place, name, getattr(place, name))
    setattr(place, name, value)


def _set_variable(former: ExitStack, name: str, value: str) -> None:
    before = os.environ.get(name)
    former.callback(os.environ.pop, name) if before is None else former.callback(os.environ.__setitem__, name, before)
    os.environ[name] = value
