"""Figures made of images: the worst mistakes, the most doubtful, a sheet of samples with and without augmentation."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from lenette import augment, jobs
from lenette.data import Dataset
from lenette.errors import RunError
from lenette.plan import Plan
from lenette.recipes import Recipe
from lenette.report.style import bare, new, styled
from lenette.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def worst(run: Run, dataset: Dataset | None = None, number: int = 20) -> "Figure":
    """Draw the mistakes of which the network was surest, the surest first: "true > predicted, probability".

    Args:
        dataset: the images; without it those that the run evaluates each epoch.
    """
    dataset = dataset or evaluated_images(run)
    probabilities = run.network().probabilities(dataset.images)
    captions, indices = [], worst_mistakes(probabilities, dataset.labels)[:number].tolist()
    for index in indices:
        probability, predicted = probabilities[index].max(dim=0)
        captions.append(f"{_true(dataset, index)} > {dataset.classes[int(predicted)]}\n{100 * probability:.1f} %")
    return _sheet(dataset, indices, captions, "Surest mistakes: true > predicted")


@styled
def doubtful(run: Run, dataset: Dataset | None = None, number: int = 20) -> "Figure":
    """Draw the images, right or wrong, whose two likeliest classes are nearest to each other; arguments as `worst`."""
    dataset = dataset or evaluated_images(run)
    probabilities = run.network().probabilities(dataset.images)
    captions, indices = [], most_doubtful(probabilities)[:number].tolist()
    for index in indices:
        (first, second), likeliest = probabilities[index].topk(2)
        names = " or ".join(dataset.classes[int(label)] for label in likeliest)
        captions.append(f"{_true(dataset, index)} > {names}\n{100 * first:.1f}, {100 * second:.1f} %")
    return _sheet(dataset, indices, captions, "Most doubtful images: true > likeliest two")


@styled
def samples(dataset: Dataset, recipe: Recipe | None = None, seed: int = 0, number: int = 12) -> "Figure":
    """Draw the first images of a data set; below each, where a recipe is given, itself as four epochs would see it.

    The changes are the plan's own for that seed, as an engine that trains on the data set makes them.
    """
    indices = torch.arange(min(number, len(dataset)))
    rows = [dataset.images[indices].float() / 255]
    labels = ["as it is"]
    if recipe is not None:
        plan = Plan(recipe, seed, len(dataset), (dataset.images.shape[2], dataset.images.shape[3]))
        epochs = range(min(4, recipe.epochs))
        rows += [augmented(plan, dataset.images, epoch, indices) for epoch in epochs]
        labels += [f"epoch {epoch + 1}" for epoch in epochs]
    figure, grid = new(0.62 * len(indices) + 0.9, 0.64 * len(rows) + 0.6, rows=len(rows), columns=len(indices),
                       squeeze=False)  # fmt: skip
    for row, images, label in zip(grid, rows, labels, strict=True):
        for axes, image in zip(row, images, strict=True):
            show(axes, image)
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for axes, index in zip(grid[0], indices, strict=True):
        axes.set_title(dataset.classes[int(dataset.labels[index])], loc="center", fontsize=9, fontweight="normal")
    return figure


def augmented(plan: Plan, images: torch.Tensor, epoch: int, indices: torch.Tensor) -> torch.Tensor:
    """Return the images of those indices as training sees them in the epoch: float32 [len(indices), C, H, W] in [0, 1].

    Args:
        images: uint8 [N, C, H, W], all that the plan is for.
    """
    places = plan.order(epoch).argsort()[indices]  # of the images in the order
    return augment.augmented(images[indices].float() / 255, *plan.changes(epoch, places))


def evaluated_images(run: Run) -> Dataset:
    """Return the very images that the run evaluates each epoch.

    Raises:
        DataError: the data set is not where it was.
        RunError: the run evaluates none, or the images there are others.
    """
    about = run.about.data
    dataset = jobs.datasets(run.recipe, about.folder)[1]
    if dataset is None:
        raise RunError(f"run {run.id} evaluates no images but those it is trained on")
    if dataset.digest != about.digest[1]:
        raise RunError(f"the {dataset.part} images of '{dataset.name}' are no longer those that run {run.id} saw")
    return dataset


def worst_mistakes(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the indices int64 of the images that are taken for another class, the surest mistake first."""
    confidence, predicted = probabilities.max(dim=1)
    wrong = (predicted != labels).nonzero()[:, 0]
    return wrong[confidence[wrong].argsort(descending=True, stable=True)]


def most_doubtful(probabilities: torch.Tensor) -> torch.Tensor:
    """Return the indices int64 of all images, the one whose two likeliest classes are nearest to each other first."""
    first, second = probabilities.topk(2, dim=1).values.T
    return (first - second).argsort(stable=True)


def show(axes: "Axes", image: torch.Tensor) -> None:
    """Draw an image float [C, H, W] in [0, 1], one of a single channel as ink on paper."""
    bare(axes)
    if len(image) == 1:
        axes.imshow(1 - image[0].numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    else:
        axes.imshow(image[:3].permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")


def _true(dataset: Dataset, index: int) -> str:
    return dataset.classes[int(dataset.labels[index])]


def _sheet(dataset: Dataset, indices: Sequence[int], captions: Sequence[str], title: str) -> "Figure":
    columns = 5
    rows = max(1, math.ceil(len(indices) / columns))
    figure, grid = new(1.05 * columns, 1.35 * rows + 0.4, rows=rows, columns=columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, index, caption in zip(grid.flat, indices, captions, strict=False):
        axes.set_axis_on()
        show(axes, dataset.images[index].float() / 255)
        axes.set_title(caption, loc="center", fontsize=9, fontweight="normal")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure
