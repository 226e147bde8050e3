"""What the reference engine adds to the bare cost of a training step, beside the documents' way of feeding it.

    python benchmarks/overhead.py [--recipes lenet5,ladder_7k] [--rounds 7] [--data DIR] [--threads N]

prints two tables and writes results/benchmarks/overhead.json and .md. The text in EXPLANATION says what is compared.
"""

import argparse
import functools
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import machine
import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils import data as torch_data

from lenette import data, models, recipes
from lenette.augment import ERASING, GEOMETRIC, PHOTOMETRIC
from lenette.data import Dataset
from lenette.engines.reference import Engine, make_optimizer
from lenette.plan import Plan
from lenette.recipes import Recipe

EXPLANATION = """\
Every way trains the recipe's network with the recipe's optimiser at the recipe's batch size on MNIST's training images.

- **bare**: zero the gradients, forward with torch's own dropout, loss, backward, optimiser step, over and over on one
  normalised batch that lies in memory. Nothing is read, recorded or counted.
- **engine**: `Engine.advance` with the recipe's augmentation switched off. Beyond the bare step it does the order of
  the images, the gathering, the normalisation, the planned dropout masks (in the place of torch's), the learning rate,
  and the loss and the number of right answers of each step. The order, drawn once an epoch, is charged in equal parts.
- **adds**: engine less bare. The target is less than 10 % of bare, or less than 0.1 ms. **adds, no dropout** is the
  same difference with the dropout layers taken out of both, so that it holds nothing that masks cost or save: below
  zero, "adds" says that planned masks are cheaper than torch's.
- **augmentation**: what the recipe's augmentation adds to that, its draws charged in equal parts too. It is work that
  the recipe asks for, and no overhead. **engine, all** is the step as `lenette train` takes it.
- **documents**: a Dataset whose `__getitem__` makes a PIL image, crops, resizes and rotates it with PIL as the recipe
  says (rotation to the nearest pixel, torchvision's default), makes a tensor and normalises it; a shuffling DataLoader
  with 0 or 2 worker processes; then the bare step. It records nothing.

Times are medians over rounds, milliseconds a step. A round takes every way in turn, after a warm-up, for some tens of
steps (fewer where a step is long); differences are medians of the rounds' own differences. Seconds an epoch are of
training alone."""

TARGET_SHARE = 0.1
TARGET_SECONDS = 1e-4
ROUND_SECONDS = 0.3
MOST_STEPS = 80
QUIET_SHARE = 0.03  # of the cores: a round in which other processes took more is made again, once

Way = Callable[[int], None]


class Pictures(torch_data.Dataset):
    """The documents' data set: each image is made, changed, turned to a tensor and normalised when it is asked for."""

    def __init__(self, dataset: Dataset, recipe: Recipe) -> None:
        used = {name for name in (*GEOMETRIC, *PHOTOMETRIC, *ERASING) if getattr(recipe, name)}
        if unknown := used - {"rotation", "crop_size"}:
            raise ValueError(f"the documents' way has no PIL lines for {', '.join(sorted(unknown))}")
        self.images = dataset.images[:, 0].numpy()
        self.labels = dataset.labels.tolist()
        self.mean, self.std = dataset.mean, dataset.std
        self.recipe = recipe

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = Image.fromarray(self.images[index])
        if self.recipe.crop_size:
            width, height = image.size
            if torch.rand(1).item() < self.recipe.crop_probability:
                left, top = (width - self.recipe.crop_size) // 2, (height - self.recipe.crop_size) // 2
                image = image.crop((left, top, left + self.recipe.crop_size, top + self.recipe.crop_size))
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        if self.recipe.rotation:
            image = image.rotate(torch.empty(1).uniform_(-self.recipe.rotation, self.recipe.rotation).item())
        tensor = torch.from_numpy(np.array(image))[None].float().div(255)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return tensor.sub_(mean).div_(std), self.labels[index]


def without_dropout(model: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict((n, layer) for n, layer in model.named_children() if type(layer) is not nn.Dropout)
    )


def initial(recipe: Recipe, plan: Plan, dropout: bool = True) -> nn.Module:
    model = plan.initial(functools.partial(models.build, recipe.model))
    return model if dropout else without_dropout(model)


def engine_way(recipe: Recipe, dataset: Dataset, threads: int, dropout: bool = True) -> Way:
    plan = Plan(recipe, 0, len(dataset))
    engine = Engine(initial(recipe, plan, dropout), plan, dataset, threads=threads)

    def run(num_steps: int) -> None:
        # Stay in the first epoch, and off its short last batch: what an epoch costs once is timed by itself.
        if engine.step + num_steps >= plan.steps_per_epoch:
            engine.step = 0
        engine.advance(engine.step + num_steps)

    return run


def torch_way(recipe: Recipe, plan: Plan, batches: Iterator[tuple[torch.Tensor, torch.Tensor]], dropout: bool) -> Way:
    model = initial(recipe, plan, dropout)
    optimizer = make_optimizer(model, recipe)

    def run(num_steps: int) -> None:
        for _ in range(num_steps):
            images, labels = next(batches)
            optimizer.zero_grad()
            functional.cross_entropy(model(images), labels).backward()
            optimizer.step()

    return run


def repeat(batches: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    while True:
        yield from batches


def ways(recipe: Recipe, dataset: Dataset, threads: int) -> dict[str, Way]:
    """Return {name: function that trains so many steps}; two equal ways are one."""
    plain = recipe.but(**dict.fromkeys((*GEOMETRIC, *PHOTOMETRIC, *ERASING), 0))
    plan = Plan(plain, 0, len(dataset))
    batch = Engine(initial(recipe, plan), plan, dataset, threads=threads).batch()
    pictures = Pictures(dataset, recipe)
    loaders = {
        workers: torch_data.DataLoader(pictures, recipe.batch_size, shuffle=True, num_workers=workers)
        for workers in (0, 2)
    }
    result = {
        "bare": torch_way(recipe, plan, repeat([batch]), dropout=True),
        "engine": engine_way(plain, dataset, threads),
    }
    if any(type(layer) is nn.Dropout for layer in initial(recipe, plan).modules()):
        result["bare_no_dropout"] = torch_way(recipe, plan, repeat([batch]), dropout=False)
        result["engine_no_dropout"] = engine_way(plain, dataset, threads, dropout=False)
    if recipe != plain:
        result["engine_all"] = engine_way(recipe, dataset, threads)
    for workers, loader in loaders.items():
        result[f"documents_{workers}"] = torch_way(recipe, plan, repeat(loader), dropout=True)
    return result


def seconds_a_step(way: Way, num_steps: int) -> float:
    way(max(1, num_steps // 4))
    start = time.perf_counter()
    way(num_steps)
    return (time.perf_counter() - start) / num_steps


def draw_seconds(plan: Plan, epoch: int) -> tuple[float, float]:
    """Return what an epoch's order and its augmentation draws cost, each in seconds a step."""
    start = time.perf_counter()
    plan.order(epoch)
    middle = time.perf_counter()
    for draw in (plan.warps, plan.jitters, plan.erasures):
        draw(epoch)
    end = time.perf_counter()
    return (middle - start) / plan.steps_per_epoch, (end - middle) / plan.steps_per_epoch


def one_round(runs: dict[str, Way], plan: Plan, num_steps: int, epoch: int) -> tuple[float, dict[str, float]]:
    """Return the share of the cores that other processes took meanwhile, and each way's seconds a step."""
    machine.wait_for_quiet()
    start, foreign = time.perf_counter(), machine.foreign_seconds()
    order, augmentation = draw_seconds(plan, epoch)
    result = {}
    for name, run in runs.items():
        extra = (order if name.startswith("engine") else 0) + (augmentation if name == "engine_all" else 0)
        result[name] = seconds_a_step(run, num_steps) + extra
    cores = os.cpu_count() or 1
    return (machine.foreign_seconds() - foreign) / (time.perf_counter() - start) / cores, result


def measure(recipe: Recipe, dataset: Dataset, threads: int, num_rounds: int) -> dict[str, Any]:
    """Return one recipe's seconds a step: of each way in each round, their medians, and what follows from them."""
    plan = Plan(recipe, 0, len(dataset))
    runs = ways(recipe, dataset, threads)
    machine.wait_for_quiet()
    fastest = min(seconds_a_step(runs["bare"], 1) for _ in range(3))
    num_steps = min(MOST_STEPS, max(2, round(ROUND_SECONDS / fastest)))
    tries: list[tuple[float, dict[str, float]]] = []
    while sum(share < QUIET_SHARE for share, _ in tries) < num_rounds and len(tries) < 2 * num_rounds:
        tries.append(one_round(runs, plan, num_steps, 1 + len(tries) % (recipe.epochs - 1)))
    kept = sorted(tries, key=lambda item: item[0])[:num_rounds]
    rounds = {name: [seconds[name] for _, seconds in kept] for name in runs}

    def difference(one: str, other: str) -> float | None:
        if one not in rounds:
            return None
        return median(a - b for a, b in zip(rounds[one], rounds[other], strict=True))

    times = {name: median(values) for name, values in rounds.items()}
    adds = difference("engine", "bare") or 0.0
    return {
        "recipe": recipe.name,
        "batch_size": recipe.batch_size,
        "steps_per_epoch": plan.steps_per_epoch,
        "steps_per_round": num_steps,
        "rounds_tried": len(tries),
        "foreign_share": kept[-1][0],
        "seconds": times,
        "adds": adds,
        "adds_no_dropout": difference("engine_no_dropout", "bare_no_dropout"),
        "augmentation": difference("engine_all", "engine"),
        "met": adds < max(TARGET_SHARE * times["bare"], TARGET_SECONDS),
        "rounds": rounds,
    }


def report(about: dict[str, Any], num_rounds: int, results: list[dict[str, Any]]) -> str:
    def milliseconds(seconds: float | None) -> str:
        return "-" if seconds is None else f"{seconds * 1e3:.3f}"

    overhead, feeding = [], []
    for result in results:
        times = result["seconds"]
        whole = times.get("engine_all", times["engine"])
        overhead.append(
            [
                result["recipe"],
                str(result["batch_size"]),
                milliseconds(times["bare"]),
                milliseconds(times["engine"]),
                milliseconds(result["adds"]),
                f"{result['adds'] / times['bare']:.1%}",
                "yes" if result["met"] else "NO",
                milliseconds(result["adds"] if result["adds_no_dropout"] is None else result["adds_no_dropout"]),
                milliseconds(result["augmentation"]),
                milliseconds(whole),
            ]
        )
        cells = [result["recipe"], f"{1 / whole:.1f}", f"{whole * result['steps_per_epoch']:.1f}"]
        for workers in (0, 2):
            seconds = times[f"documents_{workers}"]
            cells += [milliseconds(seconds), f"{1 / seconds:.1f}", f"{seconds * result['steps_per_epoch']:.1f}"]
            cells += [f"{seconds / whole:.2f}"]
        feeding.append(cells)
    num_met = sum(result["met"] for result in results)
    share = max(result["foreign_share"] for result in results)
    what = ["bare", "engine", "adds", "adds %", "target met", "adds, no dropout", "augmentation", "engine, all"]
    documents = [
        f"{workers} workers: {unit}" for workers in (0, 2) for unit in ("ms", "steps/s", "s/epoch", "x engine")
    ]
    return "\n\n".join(
        [
            "# What the reference engine adds to a training step",
            f"{machine.sentence(about)}. {num_rounds} rounds, in which other processes took at most {share:.0%} of the "
            "cores.",
            EXPLANATION,
            f"The target is met for {num_met} of {len(results)} recipes.",
            machine.table(["recipe", "batch", *what], overhead),
            "The whole step as `lenette train` takes it (engine), beside the documents' way:",
            machine.table(["recipe", "engine: steps/s", "s/epoch", *documents], feeding),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What the reference engine adds to the bare cost of a step.")
    parser.add_argument("--recipes", default=",".join(recipes.names()), help="names, with commas between them")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", help="the folder in which MNIST lies; without it, where lenette looks")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = data.load("mnist", "train", arguments.data)
    about = machine.describe()
    results = []
    for name in arguments.recipes.split(","):
        results.append(measure(recipes.load(name), dataset, arguments.threads, arguments.rounds))
        print(f"{name} done", flush=True)
    text = report(about, arguments.rounds, results)
    machine.save("overhead", {"machine": about, "num_rounds": arguments.rounds, "recipes": results}, text)
    print(text)


if __name__ == "__main__":
    main()
