"""Learning rate against the step: pure functions of (recipe, step, steps_per_epoch) that return a multiplier of lr."""

import math
from collections.abc import Callable

from lenette.recipes import Recipe

VERSION = 1  # raised where a schedule's numbers change


def constant(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return 1."""
    return 1.0


def step(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Drop by gamma every `step_epochs` epochs (torch's StepLR)."""
    return recipe.gamma ** (step // steps_per_epoch // recipe.step_epochs)


def multistep(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Drop by gamma after each of the milestones (torch's MultiStepLR)."""
    epoch = step // steps_per_epoch
    return recipe.gamma ** sum(epoch >= milestone for milestone in recipe.milestones)


def linear(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Go straight from start_factor to end_factor, due one step after the last (torch's LinearLR)."""
    return _line(recipe.start_factor, recipe.end_factor, step / (recipe.epochs * steps_per_epoch))


def cosine(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Fall from 1 to end_factor along half a cosine (torch's CosineAnnealingLR, stepped each batch)."""
    return _half_cosine(1.0, recipe.end_factor, step / (recipe.epochs * steps_per_epoch))


def onecycle(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Rise from start_factor to 1 and fall to end_factor, along half cosines (torch's OneCycleLR).

    It moves the learning rate alone; Smith's one-cycle policy (arXiv:1708.07120) moves the momentum against it.
    """
    last = recipe.epochs * steps_per_epoch - 1
    peak = recipe.warmup_fraction * (last + 1) - 1
    if step <= peak:
        return _half_cosine(recipe.start_factor, 1.0, step / peak if peak > 0 else 1.0)
    peak = max(peak, 0.0)
    return _half_cosine(1.0, recipe.end_factor, (step - peak) / (last - peak) if last > peak else 1.0)


def sgdr(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Fall along half a cosine again and again (Loshchilov and Hutter, arXiv:1608.03983).

    The first takes restart_epochs epochs, each following one restart_factor times as long (torch's
    CosineAnnealingWarmRestarts, stepped each batch).
    """
    length = recipe.restart_epochs * steps_per_epoch
    if recipe.restart_factor == 1:
        step %= length
    while step >= length:
        step -= length
        length *= recipe.restart_factor
    return _half_cosine(1.0, recipe.end_factor, step / length)


def _line(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Callable[[Recipe, int, int], float]] = {
    "constant": constant,
    "step": step,
    "multistep": multistep,
    "linear": linear,
    "cosine": cosine,
    "onecycle": onecycle,
    "sgdr": sgdr,
}
