"""What is known of a run, as typed records: the page and the terminal only put it into words."""

import shlex
from typing import Any

from msgspec import structs

from lenette import ledger, models, recipes
from lenette.data import DATASETS
from lenette.environment import Environment
from lenette.errors import RunError
from lenette.evidence.networks import read_weights
from lenette.evidence.sealed import openings
from lenette.metrics import Evaluation
from lenette.progress import Epoch
from lenette.recipes import Recipe
from lenette.records import Count, Digest, Fraction, Loss, Record, Seconds
from lenette.runs import DivergedAt, Run
from lenette.stats import accuracy_interval

OF_RECIPE = ("name", "title", "document", "model", "protocol", "epochs", "claim_note")
OF_ABOUT = ("diverged_at", "created", "seed", "engine", "engine_reason", "device", "threads", "parameters")

Interval = tuple[Fraction, Fraction]  # 95 %, Wilson's


class DatasetFacts(Record, frozen=True):
    """A data set."""

    name: str
    description: str
    is_mnist: bool


class Figures(Record, frozen=True):
    """What the final weights are worth on a part of the data."""

    part: str
    num_images: Count
    num_errors: Count
    accuracy: Fraction
    loss: Loss
    calibration_error: float | None
    interval: Interval


class EpochFigures(Record, frozen=True):
    """An epoch's figures on the evaluated part, None where there are none, and on the training images."""

    epoch: Count
    accuracy: Fraction | None
    loss: Loss
    train_accuracy_running: Fraction
    train_loss_running: Loss
    train_accuracy: Fraction | None
    train_loss: Loss


class Opening(ledger.Look, frozen=True, kw_only=True):
    """An opening of a sealed test set, with the interval of its accuracy."""

    interval: Interval


class BudgetRow(Record, frozen=True):
    """A limit of the recipe's budget; `met` is None where nothing is measured.

    A run that was `cut` at max_seconds did what the budget asked, though its last steps ended a little later.
    """

    name: str
    limit: int | float
    measured: int | float | None
    met: bool | None
    cut: bool


class ClaimRow(Record, frozen=True):
    """A figure of the document beside this run's, which is None where `why_not` says why they aren't compared."""

    quantity: str
    statistic: str
    claimed: Fraction
    measured: Fraction | None
    why_not: str


class Facts(Record, frozen=True, kw_only=True):
    """All that a page or a terminal says of a run. Accuracies are fractions, losses nats, times seconds.

    What isn't known, or isn't finite, is None. `argument` names the run to a command; `above_last` is how far the best
    epoch's accuracy lies above the last one's; `differences` are {field: (here, in the shipped recipe of that name)},
    None where no recipe of that name is shipped; `command` makes the run again.
    """

    id: str
    argument: str
    folder: str
    name: str
    title: str
    document: str
    model: str
    dataset: DatasetFacts
    protocol: str
    part: str | None
    status: str
    diverged_at: DivergedAt | None
    created: str
    epochs: Count
    epochs_done: float
    result: Figures | None
    train: Figures | None
    last: EpochFigures | None
    best: EpochFigures | None
    above_last: Fraction | None
    openings: list[Opening]
    budget: list[BudgetRow]
    claims: list[ClaimRow]
    claim_note: str
    differences: dict[str, tuple[Any, Any]] | None
    seconds_to: dict[str, Seconds | None]
    train_seconds: Seconds | None
    evaluate_seconds: Seconds | None
    seed: int
    num_classes: Count
    num_train_images: Count
    data_digest: dict[str, str]
    recipe_digest: Digest
    engine: str
    engine_reason: str
    device: str
    threads: Count
    parameters: Count
    environment: Environment
    command: str


def facts(run: Run) -> Facts:
    """Return what is known of a run; its network is not built, so that no code of a stranger's runs."""
    about, recipe, part, lines = run.about, run.recipe, run.part, run.metrics
    final = run.final if run.status in ("done", "cut") else {}
    last, best = epoch(lines[-1], part) if lines else None, best_epoch(lines, part)
    return Facts(
        **{name: getattr(recipe, name) for name in OF_RECIPE},
        **{name: getattr(about, name) for name in OF_ABOUT},
        id=run.id,
        argument=run.argument,
        folder=str(run.folder),
        dataset=dataset(recipe.dataset),
        part=part,
        status=run.status,
        epochs_done=lines[-1].step / (about.num_steps // recipe.epochs) if lines else 0.0,
        result=figures(part or "train", final),
        train=figures("train", final),
        last=last,
        best=best,
        above_last=_above(best, last),
        openings=[Opening(**structs.asdict(look), interval=_interval(look)) for look in openings(run)],
        budget=budget(run, lines),
        claims=claims(recipe, lines),
        differences=differences(recipe),
        seconds_to={f"{goal:g}": seconds for goal, seconds in run.seconds_to.items()},
        train_seconds=lines[-1].train_seconds if lines else None,
        evaluate_seconds=lines[-1].evaluate_seconds if lines else None,
        num_classes=len(about.data.classes),
        num_train_images=about.data.num_images,
        data_digest={name: sha for name, sha in zip(("train", part), about.data.digest, strict=True) if name and sha},
        recipe_digest=recipe.digest,
        environment=structs.replace(run.environment, build=run.build),
        command=command(run),
    )


def dataset(name: str) -> DatasetFacts:
    """Return what is known of the data set of that name, or in that folder."""
    entry = DATASETS.get(name)
    description = entry.description.partition(":")[0] if entry else f"the images in {name}"
    return DatasetFacts(name, description, name == "mnist")


def figures(part: str, final: dict[str, Evaluation]) -> Figures | None:
    """Return the final figures on a part, None where it wasn't evaluated."""
    if (found := final.get(part)) is None:
        return None
    names = ("accuracy", "loss", "num_images", "num_errors", "calibration_error")
    return Figures(part=part, interval=_interval(found), **{name: getattr(found, name) for name in names})


def epoch(line: Epoch, part: str | None) -> EpochFigures:
    """Return an epoch's figures under names that don't hang on the part."""
    return EpochFigures(
        epoch=line.epoch,
        accuracy=getattr(line, f"{part}_accuracy", None),
        loss=getattr(line, f"{part}_loss", None),
        train_accuracy_running=line.train_accuracy_running,
        train_loss_running=line.train_loss_running,
        train_accuracy=line.train_accuracy,
        train_loss=line.train_loss,
    )


def best_epoch(lines: list[Epoch], part: str | None) -> EpochFigures | None:
    """Return the first of the epochs with the highest accuracy on the evaluated part."""
    evaluated = [one for line in lines if (one := epoch(line, part)).accuracy is not None]
    return max(evaluated, key=lambda one: one.accuracy or 0, default=None)


def budget(run: Run, lines: list[Epoch]) -> list[BudgetRow]:
    """Return each limit of the recipe's budget beside what was measured."""
    measured = {
        "max_parameters": counts.parameters if (counts := run.about.counts) else run.about.parameters,
        "max_epochs": lines[-1].epoch if lines else None,
        "max_seconds": lines[-1].train_seconds if lines else None,
        "max_bytes": _num_bytes(run),
    }
    rows = []
    for name, value in measured.items():
        if limit := getattr(run.recipe, name):
            cut = name == "max_seconds" and run.status == "cut"
            rows.append(BudgetRow(name, limit, value, None if value is None else cut or value <= limit, cut))
    return rows


def claims(recipe: Recipe, lines: list[Epoch]) -> list[ClaimRow]:
    """Return the document's figures beside those of the epochs.

    Like is held against like: the same statistic of the epochs, a train accuracy that is the running mean over an
    epoch's augmented images. Another data set's, a sealed run's test images' and those of no epoch are not compared.
    """
    shipped = recipes.load(recipe.name) if recipe.name in recipes.names() else recipe
    rows = []
    for part, name in (("train", "train_accuracy_running"), ("test", "test_accuracy")):
        claimed = getattr(recipe, f"claim_{part}_accuracy")
        values = [value for line in lines if (value := getattr(line, name)) is not None]
        why_not = ""
        if recipe.dataset != shipped.dataset:
            why_not = f"the document speaks of {shipped.dataset}"
        elif part == "test" and recipe.protocol == "sealed":
            why_not = "the run is sealed"
        elif not values:
            why_not = "no epoch was finished"
        measured = None if why_not else max(values) if recipe.claim_statistic == "best" else values[-1]
        if claimed:
            rows.append(ClaimRow(name, recipe.claim_statistic, claimed, measured, why_not))
    return rows


def differences(recipe: Recipe) -> dict[str, tuple[Any, Any]] | None:
    """Return {field: (here, in the shipped recipe of that name)}, or None where no recipe of that name is shipped."""
    return recipe.differences(recipes.load(recipe.name)) if recipe.name in recipes.names() else None


def command(run: Run) -> str:
    """Return the command that makes the run again."""
    recipe, about = run.recipe, run.about
    words = ["lenette train"]
    if recipe.name in recipes.names():
        words.append(recipe.name)
        shipped = recipes.load(recipe.name)
        budget = [name for name in recipe.values("budget") if getattr(recipe, name) != getattr(shipped, name)]
        for name in [*recipe.differences(shipped), *budget]:
            if (value := getattr(recipe, name)) is not None:
                words.append(_option(name, value))
    else:
        words.append(shlex.quote(str(run.folder)))
    words += [f"--seed {run.seed}", f"--engine {about.engine}", f"--threads {about.threads}"]
    return " ".join(words)


def _interval(evaluated: Evaluation | ledger.Look) -> Interval:
    """Return the 95 % Wilson interval of an accuracy over num_images."""
    total = evaluated.num_images
    found = accuracy_interval(round((evaluated.accuracy or 0) * total), total)
    return found.low, found.high


def _above(best: EpochFigures | None, last: EpochFigures | None) -> float | None:
    if best is None or last is None or best.accuracy is None or last.accuracy is None:
        return None
    return best.accuracy - last.accuracy


def _option(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {shlex.quote(','.join(map(str, value)) if isinstance(value, tuple) else str(value))}"


def _num_bytes(run: Run) -> int | None:
    """Return the bytes of the final weights, as their file has them; None before there is one that can be read."""
    try:
        return models.num_bytes(read_weights(run.folder / "model.safetensors"))
    except RunError:
        return None
