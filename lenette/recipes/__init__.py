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
    """Return the recipe of that name: a shipped one, a TOML file, a run's folder, or a network of one's own.

    The last, file.py:function or module:function, gets every other field at its default.

    Raises:
        RecipeError: there is no such recipe, or it can't be read.
    """
    path = Path(name)
    if name in names():
        return from_toml(SHIPPED / f"{name}.toml")
    if (path / "recipe.toml").is_file():
        return from_toml(path / "recipe.toml")
    if path.suffix == ".toml":
        return from_toml(path)
    if ":" in name:
        return Recipe(name=name.rpartition(":")[2], model=name)
    raise RecipeError(
        f"unknown recipe '{name}'{nearest(name, names())}; give one of {', '.join(names())}, a .toml file, "
        "a run's folder, or a network of your own as file.py:function"
    )
