"""Grids: what is typed after --over, checked and multiplied out."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from itertools import product
from typing import Any

from lenette.errors import RecipeError
from lenette.many import shown
from lenette.recipes import Recipe
from lenette.recipes.recipe import right_name

GROUPS = ("what", "training", "augmentation")
TRUTH = {"true": True, "false": False}


def parse(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Return {field: values} for texts such as "lr=0.025,0.05"; a list's own items are joined by +, as in 8+12.

    Raises:
        RecipeError: a text has no such form, a field is unknown or given twice, or a value is of the wrong type.
    """
    over: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise RecipeError(f"'{text}' is no axis of a grid: write field=value,value, e.g. lr=0.05,0.1")
        if name in over:
            raise RecipeError(f"field '{name}' is given twice: write all its values after one '='")
        kind = _field(name).type
        over[name] = [_value(name, kind, part.strip()) for part in values.split(",")]
    return over


def cells(recipe: Recipe, over: Mapping[str, Sequence[Any]]) -> list[tuple[dict[str, Any], Recipe]]:
    """Return (changes, changed recipe) for each combination of the fields' values, the last field varying fastest.

    Raises:
        RecipeError: a field is unknown or changes no numbers, has no values or one twice, or a combination won't do.
    """
    if not over:
        raise RecipeError("the grid is empty: name at least one field and its values, e.g. lr=0.05,0.1")
    for name, values in over.items():
        _field(name)
        if not len(values):
            raise RecipeError(f"field '{name}' has no values: write {name}=value,value")
        for place, value in enumerate(values):
            if value in values[:place]:
                raise RecipeError(f"field '{name}': the value {shown(value)} is given twice")
    result = []
    for combination in product(*over.values()):
        changes = dict(zip(over, combination, strict=True))
        result.append((changes, recipe.but(**changes)))
    return result


def label(changes: Mapping[str, Any]) -> str:
    """Return a cell's changes as its name: "lr 0.1, batch_size 64"."""
    return ", ".join(f"{name} {shown(value)}" for name, value in changes.items())


def _field(name: str) -> Any:
    known = {f.name: f for f in fields(Recipe)}
    swept = {key: f for key, f in known.items() if f.metadata["group"] in GROUPS}
    if name in known and name not in swept:
        raise RecipeError(f"field '{name}' changes no numbers of a run: there is nothing to compare")
    if name not in known:
        raise RecipeError(f"unknown field '{name}'{right_name(name)}")
    return known[name]


def _value(name: str, kind: Any, text: str) -> Any:
    if not text:
        raise RecipeError(f"field '{name}': a value is missing: write {name}=value,value without an empty place")
    try:
        if kind is bool:
            return TRUTH[text.lower()]
        if kind in (int, float, str):
            return kind(text)
        return tuple(int(item) for item in text.split("+"))
    except (KeyError, ValueError):
        kinds = {int: "a whole number", float: "a number", bool: "true or false"}
        raise RecipeError(
            f"field '{name}' = '{text}': must be {kinds.get(kind, 'whole numbers joined by +, e.g. 8+12')}"
        ) from None
