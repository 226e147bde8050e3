"""What an engine is: the contract that the training loop and every test hold it to."""

from typing import Protocol

import torch
from torch import nn

from lenette.data import Dataset
from lenette.identity import Build
from lenette.plan import Plan
from lenette.recipes import Recipe

State = dict[str, torch.Tensor]


class Engine(Protocol):
    """A network in training; it does arithmetic only, on the plan's numbers."""

    step: int

    def advance(self, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Train the steps from `self.step` up to, not including, `stop`.

        Returns:
            losses float64 [steps], the mean of each batch, and how many of its images were right, int64 [steps]: both
            in training mode, before the step's update.
        """
        ...

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, classes] for images uint8 [N, C, H, W], in evaluation mode, of averaged weights if any."""
        ...

    def weights(self) -> State:
        """Return the weights and buffers to keep, the averaged ones if any, under the model's own keys."""
        ...

    def state(self) -> State:
        """Return all that a later engine needs to go on: "model.<key>", "optimizer.<parameter>.<slot>", "ema.<key>"."""
        ...

    def load_state(self, state: State, step: int) -> None:
        """Go back to what `state()` returned before that step."""
        ...


class Maker(Protocol):
    """An engine's class: it says what it can train and which build it is, before anything is made."""

    def __call__(self, model: nn.Module, plan: Plan, dataset: Dataset, *, device: str, threads: int) -> Engine:
        """Return the engine, ready for step 0; the model is trained in place."""
        ...

    def require(self, model: nn.Module, recipe: Recipe, dataset: Dataset) -> Build:
        """Return what this network adds to the build; cheap.

        Raises UnsupportedByEngine, which names the layer or field, for what the engine can't train.
        """
        ...

    def build(self, device: str, threads: int) -> Build:
        """Return what decides its bits besides the question; raises UnsupportedByEngine where it can't run here."""
        ...
