"""Grids: what is typed is read, and every slip is named."""

import pytest

from lenette.errors import RecipeError
from lenette.recipes import Recipe
from lenette.studies import grid

BASE = Recipe(model="lenet5", schedule="constant")


def test_texts_become_values_of_the_fields_own_types() -> None:
    texts = ["lr=0.025, 0.05", "batch-size=64", "nesterov=true,false", "optimizer=sgd,adam", "milestones=8+12,10"]
    assert grid.parse(texts) == {
        "lr": [0.025, 0.05],
        "batch_size": [64],
        "nesterov": [True, False],
        "optimizer": ["sgd", "adam"],
        "milestones": [(8, 12), (10,)],
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["lrr=0.1"], "unknown field 'lrr'; did you mean 'lr'"),
        (["lr=a,0.1"], "field 'lr' = 'a': must be a number"),
        (["batch_size=64.5"], "field 'batch_size' = '64.5': must be a whole number"),
        (["nesterov=yes"], "must be true or false"),
        (["milestones=8;12"], "whole numbers joined by"),
        (["lr"], "'lr' is no axis of a grid"),
        (["lr="], "a value is missing"),
        (["lr=0.1,,0.2"], "a value is missing"),
        (["lr=0.1", "lr=0.2"], "'lr' is given twice"),
        (["title=a,b"], "'title' changes no numbers"),
        (["max_epochs=3"], "'max_epochs' changes no numbers"),
    ],
)
def test_a_slip_in_a_text_is_named(texts: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        grid.parse(texts)


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({}, "the grid is empty"),
        ({"lr": []}, "'lr' has no values"),
        ({"lr": [0.1, 0.10]}, "the value 0.1 is given twice"),
        ({"lrr": [0.1]}, "did you mean 'lr'"),
        ({"lr": [0.1, -1.0]}, "field 'lr' = -1.0: must be at least 0"),
        ({"restart_epochs": [2]}, "is not used where schedule = 'constant'"),
    ],
)
def test_a_grid_that_wont_do_is_refused(over: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        grid.cells(BASE, over)


def test_cells_are_all_combinations_the_last_field_fastest() -> None:
    cells = grid.cells(BASE, {"lr": [0.1, 0.2], "batch_size": [32, 64]})
    assert [(recipe.lr, recipe.batch_size) for _, recipe in cells] == [(0.1, 32), (0.1, 64), (0.2, 32), (0.2, 64)]
    assert grid.label(cells[1][0]) == "lr 0.1, batch_size 64"
