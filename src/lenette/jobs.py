"""identify() and prepare(): which run a recipe and a seed ask for, and its engine, before the first step."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
from torch import nn

from lenette import augment, data, engines, identity, models, runs
from lenette.chance import planned
from lenette.data import Dataset, splits, unsplit
from lenette.data.pictures import Fit
from lenette.engines import Choice, Engine
from lenette.errors import BudgetError, DataError, ModelError, RecipeError, UnsupportedByEngine
from lenette.identity import Question
from lenette.plan import Plan
from lenette.recipes import Recipe

Load = Callable[[Recipe, str | Path | None], tuple[Dataset, Dataset | None]]


@dataclass(frozen=True)
class Identified:
    """A run before anything is built: what it asks, which engine would answer, and the images and the network for it.

    `counts` are the network's numbers; `source` is the text of the file of a network of one's own, "" for
    any other; `make_network` makes it anew; `folder` where the data set was said to lie; `notes` what is to be known
    of images and network before the first step, in sentences.
    """

    recipe: Recipe
    question: Question
    choice: Choice
    plan: Plan
    network: nn.Module
    counts: models.Counts
    source: str
    make_network: Callable[[], nn.Module]
    images: Dataset
    evaluated: Dataset | None
    folder: str | None
    notes: tuple[str, ...]

    @property
    def key(self) -> str:
        """The key of the run."""
        return identity.key(self.question, self.choice.build)

    @property
    def about(self) -> runs.About:
        """What a new run's record says."""
        images, choice = self.images, self.choice
        return runs.About(
            key=self.key,
            seed=self.question.seed,
            status="running",
            created=runs.now(),
            engine=choice.name,
            engine_reason=choice.reason,
            device=choice.device,
            threads=choice.threads,
            parameters=self.counts.trainable,
            num_steps=self.plan.num_steps,
            data=runs.DataAbout(
                name=images.name,
                folder=self.folder,
                digest=self.question.data,
                num_images=len(images),
                classes=list(images.classes),
                shape=list(images.images.shape[1:]),
                mean=list(images.mean),
                std=list(images.std),
                preparation=images.preparation,
            ),
            question=self.question,
            build=choice.build,
            counts=self.counts,
        )


@dataclass(frozen=True)
class Prepared(Identified):
    """A run before its first step, its engine made."""

    engine: Engine


def identify(
    recipe: Recipe,
    seed: int = 0,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    load: Load | None = None,
    source: str | None = None,
) -> Identified:
    """Return which run it would be, without building its engine; the arguments are those of `training.train`.

    Raises:
        LenetteError: the recipe, data, network or budget won't do.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise RecipeError(f"seed = {seed!r}: must be a whole number")
    images, evaluated = (load or datasets)(recipe, folder)
    channels, height, width = images.images.shape[1:]
    source = (models.source(recipe.model) if source is None else source) if ":" in recipe.model else ""
    plan = Plan(recipe, seed, len(images), (height, width))
    text = source if models.is_file(recipe.model) else None
    shape, num_classes = (channels, height, width), len(images.classes)
    make_network = functools.partial(models.build, recipe.model, num_classes, channels, height, text)
    network, notes = _network(plan, make_network, shape, num_classes)
    if assumed := models.assumed(recipe.model, num_classes, channels, height, text):
        notes.append(f"{recipe.model}: {assumed}")
    counts = check_budget(recipe, network)
    ground = augment.is_on(recipe) and bool(images.grounds.any())
    digests = [images.digest, evaluated.digest if evaluated else ""]
    return Identified(
        recipe=recipe,
        question=identity.question(recipe, network, source, seed, digests, ground),
        choice=engines.choose(engine, device, threads, network, recipe, images),
        plan=plan,
        network=network,
        counts=counts,
        source=text or "",
        make_network=make_network,
        images=images,
        evaluated=evaluated,
        folder=data.lies_in(recipe.dataset, folder),
        notes=(*images.notes, *notes),
    )


def _network(
    plan: Plan, make_network: Callable[[], nn.Module], shape: tuple[int, int, int], num_classes: int
) -> tuple[nn.Module, list[str]]:
    """Return the network with the plan's weights, once all is checked, and what is to be known of it."""
    name = plan.recipe.model
    told: set[str] = set()
    network = plan.initial(make_network, told)
    models.require_fit(network, shape, num_classes)
    models.require_batch(network, shape, plan.num_images, plan.recipe.batch_size)
    if ":" not in name:
        return network, []
    notes = [f"{name} calls {', '.join(sorted(told))}: that was left out, since the run's seed decides"] * bool(told)

    def made(seed: int) -> nn.Module:
        with planned() as start:
            start(seed)
            return make_network()

    if models.count_parameters(network):
        notes += models.require_sound(made, shape, num_classes)
    return network, notes


def with_seed(found: Identified, seed: int) -> Identified:
    """Return the run of another seed; what doesn't hang on the seed is not checked again."""
    plan = Plan(found.recipe, seed, found.plan.num_images, found.plan.image_size)
    network = plan.initial(found.make_network)
    initial = identity.weights(network.state_dict())
    about = msgspec.structs.replace(found.question.network, initial=initial)
    question = msgspec.structs.replace(found.question, seed=seed, network=about)
    return dataclasses.replace(found, plan=plan, network=network, question=question)


def prepare(found: Identified) -> Prepared:
    """Return the run with its engine made.

    Raises:
        UnsupportedByEngine: the engine that was asked for can't be compiled here; "auto" then takes the reference.
    """
    fields = {name: getattr(found, name) for name in Identified.__dataclass_fields__}
    try:
        return Prepared(**fields, engine=engines.make(found.choice, found.network, found.plan, found.images))
    except UnsupportedByEngine as why:
        if not found.choice.auto or found.choice.name == "reference":
            raise
        how = (found.choice.device, found.choice.threads, found.network, found.recipe, found.images)
        fields["choice"] = dataclasses.replace(engines.choose("reference", *how), reason=str(why))
        return Prepared(**fields, engine=engines.make(fields["choice"], found.network, found.plan, found.images))


def datasets(recipe: Recipe, folder: str | Path | None = None) -> tuple[Dataset, Dataset | None]:
    """Return the images to train on, and those that are evaluated every epoch, if any.

    Under the sealed protocol the test images are not even read. The validation part is then the data set's own, the
    val/ of an image folder, where it has one, whichever `fold` is asked for; else that sixth of the training images.
    Under the course protocol a data set that has no test part is divided (see `unsplit.divide`).

    Raises:
        DataError: the data set is missing or damaged, or its images are not square.
    """
    images = part(recipe, "train", folder)
    height, width = images.images.shape[2:]
    if height != width:
        raise DataError(
            f"data set '{images.name}': its images are {width}x{height}, not square: image_size brings them to squares"
        )
    evaluated = runs.evaluated_part(recipe)
    if evaluated == "test" and evaluated not in data.parts(recipe.dataset, folder):
        return unsplit.divide(images)
    if evaluated == "test" or (evaluated == "validation" and evaluated in data.parts(recipe.dataset, folder)):
        return images, part(recipe, evaluated, folder)
    if evaluated == "validation":
        kept, held_out = splits.held_out(images.labels, recipe.fold)
        return images.subset(kept, "train"), images.subset(held_out, "validation")
    return images, None


def part(recipe: Recipe, name: str, folder: str | Path | None = None) -> Dataset:
    """Return a part of the recipe's data set, its pictures made ready as the recipe says."""
    fit: Fit = cast("Fit", recipe.image_fit or "pad")
    return data.load(recipe.dataset, name, folder, recipe.image_size, fit)


def check_budget(recipe: Recipe, network: nn.Module) -> models.Counts:
    """Return the network's numbers.

    Raises:
        ModelError: it has none.
        BudgetError: it exceeds max_parameters, which frozen ones and other tensors count towards, or max_bytes.
    """
    counts = models.count(network)
    if not counts.trainable:
        raise ModelError(f"model '{recipe.model}' has no trainable parameters")
    for name, value in (("max_parameters", counts.parameters), ("max_bytes", models.num_bytes(network.state_dict()))):
        if 0 < getattr(recipe, name) < value:
            raise BudgetError(
                f"model '{recipe.model}' exceeds the budget: {value:,} against {name} = {getattr(recipe, name):,}"
                + _untrained(counts)
            )
    return counts


def _untrained(counts: models.Counts) -> str:
    """Say which of a network's numbers are not trained, and count all the same."""
    told = {"frozen": counts.frozen, "in buffers and other tensors": counts.buffers}
    found = [f"{number:,} {what}" for what, number in told.items() if number]
    return f" ({counts.trainable:,} of its numbers are trained, {' and '.join(found)})" if found else ""
