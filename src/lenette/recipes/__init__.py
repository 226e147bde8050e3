"""The shipped recipes, one TOML file an experiment, and the ways to name a recipe."""

import re
from pathlib import Path
from typing import Any

from lenette.errors import RecipeError, nearest
from lenette.recipes.recipe import FIELDS_VERSION, Recipe, from_mapping, from_toml
from lenette.recipes.version1 import digest_v1

__all__ = ["FIELDS_VERSION", "Recipe", "changed", "digest_v1", "from_mapping", "from_toml", "load", "named", "names"]

SHIPPED = Path(__file__).parent
MAX_NAME = 60


def names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load(name: str) -> Recipe:
    """Return the recipe of that name: a shipped one, a TOML file, or a network of one's own.

    The last, file.py:function or module:function, gets every other field at its default. Paths of a network's file and
    of a data set's folder in a TOML file are relative to it. (`runs.load_recipe` knows runs too.)

    Raises:
        RecipeError: there is no such recipe, or it can't be read.
    """
    path = Path(name)
    if name in names():
        return from_toml(SHIPPED / f"{name}.toml")
    if path.suffix == ".toml":
        return _seen_from_here(from_toml(path), path.parent)
    if ":" in name:
        return Recipe(name=name.rpartition(":")[2], model=name)
    raise RecipeError(
        f"unknown recipe '{name}'{nearest(name, names())}; give one of {', '.join(names())}, a .toml file, a run's "
        "folder or name, or a network of your own as file.py:function"
    )


def changed(recipe: Recipe) -> dict[str, Any]:
    """Return the fields that change numbers and differ from the shipped recipe of that name, else from the defaults."""
    usual = load(recipe.name) if recipe.name in names() else Recipe(model=recipe.model)
    numbers = recipe.numbers()  # a field that hangs on a changed one, at its default there, says nothing new
    return {
        name: here
        for name, (here, there) in recipe.differences(usual).items()
        if here is not None and (there is not None or name in numbers)
    }


def named(recipe: Recipe) -> str:
    """Return what a recipe is called in a file's name, "" for a nameless one.

    A shipped one, or a network of one's own, carries what was changed, as long as it is short: lenet5-lr0.2-rotation10.
    A recipe in a file of its own goes by its name.
    """
    words = [recipe.name]
    if recipe.name in names() or recipe.name == recipe.model.rpartition(":")[2]:
        words += [_in_a_name(name, value) for name, value in changed(recipe).items()]
    text = re.sub(r"[^\w.+-]+", "-", "-".join(words))
    while len(text) > MAX_NAME and len(words) > 1:
        text = text[: -len(words.pop()) - 1]
    return text.strip(".-")


def _in_a_name(field: str, value: Any) -> str:
    field = field.replace("_", "")
    if isinstance(value, str):
        return Path(value).stem
    if isinstance(value, bool):
        return field if value else f"no{field}"
    return field + (".".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}")


def _seen_from_here(recipe: Recipe, folder: Path) -> Recipe:
    source, _, function = recipe.model.rpartition(":")
    changes = {}
    if source.endswith(".py") and not source.startswith("~"):
        changes["model"] = f"{folder / source}:{function}"
    if (folder / recipe.dataset).is_dir():
        changes["dataset"] = str(folder / recipe.dataset)
    return recipe.but(**changes)
