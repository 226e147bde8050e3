"""The learning-rate range test: one short training in which the rate rises, and where the loss falls on its way."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from lenette import engines, files, jobs, models, runs
from lenette.engines import Engine
from lenette.errors import RecipeError
from lenette.many.workers import threads_restored
from lenette.plan import Plan
from lenette.recipes import Recipe
from lenette.text import count

LOW, HIGH = 1e-4, 10.0
SMOOTHING = 0.98  # of fastai's learning-rate finder, as are TOO_FAR and BACK_OFF
TOO_FAR = 4.0
BACK_OFF = 10.0


@dataclass(frozen=True)
class RangeTest:
    """Loss against a learning rate that rose exponentially over `num_steps` steps, for each of the seeds.

    `losses` and `smoothed` hold one list a seed, as long as the seed's training went; `lr` the rate of every step.
    `suggested` is one rate a seed, a tenth of that at which the smoothed loss was lowest; `suggestion` their geometric
    mean, None where a seed's loss never fell.
    """

    title: str
    dataset: str
    num_steps: int
    seeds: list[int]
    lr: list[float]
    losses: list[list[float]]
    smoothed: list[list[float]]
    suggested: list[float | None]

    @property
    def suggestion(self) -> float | None:
        """The rate to try, or None."""
        if any(rate is None for rate in self.suggested):
            return None
        return math.exp(sum(math.log(rate) for rate in self.suggested if rate) / len(self.suggested))

    @property
    def answer(self) -> list[str]:
        """What the test came to, in words."""
        if self.suggestion is None:
            return [f"The loss never fell between the rates {self.lr[0]:g} and {self.lr[-1]:g}: nothing to suggest."]
        rates = [rate for rate in self.suggested if rate]
        seeds = count(len(rates), "seed")
        sentences = [
            f"A learning rate of {self.suggestion:.2g} is suggested: a tenth of that at which the smoothed loss was "
            f"lowest ({min(rates):.2g} to {max(rates):.2g} over {seeds})."
        ]
        stopped = [len(losses) for losses in self.losses if len(losses) < self.num_steps]
        if stopped:
            sentences.append(
                f"In {len(stopped)} of {seeds} the loss went up beyond {TOO_FAR:g} times its lowest, from "
                f"{self.lr[min(stopped) - 1]:.2g} on."
            )
        else:
            sentences.append(
                f"Up to the highest rate, {self.lr[-1]:g}, the loss stayed within {TOO_FAR:g} times its lowest: a test "
                "up to a higher rate would show where it breaks away."
            )
        return [
            *sentences,
            "It is a first guess from one epoch or less; the learning-rate study compares whole trainings.",
        ]

    def save(self, folder: Path) -> None:
        """Write study.json and runs.csv (a row a step) into the folder."""
        whole = {**asdict(self), "question": "range-test", "suggestion": self.suggestion, "answer": self.answer}
        files.write_json(folder / "study.json", whole)
        rows = ["seed,step,lr,loss,smoothed"]
        for seed, losses, smoothed in zip(self.seeds, self.losses, self.smoothed, strict=True):
            for step, (lr, loss, smooth) in enumerate(zip(self.lr, losses, smoothed, strict=False)):
                rows.append(f"{seed},{step},{lr},{loss},{smooth}")
        files.write_text(folder / "runs.csv", "\n".join(rows) + "\n")


class RisingPlan(Plan):
    """A plan whose learning rate rises exponentially from `low` to `high` over all its steps."""

    low, high = LOW, HIGH

    def rates(self) -> torch.Tensor:
        """Return the learning rate of every step: float32 [num_steps]."""
        share = torch.arange(self.num_steps, dtype=torch.float64) / max(1, self.num_steps - 1)
        return (self.low * (self.high / self.low) ** share).float()


def range_test(
    recipe: Recipe | str,
    low: float = LOW,
    high: float = HIGH,
    epochs: int = 1,
    seeds: int = 3,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> RangeTest:
    """Train a few epochs while the learning rate rises from `low` to `high`, and suggest one.

    From Smith, "Cyclical learning rates for training neural networks" (arXiv:1506.01186), with an exponential rise. The
    training stops once the smoothed loss is beyond four times its lowest. The rule for the suggestion, a tenth of the
    rate at which the smoothed loss is lowest, is fastai's.

    Raises:
        RecipeError: the rates don't rise.
    """
    if not 0 < low < high < math.inf:
        raise RecipeError(f"low = {low:g}, high = {high:g}: the rate must rise, from above 0")
    if seeds < 1:
        raise RecipeError(f"seeds = {seeds}: at least 1")
    base = runs.load_recipe(recipe) if isinstance(recipe, str) else recipe
    base = base.but(schedule="constant", epochs=epochs)
    images, _ = jobs.datasets(base, folder)
    losses: list[list[float]] = []
    smoothed: list[list[float]] = []
    rates: list[float] = []
    with threads_restored():
        for seed in range(seeds):
            channels, height, width = images.images.shape[1:]
            plan = RisingPlan(base, seed, len(images), (height, width))
            plan.low, plan.high = low, high
            network = plan.initial(partial(models.build, base.model, len(images.classes), channels, height))
            trainer = engines.make(
                engines.choose(engine, device, threads, network, base, images), network, plan, images
            )
            rates = plan.rates().tolist()
            one, smooth = _rise(trainer, plan.num_steps)
            losses.append(one)
            smoothed.append(smooth)
    return RangeTest(
        title=f"Range test: {base.name or base.model}",
        dataset=base.dataset,
        num_steps=len(rates),
        seeds=list(range(seeds)),
        lr=rates,
        losses=losses,
        smoothed=smoothed,
        suggested=[suggest(rates, smooth) for smooth in smoothed],
    )


def suggest(rates: Sequence[float], smoothed: Sequence[float]) -> float | None:
    """Return a tenth of the rate at which the smoothed loss is lowest; None where it never fell."""
    lowest = min(range(len(smoothed)), key=smoothed.__getitem__, default=0)
    return rates[lowest] / BACK_OFF if lowest else None


def _rise(trainer: Engine, num_steps: int) -> tuple[list[float], list[float]]:
    """Train until the loss goes up too far; return the steps' losses, and their running means without the bias to 0."""
    losses: list[float] = []
    smoothed: list[float] = []
    running = 0.0
    while trainer.step < num_steps:
        loss = trainer.advance(trainer.step + 1)[0].item()
        if not math.isfinite(loss):
            break
        running = SMOOTHING * running + (1 - SMOOTHING) * loss
        losses.append(loss)
        smoothed.append(running / (1 - SMOOTHING ** len(losses)))
        if smoothed[-1] > TOO_FAR * min(smoothed):
            break
    return losses, smoothed
