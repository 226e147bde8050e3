"""Answers about cells that are all alike call one worse, or better, in no more than 5 % of studies."""

import numpy as np
import pytest

from tests.studies.levels import rate, tells_apart

STUDIES = 600
HIGHEST = 0.05 + 3 * (0.05 * 0.95 / STUDIES) ** 0.5


@pytest.mark.parametrize("last", [1.0, 0.1])
def test_equal_cells_are_seldom_told_apart_where_the_figures_choose_what_they_are_held_against(last: float) -> None:
    assert rate("sweep", 9, 10, last, 0.0, STUDIES) <= HIGHEST


@pytest.mark.parametrize("question", ["ladder", "augmentation"])
def test_equal_cells_are_seldom_told_apart_where_it_was_settled(question: str) -> None:
    assert rate(question, 5, 5, 1.0, 0.2, STUDIES) <= HIGHEST


@pytest.mark.parametrize("question", ["sweep", "ladder", "augmentation"])
def test_unequal_cells_are_told_apart(question: str) -> None:
    errors = np.array([[0.01, 0.0101, 0.0102], [0.02, 0.0203, 0.0201]])
    assert tells_apart(question, errors)
    assert tells_apart(question, errors[::-1])
    assert not tells_apart(question, errors[:, :1])
