"""The shipped recipes, one TOML file an experiment, and the ways to name a recipe."""

from pathlib import Path

from lenette.errors import RecipeError, nearest
from lenette.recipes.recipe import FIELDS_VERSION, Recipe, from_mapping, from_toml
from lenette.recipes.version1 import digest_v1

__all__ = ["FIELDS_VERSION", "Recipe", "digest_v1", "from_mapping", "from_toml", "load", "names"]

SHIPPED = Path(__file__).parent


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


def _seen_from_here(recipe: Recipe, folder: Path) -> Recipe:
    source, _, function = recipe.model.rpartition(":")
    changes = {}
    if source.endswith(".py") and not source.startswith("~"):
        changes["model"] = f"{folder / source}:{function}"
    if (folder / recipe.dataset).is_dir():
        changes["dataset"] = str(folder / recipe.dataset)
    return recipe.but(**changes)
