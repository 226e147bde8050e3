"""What was tried for sprint: each candidate over folds of the training images, and the CPU seconds that it trains.

    python benchmarks/sprint.py NAME ... [--folds 6] [--seeds 1] [--data DIR]

trains each candidate by the native engine on one thread, once a fold and seed, and prints its mean accuracy on the
sixth of MNIST's training images that was left out, after the last epoch, +- the standard deviation of one run. The test
images are not opened. The CPU's seconds, not the clock's, so that other work on the machine does not count. A network is
written as in candidates.py; docs/LOG.md says what was learned.
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

CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    "stride5": ("8k5s 16 m 32 flat", {}),
    "stride5_3": ("8k5s 16 m 32 flat", {"epochs": 3}),
    "stride5_6": ("8k5s 16 m 32 flat", {"epochs": 6}),
    "stride5_wide": ("12k5s 24 m 32 flat", {}),
    "stride5_deep": ("8k5s 16 16 m 32 flat", {}),
    "pool": ("8 m 16 m 32 flat", {}),
    "pool_narrow": ("6 m 12 m 24 flat", {}),
    "pool_gap": ("8 m 16 m 32 gap", {}),
    "stride3": ("8s 16 16 m 32 flat", {}),
    "two": ("12k5s 24k5s flat", {}),
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
