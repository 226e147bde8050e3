"""The native engine and the reference side by side, on the same plan, in float32 or float64."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from lenette import augment
from lenette.data import Dataset
from lenette.engines import native, reference
from lenette.plan import Plan
from lenette.recipes import Recipe


def noise(count: int, channels: int = 1, size: int = 28, classes: int = 10) -> Dataset:
    """Return images of noise, whose labels can't be guessed."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, classes, (count,), generator=generator)
    means, stds = ((0.5, 0.45, 0.4)[:channels], (0.3, 0.25, 0.2)[:channels])
    return Dataset("noise", "train", images, labels, tuple(map(str, range(classes))), means, stds)


class Float64Reference(reference.Engine):
    """The reference in float64, from the pixels on."""

    @staticmethod
    def require(*_: object) -> None:
        """Take float64 too."""

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        epoch, place = divmod(self.step, self.plan.steps_per_epoch)
        size = self.plan.recipe.batch_size
        rows = slice(place * size, (place + 1) * size)
        index = self.plan.order(epoch)[rows]
        images = self.images[index].double() / 255
        changes = self.plan.changes(epoch, rows)
        ground = augment.grounds(self.images)[index].double() / 255
        images = augment.augmented(images, *changes, ground=ground)
        return self.normalised(images), self.labels[index]

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (self.mean, self.std))
        return (images - mean) / std

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        model = self.averaged or self.model
        return model.eval()(self.normalised(images.double() / 255)).detach().float()


def twins(
    model: Callable[[], nn.Module], recipe: Recipe, dataset: Dataset, scalar: str = "double", threads: int = 2
) -> tuple[native.Engine, reference.Engine]:
    """Return a native engine and the reference with the same initial weights."""
    plan = Plan(recipe, 3, len(dataset), tuple(dataset.images.shape[2:]))
    network = plan.initial(model)
    if scalar == "double":
        network = network.double()
    stock = {"double": Float64Reference, "float": reference.Engine}[scalar]
    return (
        native.Engine(copy.deepcopy(network), plan, dataset, threads=threads, scalar=scalar),
        stock(copy.deepcopy(network), plan, dataset),
    )


def distance(ours: nn.Module, theirs: nn.Module) -> float:
    """Return the largest difference of any weight or buffer, relative to the largest of its tensor (or to 1)."""
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    return max(float((a.double() - b.double()).abs().max() / max(1, b.double().abs().max())) for a, b in pairs)
