"""What was tried for under_8k, under_10k and under_20k: each candidate over the six folds of the training images.

    python benchmarks/candidates.py NAME ... [--folds 6] [--data DIR] [--store DIR]

trains each candidate once a fold, each time without another sixth of MNIST's training images, and prints its mean
accuracy on the sixths left out, after the last epoch, +- the standard error over folds. That one is too small: any two
folds share four fifths of their training images, so that they err together. The test images are not opened: the
protocol is sealed. docs/LOG.md says what was learned. Without a name, it prints what the log's table says of choosing:
by how much the best of so many candidates is measured better than it is.

A network is written as a row of words: `8` is a 3x3 convolution to 8 channels with batch-norm and ReLU, `8p` one that
pads by 1, `8k5` one of 5x5, `8k1` of 1x1, `8s` one of stride 2; `d` is a bare depthwise 3x3 convolution, `d5` one of
5x5, `dp` and `d5p` pad so that the image keeps its size, `dn` has batch-norm, `dr` batch-norm and ReLU; `m` halves the
image by max-pool. At the end `gap` averages, before a linear layer, `last` is a bare 1x1 convolution to the classes and
then the average, `flat` a linear layer on the whole map.
"""

import argparse
import re
from functools import partial
from math import nan, sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from torch import nn

from lenette import many, models, stats
from lenette.errors import LenetteError
from lenette.models.layers import sequential
from lenette.recipes import Recipe

LOG = Path(__file__).parent.parent / "docs" / "LOG.md"
COMMON: dict[str, Any] = {
    "dataset": "mnist",
    "protocol": "sealed",
    "epochs": 15,
    "batch_size": 64,
    "lr": 0.1,
    "schedule": "onecycle",
    "weight_decay": 3e-4,
    "rotation": 10.0,
    "translation": 2.0,
    "scale": 0.1,
    "shear": 0.1,
}

BASE8 = "8 12 m 12 14 m 14p 14p gap"
BASE10 = "8 14 m 14 16 m 16p 16p gap"
SINGLE20 = "8 16 m 16 24 24p 24 last"
SEPARABLE8 = "16 d 32k1 m d 32k1 d 32k1 dp 32k1 d 32k1 d 28k1 last"
SEPARABLE10 = "16 d 37k1 m d 37k1 d 37k1 dp 37k1 d 37k1 d 32k1 last"
SEPARABLE20 = "24 d 52k1 m d 54k1 d 54k1 dp 54k1 d 54k1 d 48k1 last"
EMA = {"ema_decay": 0.999}
STRONG = {"rotation": 15.0, "translation": 2.5, "scale": 0.15, "shear": 0.15}

CANDIDATES: dict[str, tuple[str, dict[str, Any]]] = {
    # under 8,000 parameters: the recipe
    "base8": (BASE8, {}),
    "base8_light": (BASE8, {"rotation": 7.0, "translation": 1.0, "scale": 0.07, "shear": 0.07}),
    "gentle8": (BASE8, {"rotation": 7.0, "scale": 0.07, "shear": 0.07}),
    "gentle8_3": (BASE8, {"rotation": 7.0, "scale": 0.07, "shear": 0.07, "translation": 3.0}),
    "shift1_8": (BASE8, {"translation": 1.0}),
    "base8_decay": (BASE8, {"weight_decay": 1e-4}),
    "fast8": (BASE8, {"lr": 0.2}),
    "slow8": (BASE8, {"lr": 0.05}),
    "base8_32": (BASE8, {"batch_size": 32}),
    "base8_128": (BASE8, {"batch_size": 128}),
    "smooth8": (BASE8, {"label_smoothing": 0.1}),
    "ema8": (BASE8, EMA),
    # the network
    "deep8": ("8 10 m 10 10 10p m 12p 12p 12p gap", {}),
    "padded8": ("8p 12p m 12p 12p m 14p 14p gap", {}),
    "bottleneck8": ("8 16 m 8k1 16 8k1 16 m 8k1 16p 8k1 16p gap", {}),
    "valid8": ("8 12 m 12 12 12 12 14 gap", {}),
    "early8": ("8 8 12 m 12 12 12 14 gap", {}),
    "large8": ("8k5 12 m 12 14 m 14p 14p gap", {}),
    "flat8": ("8 12 m 12 14 m 14p 10 flat", {}),
    "flat8_wider": ("8 12 m 12 14 m 15p 12 flat", {}),
    "flat8_late": ("8 12 m 12 12 m 16p 12 flat", {}),
    "double8": ("8 12 m 12 14 m 15p 15p gap", EMA),
    "single8": ("8 12 m 12 14 15p 15 last", EMA),
    # depthwise separable convolutions
    "separable8": (SEPARABLE8, EMA),
    "separable8_norm": ("16 dn 32k1 m dn 32k1 dn 32k1 dpn 32k1 dn 30k1 dn 24k1 last", EMA),
    "separable8_relu": ("16 dr 32k1 m dr 32k1 dr 32k1 dpr 32k1 dr 30k1 dr 24k1 last", EMA),
    "separable8_large": ("16 d5 24k1 m d5p 32k1 d5p 32k1 d5 32k1 dp 32k1 last", EMA),
    "separable8_early": ("12 20 m d 32k1 d 32k1 dp 32k1 d 32k1 last", EMA),
    "separable8_wide": ("16 d 24k1 m d 40k1 d 40k1 dp 40k1 d 28k1 last", EMA),
    "separable8_late": ("16 d 24k1 d 28k1 m d 28k1 d 28k1 dp 28k1 d 28k1 dp 28k1 last", EMA),
    "separable8_padded": ("16 d 32k1 m d 32k1 d 32k1 dp 32k1 dp 32k1 d 28k1 last", EMA),
    "separable8_fast": (SEPARABLE8, {**EMA, "lr": 0.2}),
    "separable8_slow": (SEPARABLE8, {**EMA, "lr": 0.05}),
    "separable8_decay": (SEPARABLE8, {**EMA, "weight_decay": 1e-4}),
    "separable8_slow_decay": (SEPARABLE8, {**EMA, "lr": 0.05, "weight_decay": 1e-4}),
    # under 10,000
    "base10": (BASE10, EMA),
    "base10_decay": (BASE10, {**EMA, "weight_decay": 6e-4}),
    "single10": ("8 14 m 14 16 16p 16 last", EMA),
    "separable10": (SEPARABLE10, EMA),
    "separable10_slow": ("16 d 36k1 m d 36k1 d 36k1 dp 36k1 d 36k1 d 32k1 last", {**EMA, "lr": 0.05}),
    "separable10_deep": ("16 d 32k1 m d 32k1 d 32k1 dp 32k1 dp 32k1 d 32k1 d 32k1 last", EMA),
    # under 20,000
    "base20": ("12 18 m 18 22 m 24p 24p gap", {**EMA, "epochs": 20}),
    "late20": ("8 16 m 16 20 20 20 22 gap", {**EMA, "epochs": 20}),
    "single20": (SINGLE20, {**EMA, "epochs": 20}),
    "strong20": (SINGLE20, {**EMA, **STRONG, "epochs": 20}),
    "separable20": (SEPARABLE20, {**EMA, "epochs": 20}),
    "separable20_slow": (SEPARABLE20, {**EMA, "epochs": 20, "lr": 0.05}),
    "separable20_deep": ("24 d 48k1 m d 48k1 d 48k1 dp 48k1 dp 48k1 d 48k1 d 48k1 last", {**EMA, "epochs": 20}),
    "separable20_strong": (SEPARABLE20, {**EMA, **STRONG, "epochs": 20}),
}


def network(words: str, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """Return the network that the words describe."""
    layers: list[nn.Module] = []
    channels, size = in_channels, image_size
    for word in words.split():
        if match := re.fullmatch(r"(\d+)(?:k(\d+))?(s?)(p?)", word):
            kernel, stride, padding = int(match[2] or 3), 2 if match[3] else 1, 1 if match[4] else 0
            convolution = nn.Conv2d(channels, int(match[1]), kernel, stride, padding, bias=False)
            layers += [convolution, nn.BatchNorm2d(int(match[1])), nn.ReLU()]
            channels, size = int(match[1]), (size + 2 * padding - kernel) // stride + 1
        elif match := re.fullmatch(r"d(\d?)(p?)([nr]?)", word):
            kernel = int(match[1] or 3)
            padding = kernel // 2 if match[2] else 0
            layers.append(nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels, bias=False))
            layers += [nn.BatchNorm2d(channels)] if match[3] else []
            layers += [nn.ReLU()] if match[3] == "r" else []
            size += 2 * padding - kernel + 1
        elif word == "m":
            layers.append(nn.MaxPool2d(2))
            size //= 2
        elif word == "gap":
            layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)]
        elif word == "last":
            layers += [nn.Conv2d(channels, num_classes, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        elif word == "flat":
            layers += [nn.Flatten(), nn.Linear(channels * size * size, num_classes)]
        else:
            raise SystemExit(f"unknown word '{word}' in '{words}'")
    return sequential(*layers)


for _name, (_words, _) in CANDIDATES.items():
    globals()[_name] = partial(network, _words)


def winners(log: str) -> list[str]:
    """Return the Markdown table of each budget's best candidate by the log's table, and the optimism to expect of it.

    It is what the best of so many would be measured too high if all were alike (`stats.expected_maximum`). The noise is
    the root mean square of the budget's standard errors, times the root of 1 + folds / 5: for folds whose training sets
    overlap, a fifth as many images held out as trained on (Nadeau and Bengio, "Inference for the generalization error",
    2003).
    """
    row = re.compile(r"^\| `(\w+)` \|[^|]*\| (\d) \| ([\d.]+) \| ([\d.]+) \|", re.M)
    lines = [
        "| under | candidates | the best | validation, % | noise, points | optimism to expect, points |",
        "|--:|--:|---|--:|--:|--:|",
    ]
    for budget in (8, 10, 20):
        found = [m.groups() for m in row.finditer(log) if re.search(rf"\D{budget}(_|$)", m[1])]
        name, _, right, _ = max(found, key=lambda one: float(one[2]))
        noise = sqrt(mean(float(error) ** 2 * (1 + int(folds) / 5) for _, folds, _, error in found))
        optimism = noise * stats.expected_maximum(len(found))
        lines.append(f"| {budget},000 | {len(found)} | `{name}` | {right} | {noise:.3f} | {optimism:.3f} |")
    return lines


def main() -> None:
    """Train the candidates and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--folds", type=int, default=6, choices=range(2, 7))
    parser.add_argument("--data")
    parser.add_argument("--store", default="runs")
    options = parser.parse_args()
    for name in options.names:
        if name not in CANDIDATES:
            parser.error(f"unknown candidate '{name}': {', '.join(CANDIDATES)}")
    if not options.names:
        print("\n".join(winners(LOG.read_text(encoding="utf-8"))))
    for name in options.names:
        words, changes = CANDIDATES[name]
        base = {**COMMON, "model": f"{Path(__file__).resolve()}:{name}", **changes}
        jobs = [(Recipe(**{"fold": fold, **base}), 0) for fold in range(options.folds)]
        try:
            found = many.run(jobs, folder=options.data, store=options.store)
        except LenetteError as error:
            raise SystemExit(str(error)) from error
        validation, train = ([run.final[part] for run in found] for part in ("validation", "train"))
        right = [100 * one.accuracy for one in validation]
        print(
            f"{name:16} {models.count_parameters(network(words)):6,} parameters  "
            f"{mean(right):.3f} % +- {stdev(right) / sqrt(len(right)):.3f}  "
            f"loss {mean(one.loss or nan for one in validation):.4f}  "
            f"train {100 * mean(one.accuracy for one in train):.3f} %  "
            f"loss {mean(one.loss or nan for one in train):.4f}  "
            f"{mean(run.metrics[-1].train_seconds for run in found):.0f} s  {words}  {changes or ''}",
            flush=True,
        )


if __name__ == "__main__":
    main()
