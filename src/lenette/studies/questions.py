"""The questions: each names its cells, trains them over paired seeds, and returns a Study."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import msgspec

from lenette import jobs, many, runs
from lenette.errors import RecipeError, RunError
from lenette.many import Estimate
from lenette.recipes import Recipe
from lenette.studies import grid
from lenette.studies.study import Cell, Machine, Study, outcome

RATES = (0.025, 0.05, 0.1, 0.2, 0.5)
SIZES = (16, 32, 64, 128, 256, 512)
IMAGES = ("dataset", "protocol", "fold")  # fields that decide which images a figure is of
SWITCHES = [f.name for f in fields(Recipe) if f.metadata["group"] == "augmentation" and not f.metadata["used_by"]]
Named = tuple[str, dict[str, Any], Recipe]
Ahead = Callable[[Estimate], None]

# Every question below takes, beside its own arguments,
#   seeds: how many, or which; one seed sees the same images in the same order in every cell.
#   ahead: is called with the Estimate before anything is trained, and may raise to stop.
#   how: what `many.run` takes: folder, engine, device, threads, processes, store, progress.
# They evaluate the training images every epoch, since over- and underfitting is seen there.


def sweep(
    recipe: Recipe | str,
    over: Mapping[str, Sequence[Any]],
    seeds: int | Sequence[int] = 5,
    ahead: Ahead | None = None,
    **how: Any,
) -> Study:
    """Train every combination of the given fields' values, e.g. over={"lr": [0.05, 0.1], "batch_size": [64, 128]}."""
    base = _recipe(recipe)
    for field in IMAGES:
        if field in over:
            raise RecipeError(
                f"a sweep over {field}: the figures would not be of the same images; make one sweep of each"
            )
    return _study("sweep", f"{_name(base)} over {' and '.join(over)}", _grid(base, over), over, seeds, ahead, how)


def learning_rate(
    recipe: Recipe | str,
    rates: Sequence[float] = RATES,
    seeds: int | Sequence[int] = 5,
    ahead: Ahead | None = None,
    **how: Any,
) -> Study:
    """Ask which learning rate to prefer."""
    return _along("learning-rate", "Learning rate", recipe, {"lr": rates}, seeds, ahead, how)


def batch_size(
    recipe: Recipe | str,
    sizes: Sequence[int] = SIZES,
    seeds: int | Sequence[int] = 5,
    ahead: Ahead | None = None,
    **how: Any,
) -> Study:
    """Ask how train and test error vary with the batch size, at the same number of epochs and the same rate."""
    return _along("batch-size", "Batch size", recipe, {"batch_size": sizes}, seeds, ahead, how)


def schedule(
    recipe: Recipe | str,
    schedules: Mapping[str, Mapping[str, Any]] | None = None,
    seeds: int | Sequence[int] = 5,
    ahead: Ahead | None = None,
    **how: Any,
) -> Study:
    """Ask what a learning rate that falls brings over a fixed one, in error and in rate of convergence.

    `schedules` is {name: fields}, the one to compare with first; without it: a fixed rate, halves each quarter of the
    epochs, tenths after a half and three quarters, and SGDR, a cosine restarted each quarter.
    """
    base = _every(_recipe(recipe))
    schedules = schedules or default_schedules(base)
    cells = [(name, dict(changes), base.but(**changes)) for name, changes in schedules.items()]
    return _study("schedule", f"Schedule: {_name(base)}", cells, {}, seeds, ahead, how)


def default_schedules(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return the schedules that `schedule` compares, fitted to the recipe's epochs, its own among them."""
    quarter = max(1, recipe.epochs // 4)
    every = f"{quarter} epochs" if quarter > 1 else "epoch"
    drops = tuple(sorted({max(1, recipe.epochs // 2), max(1, recipe.epochs * 3 // 4)}))
    found: dict[str, dict[str, Any]] = {
        "fixed": {"schedule": "constant"},
        f"halved every {every}": {"schedule": "step", "step_epochs": quarter, "gamma": 0.5},
        f"a tenth after {' and '.join(map(str, drops))}": {"schedule": "multistep", "milestones": drops, "gamma": 0.1},
        f"SGDR every {every}": {"schedule": "sgdr", "restart_epochs": quarter},
    }
    if recipe.digest not in [recipe.but(**changes).digest for changes in found.values()]:
        found[f"{recipe.schedule}, as in the recipe"] = {}
    return found


def ladder(
    rungs: Sequence[Recipe | str], seeds: int | Sequence[int] = 5, ahead: Ahead | None = None, **how: Any
) -> Study:
    """Ask what each recipe changed against the one before it, and what it brought."""
    chosen = [_every(_recipe(rung)) for rung in rungs]
    names = [_name(rung) for rung in chosen]
    if len(chosen) < 2:
        raise RecipeError(f"a ladder has at least two rungs, not {len(chosen)}")
    if len(set(names)) < len(names):
        raise RecipeError(f"the rungs {', '.join(names)}: two have the same name")
    for rung in chosen:
        for field in IMAGES:
            if getattr(rung, field) != getattr(chosen[0], field):
                raise RecipeError(
                    f"rung '{_name(rung)}' has {field} = {getattr(rung, field)!r} and '{names[0]}' "
                    f"{getattr(chosen[0], field)!r}: their figures would not be of the same images"
                )
    below = [chosen[0], *chosen]
    cells = [
        (name, {field: new for field, (_, new) in before.differences(rung).items()}, rung)
        for name, before, rung in zip(names, below, chosen, strict=False)
    ]
    return _study("ladder", f"Ladder: {', '.join(names)}", cells, {}, seeds, ahead, how)


def augmentation(recipe: Recipe | str, seeds: int | Sequence[int] = 5, ahead: Ahead | None = None, **how: Any) -> Study:
    """Ask what each augmentation alone brings over none: the geometric ones, colour jitter, crops and erasing.

    An operation that the recipe switches on keeps the recipe's amount; if it switches on several, they are a cell too.
    """
    base = _every(_recipe(recipe))
    image_size = jobs.datasets(base, how.get("folder"))[0].images.shape[-1]
    own = {name: value for name, value in base.values("augmentation").items() if value}
    bare = base.but(**dict.fromkeys(set(own) & set(SWITCHES), 0))
    cells: list[Named] = [("none", {}, bare)]
    for name, usual in operations(image_size).items():
        amounts = {field: own.get(field, value) for field, value in usual.items()}
        cells.append((name, amounts, bare.but(**amounts)))
    if base.digest not in [cell.digest for _, _, cell in cells]:
        cells.append(("all of the recipe's", own, base))
    return _study("augmentation", f"Augmentation: {_name(base)}", cells, {}, seeds, ahead, how)


def operations(image_size: int) -> dict[str, dict[str, Any]]:
    """Return each augmentation with a usual amount, for images of so many pixels.

    Rotation is document D's, the centre crop document C's (22 of 28 pixels, one image in ten); the other amounts are
    this study's own choice, about a pixel or two at the digit's rim.
    """
    crop = round(image_size * 22 / 28)
    return {
        "rotation": {"rotation": 10.0},
        "translation": {"translation": image_size / 14},
        "scale": {"scale": 0.1},
        "shear": {"shear": 0.2},
        "centre crop": {"crop_size": crop, "crop_probability": 0.1},
        "random crop": {"crop_padding": max(1, round(image_size / 14))},
        "colour jitter": {"brightness": 0.1, "contrast": 0.1},
        "erasing": {"erase_size": max(1, round(image_size * 8 / 28))},
    }


def _along(
    question: str,
    title: str,
    recipe: Recipe | str,
    over: Mapping[str, Sequence[Any]],
    seeds: int | Sequence[int],
    ahead: Ahead | None,
    how: dict[str, Any],
) -> Study:
    base = _every(_recipe(recipe))
    return _study(question, f"{title}: {_name(base)}", _grid(base, over), over, seeds, ahead, how)


def _study(
    question: str,
    title: str,
    cells: Sequence[Named],
    axes: Mapping[str, Sequence[Any]],
    seeds: int | Sequence[int],
    ahead: Ahead | None,
    how: dict[str, Any],
) -> Study:
    """Train the cells and gather what they came to."""
    parts = {runs.evaluated_part(recipe) for _, _, recipe in cells}
    if len(parts) > 1 or None in parts:
        raise RecipeError("a study needs images to judge by, the same in every cell: use one protocol, and fold 0 to 5")
    numbers = _seeds(seeds)
    jobs = [(recipe, seed) for _, _, recipe in cells for seed in numbers]
    if ahead is not None:
        ahead(many.estimate(jobs, **{name: value for name, value in how.items() if name != "progress"}))
    found = many.run(jobs, **how)
    made = []
    for place, (name, changes, recipe) in enumerate(cells):
        of_cell = found[place * len(numbers) : (place + 1) * len(numbers)]
        made.append(
            Cell(
                name=name,
                changes=_plain(changes),
                recipe=_plain({"name": recipe.name, **recipe.values(*grid.GROUPS)}),
                parameters=of_cell[0].about.parameters,
                runs=[outcome(run) for run in of_cell],
            )
        )
    first = found[0]
    machine = Machine(
        **msgspec.structs.asdict(first.environment), engine=first.about.engine, threads=first.about.threads
    )
    return Study(
        question=question,
        title=title,
        dataset=cells[0][2].dataset,
        part=parts.pop() or "",
        num_images=first.about.data.num_images,
        num_classes=len(first.about.data.classes),
        seeds=numbers,
        axes={name: _plain(list(values)) for name, values in axes.items()},
        cells=made,
        machine=machine,
    )


def _grid(base: Recipe, over: Mapping[str, Sequence[Any]]) -> list[Named]:
    return [(grid.label(changes), changes, cell) for changes, cell in grid.cells(base, over)]


def _recipe(recipe: Recipe | str) -> Recipe:
    return runs.load_recipe(recipe) if isinstance(recipe, str) else recipe


def _every(recipe: Recipe) -> Recipe:
    return recipe.but(evaluate_train="every")


def _name(recipe: Recipe) -> str:
    return recipe.name or recipe.model


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers or len(set(numbers)) < len(numbers):
        raise RunError(f"seeds = {seeds}: at least one seed, and each once")
    return numbers


def _plain(value: Any) -> Any:
    """Return the value as JSON would give it back: lists for tuples."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
