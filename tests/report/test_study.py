"""The page of a study: one file, its figures and tables follow the study, whatever happened in it."""

import re
from pathlib import Path

import pytest

from lenette import records, studies
from lenette.report import study as page
from lenette.studies import Cell, RangeTest, Study, compare
from tests.studies.made_up import EPOCHS, cell, diverged, errors, rates, run, study

LABORATORY = Path(__file__).parents[2] / "results" / "laboratory"
SHIPPED = sorted(LABORATORY.rglob("study.json"))

LADDER = [
    cell("big", errors(0.02), parameters=15000),
    cell("small", errors(0.025), {"model": "small"}, parameters=12000),
]
GRID = [
    cell(f"lr {lr}, nesterov {on}", errors(lr / 5), {"lr": lr, "nesterov": on}) for lr in (0.1, 0.2) for on in (0, 1)
]


def schedules() -> list[Cell]:
    made = []
    for name, changes in {"fixed": {}, "SGDR": {"schedule": "sgdr", "restart_epochs": 2}}.items():
        recipe = {"model": "lenet5", "epochs": EPOCHS, "batch_size": 600, "schedule": "constant", "lr": 0.1, **changes}
        plain = cell(name, errors(0.02 if changes else 0.03), changes)
        made.append(Cell(name, changes, {**plain.recipe, **recipe}, 1000, plain.runs))
    return made


STUDIES = {
    "rates": rates(r0_025=errors(0.04), r0_5=errors(0.02)),
    "some diverged": rates(r0_025=errors(0.04), r0_5=[*errors(0.9, 1), *[diverged(seed) for seed in range(1, 5)]]),
    "all diverged": rates(r0_1=[diverged(0)], r0_5=[diverged(0)]),
    "one seed": rates(r0_1=errors(0.02, 1), r0_5=errors(0.2, 1)),
    "one cell": rates(r0_1=errors(0.02)),
    "ladder": study("ladder", LADDER),
    "grid": study("sweep", GRID, {"lr": [0.1, 0.2], "nesterov": [False, True]}),
    "schedule": study("schedule", schedules()),
    "train figures at the end only": study("sweep", [cell("a", [run(0, curve={"train_loss": [None] * EPOCHS})])]),
}


@pytest.mark.parametrize("found", STUDIES.values(), ids=STUDIES)
def test_every_study_gets_a_page_that_needs_nothing_else(found: Study, tmp_path: Path) -> None:
    path = page.write(found, tmp_path, "lenette study of this")
    text = path.read_text()
    # what a page could load lies beside it; names of XML are no addresses
    assert not re.findall(r'(?:src|href)="(?!#|study\.|runs\.)[^"]*"|@import|url\((?!#)', text)
    for sentence in studies.answer(found):
        assert f"- {sentence}" in (tmp_path / "answer.md").read_text()
    assert "lenette study of this" in text
    assert text.count("<svg") == len(page.drawings(found)) == len(list(tmp_path.glob("*.svg")))
    assert "inf" not in re.sub(r"<svg.*?</svg>|info\w*", "", text, flags=re.DOTALL).split()
    assert studies.read(tmp_path) == found


def test_a_page_shows_what_the_study_found(tmp_path: Path) -> None:
    found = STUDIES["some diverged"]
    text = page.write(found, tmp_path).read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "4 of 5" in text
    assert "diverged at step 12, learning rate 0.5" in text
    assert "Not MNIST" not in text
    other = study("sweep", [cell("a", errors(0.02))], dataset="optdigits")
    assert "Not MNIST" in page.write(other, tmp_path).read_text()


def test_the_figures_hold_the_figures(tmp_path: Path) -> None:
    from lenette.report.figures import study as figures

    found = STUDIES["rates"]
    (axes,) = figures.errors(found).axes
    mean = found.cells[0].mean("test_error")
    assert mean is not None
    drawn = {tuple(point) for line in axes.lines for point in line.get_xydata().round(9).tolist()}
    assert (0.025, round(100 * mean.mean, 9)) in drawn
    assert (0.025, round(100 * mean.low, 9)) in drawn
    assert axes.get_xscale() == "log"

    (axes,) = figures.differences(STUDIES["ladder"]).axes
    (one,) = compare.comparisons(STUDIES["ladder"])
    drawn = {point[0] for line in axes.lines for point in line.get_xydata().round(9).tolist()}
    assert {round(100 * getattr(one.mean, side), 9) for side in ("mean", "low", "high")} <= drawn
    assert [label.get_text() for label in axes.get_yticklabels()] == ["small"]


@pytest.mark.parametrize("path", SHIPPED, ids=[str(path.parent.relative_to(LABORATORY)) for path in SHIPPED])
def test_the_shipped_answers_follow_from_the_shipped_figures(path: Path) -> None:
    """Where the words have changed, `make pages` writes them anew."""
    if path.parent.name == "range-test":
        sentences = records.read(path, RangeTest).answer
    else:
        sentences = studies.answer(studies.read(path))
    lines = (path.parent / page.SENTENCES).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("- ")] == [f"- {sentence}" for sentence in sentences]


def test_a_range_test_has_a_page_too(tmp_path: Path) -> None:
    found = RangeTest("Range test: x", "mnist", 3, [0], [0.1, 0.2, 0.4], [[2.0, 1.0, 9.0]], [[2.0, 1.5, 7.0]], [0.02])
    text = page.write(found, tmp_path).read_text()
    assert "0.02 is suggested" in text
    assert (tmp_path / "loss.svg").exists()
