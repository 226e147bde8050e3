"""What is known of a run, as plain values: the page and the terminal only put it into words."""

import shlex
from typing import Any

from lenette import models, recipes
from lenette.data import DATASETS
from lenette.errors import LenetteError
from lenette.evidence.sealed import openings
from lenette.files import finite
from lenette.recipes import Recipe
from lenette.runs import Run
from lenette.stats import accuracy_interval


def facts(run: Run) -> dict[str, Any]:
    """Return all that a page or a terminal says of a run, of plain values that JSON can hold.

    Accuracies are fractions, losses nats, times seconds; what isn't known, or isn't finite, is None.
    """
    recipe, about, status = run.recipe, run.about, run.status
    lines = run.metrics
    final = run.final if status in ("done", "cut") else {}
    steps_per_epoch = about["num_steps"] // recipe.epochs
    step = lines[-1]["step"] if lines else 0
    return {
        "id": run.id,
        "argument": run.argument,
        "folder": str(run.folder),
        "name": recipe.name,
        "title": recipe.title,
        "document": recipe.document,
        "model": recipe.model,
        "dataset": dataset(recipe.dataset),
        "protocol": recipe.protocol,
        "part": run.part,
        "status": status,
        "diverged_at": about.get("diverged_at"),
        "created": about["created"],
        "epochs": recipe.epochs,
        "epochs_done": step / steps_per_epoch,
        "result": result(run, final),
        "train": figures(final.get("train")),
        "last": epoch(lines[-1], run.part) if lines else None,
        "best": (best := best_epoch(lines, run.part)),
        "optimism": best["accuracy"] - lines[-1][f"{run.part}_accuracy"] if best else None,
        "openings": [{**opening, "interval": interval(opening)} for opening in openings(run)],
        "budget": budget(run, lines),
        "claims": claims(run, lines),
        "claim_note": recipe.claim_note,
        "differences": differences(recipe),
        "seconds_to": {f"{goal:g}": seconds for goal, seconds in run.seconds_to.items()},
        "train_seconds": lines[-1]["train_seconds"] if lines else None,
        "evaluate_seconds": lines[-1]["evaluate_seconds"] if lines else None,
        "seed": run.seed,
        "num_classes": len(about["data"]["classes"]),
        "num_train_images": about["data"]["num_images"],
        "data_digest": {
            part: digest for part, digest in zip(("train", run.part), about["data"]["digest"], strict=True) if part
        },
        "recipe_digest": recipe.digest,
        **{name: about[name] for name in ("engine", "engine_reason", "device", "threads", "parameters")},
        "environment": run.environment,
        "command": command(run),
    }


def dataset(name: str) -> dict[str, Any]:
    """Return the data set's `name`, `description`, and whether it `is_mnist`."""
    entry = DATASETS.get(name)
    description = entry.description.partition(":")[0] if entry else f"the images in {name}"
    return {"name": name, "description": description, "is_mnist": name == "mnist"}


def figures(evaluated: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what the page says of what `metrics.evaluate` gave, with the accuracy's 95 % interval."""
    if evaluated is None:
        return None
    names = ("accuracy", "loss", "num_images", "num_errors", "calibration_error")
    return {**{name: finite(evaluated[name]) for name in names}, "interval": interval(evaluated)}


def interval(evaluated: dict[str, Any]) -> list[float]:
    """Return the 95 % Wilson interval [low, high] of an accuracy over num_images."""
    total = evaluated["num_images"]
    found = accuracy_interval(round(evaluated["accuracy"] * total), total)
    return [found.low, found.high]


def result(run: Run, final: dict[str, Any]) -> dict[str, Any] | None:
    """Return the final figures on the part that guides the run, or on the training images where there is none."""
    part = run.part or "train"
    found = figures(final.get(part))
    return {"part": part, **found} if found else None


def epoch(line: dict[str, Any], part: str | None) -> dict[str, Any]:
    """Return one epoch's figures under names that don't depend on the part."""
    return {
        "epoch": line["epoch"],
        "accuracy": line.get(f"{part}_accuracy"),
        "loss": finite(line.get(f"{part}_loss")),
        "train_accuracy_running": line["train_accuracy_running"],
        "train_loss_running": finite(line["train_loss_running"]),
        "train_accuracy": line.get("train_accuracy"),
        "train_loss": finite(line.get("train_loss")),
    }


def best_epoch(lines: list[dict[str, Any]], part: str | None) -> dict[str, Any] | None:
    """Return the first of the epochs with the highest accuracy on the evaluated part."""
    if not lines or part is None:
        return None
    return epoch(max(lines, key=lambda line: line[f"{part}_accuracy"]), part)


def budget(run: Run, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return {name, limit, measured, met, cut} for each budget of the recipe; met is None where nothing is measured.

    A run that was cut at max_seconds did what the budget asked, though its last steps ended a little later.
    """
    recipe = run.recipe
    measured = {
        "max_parameters": run.about["parameters"],
        "max_epochs": lines[-1]["epoch"] if lines else None,
        "max_seconds": lines[-1]["train_seconds"] if lines else None,
        "max_bytes": _num_bytes(run),
    }
    rows = []
    for name, value in measured.items():
        limit = getattr(recipe, name)
        if limit:
            cut = name == "max_seconds" and run.status == "cut"
            met = None if value is None else cut or value <= limit
            rows.append({"name": name, "limit": limit, "measured": value, "met": met, "cut": cut})
    return rows


def claims(run: Run, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the document's figures beside this run's: {quantity, statistic, claimed, measured, why_not}.

    Like is held against like: the same statistic of the epochs, a train accuracy that is the running mean over an
    epoch's augmented images. `measured` is None, and `why_not` says why, for another data set, for the test images of a
    sealed run, and before the first epoch's end.
    """
    recipe = run.recipe
    last_or_best = max if recipe.claim_statistic == "best" else lambda values: values[-1]
    shipped = recipes.load(recipe.name) if recipe.name in recipes.names() else recipe
    rows = []
    for part, name in (("train", "train_accuracy_running"), ("test", "test_accuracy")):
        claimed = getattr(recipe, f"claim_{part}_accuracy")
        values = [line[name] for line in lines if name in line]
        why_not = ""
        if recipe.dataset != shipped.dataset:
            why_not = f"the document speaks of {shipped.dataset}"
        elif part == "test" and recipe.protocol == "sealed":
            why_not = "the run is sealed"
        elif not values:
            why_not = "no epoch was finished"
        measured = None if why_not else last_or_best(values)
        if claimed:
            rows.append(
                {
                    "quantity": name,
                    "statistic": recipe.claim_statistic,
                    "claimed": claimed,
                    "measured": measured,
                    "why_not": why_not,
                }
            )
    return rows


def differences(recipe: Recipe) -> dict[str, list[Any]] | None:
    """Return {field: [here, in the shipped recipe of that name]}, or None where no recipe of that name is shipped."""
    if recipe.name not in recipes.names():
        return None
    return {name: list(pair) for name, pair in recipe.differences(recipes.load(recipe.name)).items()}


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
    words += [f"--seed {run.seed}", f"--engine {about['engine']}", f"--threads {about['threads']}"]
    return " ".join(words)


def layers(run: Run) -> dict[str, Any]:
    """Return `models.summary` of the run's network, or its `error` where the network can't be built any more."""
    try:
        return models.summary(run.untrained_model(), run.about["data"]["shape"])
    except LenetteError as error:
        return {"rows": [], "totals": {}, "unused": [], "error": {"layer": "", "message": str(error), "advice": ""}}


def _option(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {shlex.quote(','.join(map(str, value)) if isinstance(value, tuple) else str(value))}"


def _num_bytes(run: Run) -> int | None:
    try:
        return models.num_bytes(run.untrained_model().state_dict())
    except LenetteError:  # a network of one's own whose file is gone
        return None
