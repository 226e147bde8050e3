"""The Plan: a Recipe and a seed make every random number and every scheduled one; an engine only does arithmetic."""

import hashlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from lenette import augment
from lenette.chance import planned
from lenette.errors import RecipeError
from lenette.recipes import Recipe
from lenette.schedules import SCHEDULES

VERSION = 1  # of the streams and of what is made of them: raised where a plan's numbers change
MASK_LEVELS = 1 << 16


def stream(seed: int, *name: str | int) -> np.random.Philox:
    """Return the random stream of that name, independent of every other one.

    Only its raw 64-bit words are used: NumPy promises those to stay the same (NEP 19), and nothing above them.
    """
    return np.random.Philox(key=_key(seed, *name))


def _key(seed: int, *name: str | int) -> np.ndarray:
    text = "/".join(map(str, (seed, *name)))
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u8")


def _uniform(words: np.random.Philox, *shape: int) -> np.ndarray:
    """Return float64 in [0, 1) of that shape: the upper 53 bits of each word."""
    return (words.random_raw(int(np.prod(shape))) >> 11).reshape(shape) * 2.0**-53


class Plan:
    """Every number that chance or a schedule decides in one run.

    Args:
        recipe: what to train.
        seed: any whole number; two recipes with one seed see the same images in the same order.
        num_images: how many training images there are.
        image_size: their height and width in pixels.

    Raises:
        RecipeError: the seed is no whole number, or an augmentation doesn't fit images of that size.
    """

    def __init__(self, recipe: Recipe, seed: int, num_images: int, image_size: tuple[int, int] = (28, 28)) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise RecipeError(f"seed = {seed!r}: must be a whole number")
        for name in ("crop_size", "erase_size", "crop_padding", "translation"):
            if getattr(recipe, name) > min(image_size):
                raise RecipeError(f"field '{name}' = {getattr(recipe, name)}: the images have {image_size} pixels")
        self.recipe = recipe
        self.seed = seed
        self.num_images = num_images
        self.image_size = image_size
        self.steps_per_epoch = -(-num_images // recipe.batch_size)
        self.num_steps = recipe.epochs * self.steps_per_epoch
        # An engine asks for an epoch's numbers many times over, then never again.
        self.order = lru_cache(maxsize=1)(self._order)
        self.warps = lru_cache(maxsize=1)(self._warps)
        self.jitters = lru_cache(maxsize=1)(self._jitters)
        self.erasures = lru_cache(maxsize=1)(self._erasures)

    def _order(self, epoch: int) -> torch.Tensor:
        """Return the order of the images in the epoch: int64 [num_images], a permutation."""
        words = stream(self.seed, "order", epoch).random_raw(self.num_images)
        return torch.from_numpy(np.argsort(words, kind="stable"))

    def _warps(self, epoch: int) -> torch.Tensor | None:
        """Return the affine maps float32 [num_images, 2, 3] of `augment.warps`, or None.

        Row i, here and in jitters and erasures, belongs to the i-th image of the order.
        """
        draws = self._draws(epoch, augment.GEOMETRIC)
        return torch.from_numpy(augment.warps(self.recipe, draws, *self.image_size)) if draws else None

    def _jitters(self, epoch: int) -> torch.Tensor | None:
        """Return the factors float32 [num_images, 2] of `augment.jitters`, or None."""
        draws = self._draws(epoch, augment.PHOTOMETRIC)
        return torch.from_numpy(augment.jitters(self.recipe, draws)) if draws else None

    def _erasures(self, epoch: int) -> torch.Tensor | None:
        """Return the squares int64 [num_images, 4] of `augment.erasures`, or None."""
        draws = self._draws(epoch, augment.ERASING)
        return torch.from_numpy(augment.erasures(self.recipe, draws, *self.image_size)) if draws else None

    def changes(self, epoch: int, places: slice | torch.Tensor) -> list[torch.Tensor | None]:
        """Return the warps, jitters and erasures of the images at these places (int64) of the order, or None each."""
        every = (self.warps(epoch), self.jitters(epoch), self.erasures(epoch))
        return [None if numbers is None else numbers[places] for numbers in every]

    def _draws(self, epoch: int, operations: dict[str, int]) -> augment.Draws:
        """Return uniform numbers for those of the operations that the recipe switches on, a stream for each."""
        return {
            name: _uniform(stream(self.seed, name, epoch), self.num_images, count)
            for name, count in operations.items()
            if getattr(self.recipe, name)
        }

    def mask_key(self, step: int, layer: int) -> np.ndarray:
        """Return the Philox key uint64 [2] of the mask of that dropout layer (0, 1, ... in order) in that step."""
        return _key(self.seed, "dropout", step, layer)

    def mask(self, step: int, layer: int, shape: torch.Size, rate: float) -> torch.Tensor:
        """Return what dropout multiplies with: float32 of that shape [N, ...], 0 or 1 / (1 - rate).

        Each element is one 16-bit lane of the stream's words, the rate so rounded to 1 / 65,536.
        """
        dropped = round(rate * MASK_LEVELS)
        if dropped >= MASK_LEVELS:
            return torch.zeros(shape)
        count = shape.numel()
        words = np.random.Philox(key=self.mask_key(step, layer)).random_raw(-(-count // 4))
        kept = words.astype("<u8", copy=False).view("<u2")[:count] >= dropped
        scale = np.float32(MASK_LEVELS / (MASK_LEVELS - dropped))
        return torch.from_numpy(np.multiply(kept, scale)).reshape(shape)

    def step_seed(self, step: int) -> int:
        """Return the seed of all generators but the plan's in that step, for networks that draw by themselves."""
        return int(stream(self.seed, "step", step).random_raw()) >> 1

    def rates(self) -> torch.Tensor:
        """Return the learning rate of every step: float32 [num_steps]."""
        multiplier = SCHEDULES[self.recipe.schedule]
        steps = range(self.num_steps)
        return torch.tensor([self.recipe.lr * multiplier(self.recipe, step, self.steps_per_epoch) for step in steps])

    def ema_decays(self) -> torch.Tensor | None:
        """Return the decay of the weights' running mean in every step, float32 [num_steps], or None.

        It grows as (1 + step) / (10 + step) up to ema_decay, so that the first weights are soon forgotten (the rule of
        TensorFlow's ExponentialMovingAverage).
        """
        if not self.recipe.ema_decay:
            return None
        steps = torch.arange(self.num_steps, dtype=torch.float64)
        return torch.clamp((1 + steps) / (10 + steps), max=self.recipe.ema_decay).float()

    def initial(self, model_function: Callable[[], nn.Module], told: set[str] | None = None) -> nn.Module:
        """Return the network that the function makes, with the plan's initial weights; for `told` see `planned`."""
        with planned(told) as start:
            start(int(stream(self.seed, "initial").random_raw()) >> 1)
            return model_function()
