"""The native engine against PyTorch: an epoch of every shipped network, in one process, interleaved.

    python benchmarks/engines.py [--networks ladder_7k,lenet5] [--rounds 5] [--seconds 4] [--threads N] [--data DIR]

prints the tables and writes results/benchmarks/engines.json and .md. An epoch's time is that of some of its steps,
extended to all of them, on real MNIST, evaluation excluded; of `rounds` rounds, in each of which every side trains for
about `seconds`, the median counts. PyTorch's sides train the same plain network on batches that lie ready in memory,
normalised and not augmented; the native engine gathers, normalises and lays them out itself.
"""

import argparse
import copy
import ctypes
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
import torch
from torch import nn
from torch.nn import functional

from lenette import data, models, recipes
from lenette.data import Dataset
from lenette.engines import native
from lenette.engines.native import compiler
from lenette.engines.native.generate import source_of
from lenette.plan import Plan
from lenette.recipes import Recipe

NETWORKS = (
    "ladder_7k",
    "ladder_12k",
    "ladder_15k",
    "transition_19k",
    "deep_19k",
    "lenet5",
    "sigmoid_mlp",
    "four_conv_593k",
)
SIDES = ("eager", "channels_last", "compile", "bfloat16")
BATCH_SIZES = (32, 64, 128, 256, 512)
AUGMENTATION = {
    "rotation", "translation", "scale", "shear", "crop_size", "crop_probability", "crop_padding", "brightness",
    "contrast", "erase_size", "erase_probability",
}  # fmt: skip

# As many independent multiply-adds as hide each other's latency, none of which touches memory.
PEAK = """
#include "threads.hpp"
#include "tiles.hpp"
using namespace lenette;
extern "C" void multiply_add(int threads, long rounds, Scalar* result) {
    in_parallel(threads, [&](int part) {
        Vector sum[16], a = Vector{} + Scalar(0.5), b = a;
        LENETTE_UNROLL
        for (int k = 0; k < 16; ++k) sum[k] = a * Scalar(k);  // equal sums would be taken once
        for (long i = 0; i < rounds; ++i) {
            asm volatile("" : "+m"(a), "+m"(b));
            LENETTE_UNROLL
            for (int k = 0; k < 16; ++k) sum[k] += a * b;
        }
        Vector all{};
        LENETTE_UNROLL
        for (int k = 0; k < 16; ++k) all += sum[k];
        result[part] = all[0];
    });
}
extern "C" int lanes() { return kLanes; }
"""


def peak_flops(threads: int) -> float:
    """Return the multiply-adds that the machine can do, counted as two operations, a second."""
    library = compiler.compile_library(PEAK)
    rounds, result = 1_000_000, (ctypes.c_float * threads)()

    def seconds() -> float:
        start = time.perf_counter()
        library.multiply_add(threads, ctypes.c_long(rounds), result)
        return time.perf_counter() - start

    return threads * rounds * 16 * library.lanes() * 2 / min(seconds() for _ in range(50))


def step_flops(model: nn.Module, image: torch.Tensor) -> float:
    """Return the multiply-adds, counted as two operations, of one image in a training step."""
    flops, first = 0.0, True
    x = image
    with torch.no_grad():
        for layer in model.eval():
            out = layer(x)
            if isinstance(layer, nn.Conv2d | nn.Linear):
                # forward, weight gradient, and input gradient for all but the first
                flops += 2 * (2 if first else 3) * out.shape[2:].numel() * layer.weight.numel()
                first = False
            x = out
    model.train()
    return flops


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
    recipe, dataset = plain(network), data.load("mnist", "train", folder)
    model = models.build(recipe.model)
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


def plain(network: str, **changes: Any) -> Recipe:
    """Return the shipped recipe of that name without augmentation and with epochs enough for any number of rounds."""
    recipe = recipes.load(network)
    off = {name: 0 for name in AUGMENTATION if getattr(recipe, name) and not name.endswith("probability")}
    return recipe.but(max_epochs=0, epochs=1000, **off, **changes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--data", default=None)
    parser.add_argument("--batch-sizes", default=",".join(map(str, BATCH_SIZES)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dataset = data.load("mnist", "train", args.data)
    result: dict[str, Any] = {
        "machine": machine.describe(),
        "peak_gflops": peak_flops(args.threads) / 1e9,
        "networks": {},
    }
    chosen_sides = [side for side in args.sides.split(",") if side != "compile" or shutil.which("g++")]
    for network in args.networks.split(","):
        recipe = plain(network)
        torch.manual_seed(0)
        model = models.build(recipe.model)
        sides = {side: torch_side(side, model, recipe, dataset) for side in chosen_sides}
        sides["native"] = native_side(model, recipe, dataset, args.threads)
        sides["native, 1 thread"] = native_side(model, recipe, dataset, 1)
        seconds = epochs(sides, recipe, len(dataset), args.rounds, args.seconds)
        float32 = [seconds[side] for side in chosen_sides if side != "bfloat16"]
        sizes = {}
        for size in map(int, filter(None, args.batch_sizes.split(","))):
            other = plain(network, batch_size=size)
            side = {"native": native_side(model, other, dataset, args.threads)}
            sizes[size] = epochs(side, other, len(dataset), min(3, args.rounds), args.seconds / 2)["native"]
        flops = step_flops(model, dataset.images[:1].float()) * len(dataset)
        result["networks"][network] = {
            "batch_size": recipe.batch_size,
            "epoch_seconds": seconds,
            "times_faster": min(float32) / seconds["native"] if float32 else None,
            "share_of_peak": flops / seconds["native"] / 1e9 / result["peak_gflops"],
            "epoch_seconds_by_batch_size": sizes,
            "compile_seconds": compile_seconds(model, dataset),
            "peak_megabytes": peak_megabytes(network, args.threads, args.data),
        }
        print(network, result["networks"][network], flush=True)
    result["whole_run"] = whole_run(args.threads, args.data)
    text = report(result)
    print(text)
    machine.save("engines", result, text)


def report(result: dict[str, Any]) -> str:
    rows, size_rows = [], []
    for name, network in result["networks"].items():
        seconds = network["epoch_seconds"]
        faster = f"{network['times_faster']:.1f}" if network["times_faster"] else "-"
        rows.append(
            [name, str(network["batch_size"])]
            + [f"{seconds[side]:.2f}" if side in seconds else "-" for side in (*SIDES, "native", "native, 1 thread")]
            + [faster, f"{network['share_of_peak']:.0%}"]
            + [f"{network['peak_megabytes']:.0f}", f"{network['compile_seconds']:.1f}"]
        )
        size_rows.append([name, *(f"{value:.2f}" for value in network["epoch_seconds_by_batch_size"].values())])
    whole = result["whole_run"]
    columns = ["network", "batch", *SIDES, "native", "1 thread", "times faster", "of peak", "MB", "compile s"]
    sizes = list(next(iter(result["networks"].values()))["epoch_seconds_by_batch_size"])
    return "\n\n".join(
        [
            "# The native engine against PyTorch: seconds for an epoch of MNIST",
            machine.sentence(result["machine"])
            + f"; multiply-add peak, measured: {result['peak_gflops']:.0f} GFLOP/s with these threads.",
            machine.table(columns, rows),
            "Times faster: than the best of PyTorch's float32 columns. Of peak: the epoch's multiply-adds. MB: what "
            "the native engine adds to the process's memory at its peak. `compile s`: its first use of the network.",
            f"`lenette train ladder_7k_step`, 15 epochs, {result['machine']['threads']} threads, start to report: "
            f"{whole['seconds']:.1f} s, {whole['first_seconds']:.1f} s with the first use's compilation; test accuracy "
            f"{whole['test_accuracy']:.2%} (seed 0, the last epoch's).",
            "The native engine's epoch by batch size:",
            machine.table(["network", *map(str, sizes)], size_rows),
        ]
    )


if __name__ == "__main__":
    main()
