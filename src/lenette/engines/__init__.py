"""The engines, and the visible rule by which "auto" chooses one."""

from dataclasses import dataclass

import torch
from torch import nn

from lenette.data import Dataset
from lenette.engines import native, reference
from lenette.engines.protocol import Engine, Maker
from lenette.errors import LenetteError, UnsupportedByEngine, nearest
from lenette.identity import Build
from lenette.plan import Plan
from lenette.recipes import Recipe

__all__ = ["DEFAULT_THREADS", "ENGINES", "Choice", "Engine", "choose", "make", "words"]

# What torch takes: OMP_NUM_THREADS, or the physical cores. Asked for before an engine sets another number.
DEFAULT_THREADS = torch.get_num_threads()

MOST_THREADS = 1024  # more is a slip, and takes the system's last

# How many times as long the reference takes as the native engine, of the networks in results/benchmarks/engines.json.
TIMES_SLOWER = (1.5, 10)

ENGINES: dict[str, Maker] = {"reference": reference.Engine, "native": native.Engine}


@dataclass(frozen=True)
class Choice:
    """An engine that was chosen, why, where it runs, and its build; `auto` says that the user named none."""

    name: str
    device: str
    threads: int
    reason: str
    build: Build
    auto: bool


def choose(name: str, device: str, threads: int | None, model: nn.Module, recipe: Recipe, dataset: Dataset) -> Choice:
    """Return the engine that would train the network; nothing is built.

    "auto" takes the native engine on a CPU where it knows the network and the recipe and finds a compiler, and else the
    reference.

    Args:
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; without it, as many as torch would take.

    Raises:
        LenetteError: there is no such engine or device, or no such number of threads.
        UnsupportedByEngine: the named engine doesn't know a layer or a field, or finds no compiler.
    """
    if name not in ("auto", *ENGINES):
        raise LenetteError(f"unknown engine '{name}'{nearest(name, ENGINES)}: auto, {', '.join(ENGINES)}")
    threads = DEFAULT_THREADS if threads is None else threads
    if not 1 <= threads <= MOST_THREADS:
        raise LenetteError(f"threads = {threads}: at least 1 and at most {MOST_THREADS}")
    device = _device(device, name)

    def chosen(engine: str, reason: str) -> Choice:
        more = ENGINES[engine].require(model, recipe, dataset)
        build = {**ENGINES[engine].build(device, threads), **more}
        return Choice(engine, device, threads, reason, build, name == "auto")

    if name != "auto":
        return chosen(name, "as asked")
    if device != "cpu":
        return chosen("reference", f"the device is {device}")
    try:
        return chosen("native", "a CPU, and a network that the native engine knows")
    except UnsupportedByEngine as why:
        return chosen("reference", str(why))


def make(choice: Choice, model: nn.Module, plan: Plan, dataset: Dataset) -> Engine:
    """Return the chosen engine, ready for step 0; it trains the model in place.

    Raises:
        UnsupportedByEngine: it can't be compiled here.
    """
    return ENGINES[choice.name](model, plan, dataset, device=choice.device, threads=choice.threads)


def words(choice: Choice) -> str:
    """Return in one line which engine was chosen; of the reference also why, and what that costs on a CPU."""
    where = "CUDA" if choice.device == "cuda" else f"{choice.threads} CPU thread{'s' if choice.threads > 1 else ''}"
    line = f"engine: {choice.name}, {where}"
    if choice.name == "native" or choice.device != "cpu":
        return line
    why = choice.reason.partition("\n")[0].removesuffix(": use the reference engine")
    low, high = TIMES_SLOWER
    return f"{line}: {why}; some {low:g} to {high:g} times as slow as the native engine, by the networks measured"


def _device(name: str, engine: str) -> str:
    """Return "cpu" or "cuda"; "auto" is CUDA where there is one, save for the native engine."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() and engine != "native" else "cpu"
    if name not in ("cpu", "cuda"):
        raise LenetteError(f"unknown device '{name}'{nearest(name, ['auto', 'cpu', 'cuda'])}: auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise LenetteError("device 'cuda': torch finds no CUDA device here; use --device cpu")
    return name
