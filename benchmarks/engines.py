"""The native engine against PyTorch, beside its goals: an epoch of every network, in one process, interleaved.

    python benchmarks/engines.py [--networks ladder_7k,residual] [--rounds 5] [--seconds 2] [--threads N] [--data DIR]

prints the tables and, where no networks are named, writes results/benchmarks/engines.json and .md. An epoch's time is
that of some of its steps, extended to all of them, on real MNIST, evaluation excluded; of `rounds` rounds, in each of
which every side trains for about `seconds`, the median counts. PyTorch's sides train the same plain network on batches
that lie ready in memory, normalised and not augmented; the native engine gathers, normalises and lays them out itself.
"""

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import machine
import roofline
import torch
from people import PEOPLE
from torch import nn
from torch.nn import functional

from lenette import data, models, recipes
from lenette.data import Dataset
from lenette.engines import native
from lenette.engines.native import compiler
from lenette.engines.native.generate import source_of
from lenette.plan import Plan
from lenette.recipes import Recipe

# How many times as fast as PyTorch's best float32, and which share of the peak, was set as the goal in November 2026.
GOALS: dict[str, tuple[float | None, float | None]] = {
    "ladder_7k": (12, 0.55),
    "ladder_12k": (None, None),
    "ladder_15k": (None, None),
    "transition_19k": (6.5, None),
    "deep_19k": (6.5, None),
    "under_8k": (6, 0.4),
    "under_20k": (8, 0.4),
    "lenet5": (7, None),
    "sigmoid_mlp": (None, None),
    "residual": (4, None),
    "gated": (4, None),
    "concatenating": (4, None),
    "example": (2.2, None),
    "four_conv_593k": (2.2, None),
}
SIDES = ("eager", "channels_last", "compile", "bfloat16")
AUGMENTATION = {
    "rotation", "translation", "scale", "shear", "crop_size", "crop_probability", "crop_padding", "brightness",
    "contrast", "erase_size", "erase_probability",
}  # fmt: skip


def torch_side(side: str, model: nn.Module, recipe: Recipe, dataset: Dataset) -> Callable[[int], None]:
    """Return what trains a number of steps in PyTorch."""
    layout = torch.channels_last if side == "channels_last" else torch.contiguous_format
    model = copy.deepcopy(model).train().to(memory_format=layout)
    forward = torch.compile(model) if side == "compile" else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    mean, std = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    size = recipe.batch_size
    images = [
        ((dataset.images[i * size : (i + 1) * size].float() / 255 - mean) / std).contiguous(memory_format=layout)
        for i in range(8)
    ]
    labels = [dataset.labels[i * size : (i + 1) * size] for i in range(8)]

    def train(steps: int) -> None:
        for step in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=side == "bfloat16"):
                loss = functional.cross_entropy(forward(images[step % 8]), labels[step % 8])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def native_side(model: nn.Module, recipe: Recipe, dataset: Dataset, threads: int) -> Callable[[int], None]:
    engine = native.Engine(copy.deepcopy(model), Plan(recipe, 0, len(dataset)), dataset, threads=threads)
    return lambda steps: (engine.advance(engine.step + steps), None)[1]


def epochs(
    sides: dict[str, Callable[[int], None]], recipe: Recipe, num_images: int, rounds: int, seconds: float
) -> dict[str, float]:
    """Return the median seconds of an epoch for each side."""
    steps_per_epoch = -(-num_images // recipe.batch_size)
    times: dict[str, list[float]] = {name: [] for name in sides}
    steps = {}
    for name, train in sides.items():
        train(3)
        start = time.perf_counter()
        train(1)
        steps[name] = max(1, min(steps_per_epoch, int(seconds / (time.perf_counter() - start))))
    for _ in range(rounds):
        for name, train in sides.items():
            machine.wait_for_quiet()
            start = time.perf_counter()
            train(steps[name])
            times[name].append((time.perf_counter() - start) / steps[name] * steps_per_epoch)
    return {name: median(values) for name, values in times.items()}


def compile_seconds(model: nn.Module, dataset: Dataset) -> float:
    """Return how long the first use of a network takes to compile."""
    source = source_of(model, tuple(dataset.images.shape[1:]), dataset.mean, dataset.std)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network.cpp").write_text(source)
        flags = compiler.build_of("float")["flags"].split()
        command = [*compiler.find(), *flags, f"-I{compiler.HEADERS}", "network.cpp", "-o", "network.so"]
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True)
        return time.perf_counter() - start


def peak_megabytes(network: str, threads: int, folder: str | None) -> float:
    """Return the peak memory of a process of its own that trains ten steps with the native engine, less its start's."""
    code = f"import engines; print(engines.memory_of({network!r}, {threads}, {folder!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def memory_of(network: str, threads: int, folder: str | None) -> float:
    (model, recipe), dataset = subject(network), data.load("mnist", "train", folder)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, at what is in use now
    before = _peak_kilobytes()
    native_side(model, recipe, dataset, threads)(10)
    return (_peak_kilobytes() - before) / 1024


def _peak_kilobytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def whole_run(threads: int, folder: str | None) -> dict[str, float]:
    """Return the wall time of `lenette train ladder_7k_step`, 15 epochs, from start to report, with what it came to.

    Once with an empty cache, so that the network is compiled, and once more.
    """
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-c", "from lenette.cli import main; main()", "train", "ladder_7k_step", "--again"]
        command += ["--engine", "native", "--json", "--store", place, "--threads", str(threads)]
        command += ["--data", folder] if folder else []
        seconds = []
        for _ in range(2):
            machine.wait_for_quiet()
            start = time.perf_counter()
            done = subprocess.run(
                command, env={**os.environ, "XDG_CACHE_HOME": place}, capture_output=True, text=True, check=True
            )
            seconds.append(time.perf_counter() - start)
        return {
            "first_seconds": seconds[0],
            "seconds": seconds[1],
            "test_accuracy": json.loads(done.stdout)["result"]["accuracy"],
        }


def subject(network: str) -> tuple[nn.Module, Recipe]:
    """Return a network, and its recipe without augmentation and with epochs enough for any number of rounds."""
    torch.manual_seed(0)
    if network in PEOPLE:
        return PEOPLE[network](10, 1, 28), Recipe(
            model=network, epochs=1000, batch_size=64, lr=0.01, schedule="constant"
        )
    recipe = recipes.load(network)
    off = {name: 0 for name in AUGMENTATION if getattr(recipe, name) and not name.endswith("probability")}
    return models.build(recipe.model), recipe.but(max_epochs=0, epochs=1000, **off)


def measure(network: str, dataset: Dataset, peak: float, args: argparse.Namespace) -> dict[str, Any]:
    """Return a network's figures."""
    model, recipe = subject(network)
    named = [side for side in args.sides.split(",") if side != "compile" or shutil.which("g++")]
    sides = {side: torch_side(side, model, recipe, dataset) for side in named}
    sides["native"] = native_side(model, recipe, dataset, args.threads)
    sides["native, 1 thread"] = native_side(model, recipe, dataset, 1)
    seconds = epochs(sides, recipe, len(dataset), args.rounds, args.seconds)
    float32 = [seconds[side] for side in named if side != "bfloat16"]
    shape = tuple(dataset.images.shape[1:])
    least = roofline.seconds(model, shape, recipe.batch_size, peak, args.threads) * len(dataset)
    goal, share = GOALS[network]
    return {
        "batch_size": recipe.batch_size,
        "epoch_seconds": seconds,
        "times_faster": min(float32) / seconds["native"] if float32 else None,
        "goal_times_faster": goal,
        "times_faster_than_bfloat16": seconds["bfloat16"] / seconds["native"] if "bfloat16" in seconds else None,
        "share_of_peak": roofline.image_flops(model, shape) * len(dataset) / seconds["native"] / peak,
        "goal_share_of_peak": share,
        "share_of_roofline": least / seconds["native"],
        "compile_seconds": compile_seconds(model, dataset),
        "peak_megabytes": peak_megabytes(network, args.threads, args.data),
    }


def main() -> None:
    """Measure the networks, print the tables, and write them where all were measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="", help=f"names with commas between them: {', '.join(GOALS)}")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--data", default=None)
    args = parser.parse_args()
    chosen = args.networks.split(",") if args.networks else list(GOALS)
    if unknown := set(chosen) - set(GOALS):
        parser.error(f"unknown network '{unknown.pop()}': {', '.join(GOALS)}")
    torch.set_num_threads(args.threads)
    dataset = data.load("mnist", "train", args.data)
    peak = roofline.peak_flops(args.threads)
    result: dict[str, Any] = {"machine": machine.describe(), "peak_gflops": peak / 1e9, "networks": {}}
    for network in chosen:
        result["networks"][network] = measure(network, dataset, peak, args)
        print(network, result["networks"][network], flush=True)
    if not args.networks:
        result["whole_run"] = whole_run(args.threads, args.data)
    text = report(result)
    print(text)
    if not args.networks:
        machine.save("engines", result, text)


def report(result: dict[str, Any]) -> str:
    """Return the tables in Markdown."""

    def times(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    rows, goals = [], []
    for name, network in result["networks"].items():
        seconds = network["epoch_seconds"]
        took = [f"{seconds[side]:.2f}" if side in seconds else "-" for side in (*SIDES, "native", "native, 1 thread")]
        about = [f"{network['peak_megabytes']:.0f}", f"{network['compile_seconds']:.1f}"]
        rows.append([name, str(network["batch_size"]), *took, *about])
        faster = [times(network[f"{goal}times_faster"]) for goal in ("", "goal_")]
        of_peak = [share(network[f"{goal}share_of_peak"]) for goal in ("", "goal_")]
        half = times(network["times_faster_than_bfloat16"])
        goals.append([name, *faster, half, *of_peak, share(network["share_of_roofline"])])
    columns = ["network", "batch", *SIDES, "native", "1 thread", "MB", "compile s"]
    reached = ["network", "times faster", "goal", "than bfloat16", "of peak", "goal", "of roofline"]
    parts = [
        "# The native engine against PyTorch: seconds for an epoch of MNIST",
        machine.sentence(result["machine"])
        + f"; multiply-add peak, measured: {result['peak_gflops']:.0f} GFLOP/s with these threads.",
        machine.table(columns, rows),
        "MB: what the native engine adds to the process's memory at its peak. `compile s`: its first use of the "
        "network. Four are classes as people write them (`benchmarks/people.py`): `residual`, `gated` (squeeze "
        "and excitation), `concatenating`, and PyTorch's own `example`.",
        machine.table(reached, goals),
        "Times faster: than the best of PyTorch's float32 columns; than bfloat16: than its autocast. Of peak: the "
        "multiply-adds of an epoch, as a plain convolution has them. Of roofline: of the pace that multiply-adds or "
        "memory allow (`benchmarks/roofline.py`).",
    ]
    if whole := result.get("whole_run"):
        parts.append(
            f"`lenette train ladder_7k_step`, 15 epochs, {result['machine']['threads']} threads, start to report: "
            f"{whole['seconds']:.1f} s, {whole['first_seconds']:.1f} s with the first use's compilation; test accuracy "
            f"{whole['test_accuracy']:.2%} (seed 0, the last epoch's)."
        )
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
