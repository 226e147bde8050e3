"""What was tried for sprint: each candidate over folds of the training images, and the CPU seconds that it trains.

    python benchmarks/sprint.py NAME ... [--folds 6] [--seeds 1] [--data DIR]

trains each candidate by the native engine on one thread, once a fold and seed. It prints a row each: network, recipe,
runs; the mean accuracy in per cent on the sixth of MNIST's training images that was left out, after the last epoch; the
standard deviation of one run in points; and the mean CPU seconds of training, which other work on the machine hardly
changes. The test images are not opened. A network is written as in candidates.py; docs/LOG.md says what was learned.
"""

import argparse
import time
from functools import partial
from statistics import mean, stdev
from typing import Any

import candidates
import torch

from lenette import data
from lenette.data import Dataset, splits
from lenette.engines import native
from lenette.metrics import evaluate
from lenette.plan import Plan
from lenette.recipes import Recipe

COMMON: dict[str, Any] = {
    "model": "sprint",
    "protocol": "sealed",
    "batch_size": 64,
    "lr": 0.2,
    "schedule": "onecycle",
    "epochs": 4,
    "warmup_fraction": 0.2,
}

STRIDE5 = "8k5s 16 m 32 flat"
SMOOTH = {"epochs": 3, "batch_size": 32, "lr": 0.1, "label_smoothing": 0.1}

CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "stride5": (STRIDE5, {}),
    "stride5_3": (STRIDE5, {"epochs": 3}),
    "stride5_6": (STRIDE5, {"epochs": 6}),
    "stride5_wide": ("12k5s 24 m 32 flat", {}),
    "stride5_deep": ("8k5s 16 16 m 32 flat", {}),
    "pool": ("8 m 16 m 32 flat", {}),
    "pool_narrow": ("6 m 12 m 24 flat", {}),
    "pool_gap": ("8 m 16 m 32 gap", {}),
    "stride3": ("8s 16 16 m 32 flat", {}),
    "two": ("12k5s 24k5s flat", {}),
    # narrower, shorter
    "stride5_24": ("8k5s 16 m 24 flat", {}),
    "stride5_narrow": ("6k5s 12 m 24 flat", {}),
    "stride3_wide": ("8s 16 m 32 flat", {}),
    "strides": ("8k5s 16s 32 flat", {}),
    "strides_wide": ("12k5s 24s 32 flat", {}),
    "strides_3": ("12k5s 24s 32 flat", {"epochs": 3}),
    "stride5_32": (STRIDE5, {"batch_size": 32, "epochs": 3, "lr": 0.1}),
    "stride5_128": (STRIDE5, {"batch_size": 128}),
    "stride5_slow": (STRIDE5, {"epochs": 3, "lr": 0.1}),
    "stride5_fast": (STRIDE5, {"epochs": 3, "lr": 0.4}),
    "stride5_smooth": (STRIDE5, {"epochs": 3, "label_smoothing": 0.1}),
    "stride5_decay": (STRIDE5, {"epochs": 3, "weight_decay": 5e-4}),
    "stride5_nesterov": (STRIDE5, {"epochs": 3, "nesterov": True}),
    "stride5_adam": (STRIDE5, {"epochs": 3, "optimizer": "adamw", "lr": 0.01}),
    "wide_3": ("12k5s 24 m 32 flat", {"epochs": 3}),
    "wide_2": ("12k5s 24 m 32 flat", {"epochs": 2}),
    # small batches, smoothed labels
    "smooth": (STRIDE5, SMOOTH),
    "smooth_fast": (STRIDE5, {**SMOOTH, "lr": 0.2}),
    "smooth_decay": (STRIDE5, {**SMOOTH, "weight_decay": 5e-4}),
    "smooth_2": (STRIDE5, {**SMOOTH, "epochs": 2}),
    "smooth_wide_2": ("12k5s 24 m 32 flat", {**SMOOTH, "epochs": 2}),
    "smooth_pool_2": ("8 m 16 m 32 flat", {**SMOOTH, "epochs": 2}),
    "smooth_narrow": ("6k5s 12 m 24 flat", SMOOTH),
    "smooth_24": ("8k5s 16 m 24 flat", SMOOTH),
    "smooth_deep_2": ("8k5s 16 16 m 32 flat", {**SMOOTH, "epochs": 2}),
    "smooth_slow": (STRIDE5, {**SMOOTH, "lr": 0.05}),
    "smooth_shift": (STRIDE5, {**SMOOTH, "translation": 1.0}),
    "smooth_faster": (STRIDE5, {**SMOOTH, "lr": 0.3}),
    "smooth_fast_decay": (STRIDE5, {**SMOOTH, "lr": 0.2, "weight_decay": 3e-4}),
    "smooth_fast_warm": (STRIDE5, {**SMOOTH, "lr": 0.2, "warmup_fraction": 0.1}),
    "smooth_fast_light": (STRIDE5, {**SMOOTH, "lr": 0.2, "label_smoothing": 0.05}),
    "light": (STRIDE5, {"epochs": 3, "label_smoothing": 0.05}),
    "light_2": (STRIDE5, {**SMOOTH, "lr": 0.2, "label_smoothing": 0.05, "epochs": 2}),
    "smooth_average": (STRIDE5, {**SMOOTH, "schedule": "constant", "warmup_fraction": None, "ema_decay": 0.998}),
}


def train(words: str, recipe: Recipe, images: Dataset, held_out: Dataset, seed: int) -> tuple[float, float]:
    """Return the accuracy on the images held out and the CPU seconds of training."""
    plan = Plan(recipe, seed, len(images))
    engine = native.Engine(plan.initial(partial(candidates.network, words)), plan, images, threads=1)
    start = time.process_time()
    engine.advance(plan.num_steps)
    seconds = time.process_time() - start
    return evaluate(engine.logits(held_out.images), held_out.labels).accuracy, seconds


def main() -> None:
    """Train the candidates and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--folds", type=int, default=6, choices=range(1, 7))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data")
    options = parser.parse_args()
    for name in options.names:
        if name not in CANDIDATES:
            parser.error(f"unknown candidate '{name}': {', '.join(CANDIDATES)}")
    torch.set_num_threads(1)
    dataset = data.load("mnist", "train", options.data)
    for name in options.names:
        words, changes = CANDIDATES[name]
        recipe = Recipe(**{**COMMON, **changes})
        found = []
        for fold in range(options.folds):
            kept, held_out = (dataset.subset(rows, "part") for rows in splits.held_out(dataset.labels, fold))
            found += [train(words, recipe, kept, held_out, seed) for seed in range(options.seeds)]
        right, seconds = ([values[i] for values in found] for i in (0, 1))
        print(
            f"| `{name}` | {words} | {changes or ''} | {len(found)} | {100 * mean(right):.3f} | "
            f"{100 * stdev(right):.3f} | {mean(seconds):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
