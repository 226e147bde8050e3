"""Budgets as contracts: the courses' presets, and what a proof says of a recipe's budget."""

from typing import Any

from lenette.errors import LenetteError, nearest
from lenette.recipes import Recipe

# "Under 20,000 parameters in at most 20 epochs, for 99.4 %": what the courses ask for.
PRESETS: dict[str, dict[str, Any]] = {
    "under_20k": {"max_parameters": 19_999, "max_epochs": 20, "accuracy": 0.994},
    "under_10k": {"max_parameters": 9_999, "max_epochs": 15, "accuracy": 0.994},
    "under_8k": {"max_parameters": 7_999, "max_epochs": 15, "accuracy": 0.994},
}


def with_preset(recipe: Recipe, preset: str) -> tuple[Recipe, float]:
    """Return the recipe under the preset's budget (where its own is not tighter), and the preset's accuracy.

    Raises:
        LenetteError: there is no such preset.
        RecipeError: the recipe has more epochs than the preset allows.
    """
    if preset not in PRESETS:
        raise LenetteError(f"unknown preset '{preset}'{nearest(preset, PRESETS)}; the presets are {', '.join(PRESETS)}")
    limits = {name: limit for name, limit in PRESETS[preset].items() if name != "accuracy"}
    tighter = {name: min(limit, getattr(recipe, name) or limit) for name, limit in limits.items()}
    return recipe.but(**tighter), PRESETS[preset]["accuracy"]


def certificate(
    recipe: Recipe, parameters: int, num_bytes: int, made: list[dict[str, Any]], verdict: str
) -> dict[str, Any] | None:
    """Return whether the budget was kept and the accuracy proven, or None where the recipe names no budget.

    Args:
        made: the proof's runs; epochs and seconds are those of the run that took most.
        verdict: the proof's.

    Returns:
        `granted`, and `budget`: rows of {name, limit, measured, met, rests_on}. What rests on "the weights" can be
        recomputed from them; what rests on "the record" can only be made again.
    """
    epochs = max((run["curve"]["epoch"][-1] for run in made if run["curve"]), default=None)
    seconds = max((run["curve"]["train_seconds"][-1] for run in made if run["curve"]), default=None)
    # A run that is cut at max_seconds did what the budget asked; it has gone over it by less than a report of progress.
    was_cut = all(
        run["status"] == "cut" for run in made if run["curve"] and run["curve"]["train_seconds"][-1] == seconds
    )
    rows = []
    for name, measured, rests_on in (
        ("max_parameters", parameters, "the weights"),
        ("max_bytes", num_bytes, "the weights"),
        ("max_epochs", epochs, "the record"),
        ("max_seconds", seconds, "the record"),
    ):
        limit = getattr(recipe, name)
        if limit:
            met = measured is not None and (measured <= limit or (name == "max_seconds" and was_cut))
            rows.append({"name": name, "limit": limit, "measured": measured, "met": met, "rests_on": rests_on})
    if not rows:
        return None
    return {"granted": verdict == "proven" and all(row["met"] for row in rows), "budget": rows}
