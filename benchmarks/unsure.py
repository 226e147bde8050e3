"""How sure a network has to be of a digit before its answer stands alone: a threshold, and how often it errs.

python benchmarks/unsure.py [--data DIR] trains the networks where they aren't found, and writes results/unsure.json and
results/unsure.md. The threshold is chosen on one half of the held-out digits and measured on the other; no test image
is read. `prepare/doubt.py` holds what came out, and a test holds it to the file.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from no_digits import KINDS

from lenette import jobs, prepare, recipes, training
from lenette.data import Preparation
from lenette.errors import DataError
from lenette.inference import Network

RECIPES = ("sigmoid_mlp", "lenet5", "ladder_7k", "under_8k")
NUM_PICTURES = 1000  # of each kind
SHARE = 0.02  # of the held-out digits that may be called unsure, on the half on which the threshold is chosen
RESULTS = Path(__file__).parents[1] / "results"


def seen_of(kind: str, network: Network, preparation: Preparation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of a kind's pictures the first choice's probability, which were refused, and which were told of."""
    dice = np.random.default_rng(0)
    sure, refused, told = np.zeros(NUM_PICTURES), np.zeros(NUM_PICTURES, bool), np.zeros(NUM_PICTURES, bool)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        for number in range(NUM_PICTURES):
            KINDS[kind](dice).save(path)
            try:
                seen = prepare.look(path, preparation, network.shape)
            except DataError:
                refused[number] = True
                continue
            told[number] = bool(seen.notes)
            sure[number] = float(network.probabilities(torch.from_numpy(seen.image.copy())[None]).max())
    return sure, refused, told


def measure(name: str, folder: str | None, store: Path) -> dict[str, Any]:
    """Return the first choices' probabilities for held-out digits, in two halves, and for each kind of other things."""
    recipe = recipes.load(name).but(protocol="sealed")
    run = training.train(recipe, folder=folder, store=store)
    _, held = jobs.datasets(recipe, folder)
    assert held is not None
    network = run.network()
    best = network.probabilities(held.images).max(dim=1)
    half = np.random.default_rng(1).permutation(len(held)) % 2 == 0
    right = (best.indices == held.labels).numpy()
    found: dict[str, Any] = {"digits": best.values.numpy(), "right": right, "half": half, "accuracy": right.mean()}
    for kind in KINDS:
        found[kind] = seen_of(kind, network, run.preparation)
    return found


def judged(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the threshold, and for each network and all together the shares that lie below it."""
    chosen = np.concatenate([one["digits"][one["half"]] for one in found.values()])
    threshold = round(float(np.quantile(chosen, SHARE)), 2)
    rows = {name: _row(one, threshold) for name, one in found.items()}
    mean = {key: float(np.mean([row[key] for row in rows.values()])) for key in next(iter(rows.values()))}
    return {"threshold": threshold, "networks": rows, "mean": mean}


def _row(one: dict[str, Any], threshold: float) -> dict[str, float]:
    unseen = ~one["half"]
    below = one["digits"][unseen] < threshold
    row = {"accuracy": float(one["accuracy"]), "digits": float(below.mean())}
    row["wrong answers"] = float(below[~one["right"][unseen]].mean())
    for kind in KINDS:
        sure, refused, told = one[kind]
        low = np.where(refused, True, sure < threshold)
        row[kind] = float(low.mean())
        row[f"{kind}, or a word"] = float((low | told).mean())
    return row


def report(about: dict[str, Any], result: dict[str, Any]) -> str:
    """Return the page."""
    keys = list(result["mean"])
    rows = [[name, *(f"{row[key]:.1%}" for key in keys)] for name, row in result["networks"].items()]
    rows.append(["mean", *(f"{result['mean'][key]:.1%}" for key in keys)])
    return "\n\n".join(
        [
            "# When a network is unsure of a digit",
            f"An answer is called unsure where its first choice has less than {result['threshold']:.0%}. Below lie "
            f"{SHARE:.0%} of one half of the held-out digits, all four networks together; the figures are of the other "
            "half, of networks that were trained on neither. The things that are no digits are made up "
            f"(`benchmarks/no_digits.py`): printed letters, clothes, noise, blank sheets, {NUM_PICTURES:,} of each, "
            "prepared as any picture is. A blank sheet is refused before a network sees it.",
            machine.table(["network", *keys], rows),
            "Each column but accuracy is the share that is called unsure, or refused; *or a word* adds those of which "
            "`predict` says that they look like no digit, or like several.",
            f"`python benchmarks/unsure.py`; {machine.sentence(about)}.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="A threshold below which an answer is unsure, and how often it errs.")
    parser.add_argument("--data", help="the folder in which MNIST lies; without it, where lenette looks")
    parser.add_argument("--store", type=Path, default=Path("runs"), help="folder of the runs")
    arguments = parser.parse_args()
    about = machine.describe()
    result = judged({name: measure(name, arguments.data, arguments.store) for name in RECIPES})
    text = report(about, result)
    (RESULTS / "unsure.json").write_text(json.dumps({"machine": about, **result}, indent=1) + "\n")
    (RESULTS / "unsure.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
