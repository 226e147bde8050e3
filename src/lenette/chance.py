"""Torch's, NumPy's and Python's own generators, held in the plan's hands while somebody else's code runs."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

# What sets a generator that a whole program shares: in a network's file it would take chance from the plan's seed.
SEEDERS = (
    (torch, "manual_seed"),
    (torch, "seed"),
    (torch.random, "manual_seed"),
    (np.random, "seed"),
    (random, "seed"),
)
_seed_torch, _seed_numpy, _seed_python = torch.manual_seed, np.random.seed, random.seed


@contextmanager
def planned(told: set[str] | None = None, devices: Sequence[torch.device] = ()) -> Iterator[Callable[[int], None]]:
    """Yield a function that seeds all three generators; afterwards they are as they were before.

    What else seeds them meanwhile has no effect.

    Args:
        told: is given the names of the functions that tried, as "torch.manual_seed".
        devices: CUDA devices, the generators of which are seeded too.
    """

    def start(seed: int) -> None:
        for seeder in (_seed_torch, _seed_python):
            seeder(seed)
        _seed_numpy(seed & 0xFFFFFFFF)

    def ignored(name: str) -> Callable[..., Any]:
        def seeder(*_: Any, **__: Any) -> torch.Generator:
            if told is not None:
                told.add(name)
            return torch.default_generator

        return seeder

    with ExitStack() as former, torch.random.fork_rng(devices):
        former.callback(np.random.set_state, np.random.get_state())  # noqa: NPY002 - a user's code may draw there
        former.callback(random.setstate, random.getstate())
        for home, name in SEEDERS:
            former.callback(setattr, home, name, getattr(home, name))
            setattr(home, name, ignored(f"{home.__name__}.{name}"))
        yield start


def generators() -> tuple[Any, ...]:
    """Return the state of all three generators, to be compared."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), str(numpy_state), random.getstate()
