"""What an epoch costs in seconds: learnt from runs, told of recipes that are alike."""

import time
from contextlib import suppress
from pathlib import Path

from lenette import runs
from lenette.environment import environment
from lenette.errors import LenetteError
from lenette.inference import EVALUATION_BATCH
from lenette.jobs import Prepared
from lenette.recipes import Recipe

TIMED_SECONDS = 0.5


class Costs:
    """Seconds an epoch, evaluation included, by recipe; of an unknown one, those of the recipes most like it."""

    def __init__(self) -> None:
        self.seconds: dict[tuple, dict[str, float]] = {}

    def learn(self, run: str, recipe: Recipe, seconds: float) -> None:
        """Note that an epoch of that run took so many seconds; a later word on the same run replaces the former."""
        for likeness in _likenesses(recipe):
            self.seconds.setdefault(likeness, {})[run] = seconds

    def learn_from_store(self, store: Path, how: tuple[str, str, int]) -> None:
        """Learn from the store's runs on this processor by the same engine, device and number of threads."""
        processor = environment().processor
        for run in runs.in_store(store):
            with suppress(LenetteError):  # a damaged run teaches nothing
                lines = run.metrics
                about = run.about
                alike = how == (about.engine, about.device, about.threads) and run.environment.processor == processor
                if lines and alike:
                    spent = lines[-1].train_seconds + lines[-1].evaluate_seconds
                    self.learn(run.id, run.recipe, spent / lines[-1].epoch)

    def has_any(self) -> bool:
        """Say whether anything was learnt."""
        return bool(self.seconds)

    def knows(self, recipe: Recipe) -> bool:
        """Say whether a recipe of the same network, images, batch size and kinds of augmentation was learnt."""
        return _likenesses(recipe)[1] in self.seconds

    def of_run(self, recipe: Recipe) -> float:
        """Return the seconds of a run; something must have been learnt."""
        known = next(self.seconds[likeness] for likeness in _likenesses(recipe) if likeness in self.seconds)
        seconds = sum(known.values()) / len(known) * recipe.epochs
        return min(seconds, recipe.max_seconds) if recipe.max_seconds else seconds


def timed(ready: Prepared) -> float:
    """Return the seconds of an epoch, from a few steps and an evaluated batch."""
    trainer, recipe = ready.engine, ready.recipe
    trainer.advance(1)  # the first step prepares what the others find
    start, first = time.perf_counter(), trainer.step
    while trainer.step < ready.plan.num_steps and time.perf_counter() - start < TIMED_SECONDS:
        trainer.advance(trainer.step + 1)
    seconds = (time.perf_counter() - start) / max(1, trainer.step - first) * ready.plan.steps_per_epoch
    evaluated = len(ready.evaluated) if ready.evaluated else 0
    if recipe.evaluate_train == "every":
        evaluated += len(ready.images)
    sample = ready.images.images[:EVALUATION_BATCH]
    start = time.perf_counter()
    trainer.logits(sample)
    return seconds + (time.perf_counter() - start) / len(sample) * evaluated


def _likenesses(recipe: Recipe) -> list[tuple]:
    """Return what a recipe is like, the closest likeness first."""
    switched_on = tuple(name for name, value in recipe.values("augmentation").items() if value)
    network = (recipe.model, recipe.dataset)
    return [(recipe.digest,), (*network, recipe.batch_size, switched_on, recipe.evaluate_train), network, ()]
