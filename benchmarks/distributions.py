"""Both engines, end to end, on networks as people write them: are their results alike in distribution?

    python benchmarks/distributions.py [--seeds 5] [--images 6000] [--epochs 2] [--networks residual,gated] [--data DIR]

trains each network of people.py by each engine from the same seeds, that is from the same weights, on the same images
in the same order and with the same dropout masks, on the first so many of MNIST's training images, and evaluates it on
a sixth of them that no engine saw. Rounding alone tells two runs of one seed apart; after some hundred steps they have
become two runs. It prints the mean accuracies and the 99 % interval of their paired difference, and writes
results/benchmarks/distributions.json and .md. It ends in an error where an interval leaves out 0.
"""

import argparse
from statistics import mean
from typing import Any

import machine
import torch
from people import PEOPLE

from lenette import data, stats
from lenette.data import Dataset, splits
from lenette.engines import ENGINES
from lenette.metrics import evaluate
from lenette.plan import Plan
from lenette.recipes import Recipe

LEVEL = 0.99


def accuracy(engine: str, network: str, recipe: Recipe, seed: int, images: Dataset, held_out: Dataset) -> float:
    """Return the accuracy on the images held out, after the last step."""
    plan = Plan(recipe, seed, len(images))
    model = plan.initial(lambda: PEOPLE[network](10, 1, 28))
    trained = ENGINES[engine](model, plan, images, device="cpu", threads=torch.get_num_threads())
    trained.advance(plan.num_steps)
    return evaluate(trained.logits(held_out.images), held_out.labels).accuracy


def compare(network: str, recipe: Recipe, seeds: int, images: Dataset, held_out: Dataset) -> dict[str, Any]:
    """Return a network's accuracies by each engine, and the interval of their difference."""
    found = {
        engine: [accuracy(engine, network, recipe, seed, images, held_out) for seed in range(seeds)]
        for engine in ENGINES
    }
    interval = stats.paired_difference(found["native"], found["reference"], LEVEL)
    return {"accuracies": found, "low": interval.low, "high": interval.high}


def report(result: dict[str, Any]) -> str:
    """Return the table in Markdown."""
    rows = []
    for name, one in result["networks"].items():
        means = [f"{100 * mean(one['accuracies'][engine]):.2f}" for engine in ("reference", "native")]
        alike = "yes" if one["low"] <= 0 <= one["high"] else "NO"
        rows.append([name, *means, f"{100 * one['low']:+.2f} to {100 * one['high']:+.2f}", alike])
    return "\n\n".join(
        [
            "# Networks as people write them, trained by both engines",
            f"{machine.sentence(result['machine'])}. {result['seeds']} seeds, {result['epochs']} epochs over "
            f"{result['images']:,} of MNIST's training images; accuracy in per cent on 10,000 others of them.",
            machine.table(["network", "reference", "native", "difference, 99 % interval", "holds 0"], rows),
        ]
    )


def main() -> None:
    """Train, print the table, write it where all networks were trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="", help=f"names with commas between them: {', '.join(PEOPLE)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--data")
    options = parser.parse_args()
    chosen = options.networks.split(",") if options.networks else list(PEOPLE)
    if unknown := set(chosen) - set(PEOPLE):
        parser.error(f"unknown network '{unknown.pop()}': {', '.join(PEOPLE)}")
    dataset = data.load("mnist", "train", options.data)
    kept, rows = splits.held_out(dataset.labels)
    images, held_out = dataset.subset(kept[: options.images], "train"), dataset.subset(rows, "validation")
    recipe = Recipe(
        model="people", epochs=options.epochs, batch_size=64, optimizer="adam", lr=0.01, schedule="onecycle"
    )
    about = {"machine": machine.describe(), "seeds": options.seeds, "epochs": options.epochs, "images": options.images}
    networks = {}
    for name in chosen:
        networks[name] = compare(name, recipe, options.seeds, images, held_out)
        print(name, networks[name], flush=True)
    result = {**about, "networks": networks}
    print(report(result))
    if not options.networks:
        machine.save("distributions", result, report(result))
    if unlike := [name for name, one in networks.items() if not one["low"] <= 0 <= one["high"]]:
        raise SystemExit(f"the engines differ on {', '.join(unlike)}")


if __name__ == "__main__":
    main()
