"""The questions train what they say, paired by seed, and come back from the disk as they were."""

import csv
import json
from pathlib import Path

import pytest

from lenette import recipes, runs, studies
from lenette.errors import LenetteError, RecipeError, RunError
from lenette.many import Estimate
from lenette.recipes import Recipe
from lenette.studies import questions


@pytest.fixture
def recipe(tiny_folder: Path) -> Recipe:
    return Recipe(
        name="tiny",
        model="sigmoid_mlp",
        dataset=str(tiny_folder),
        protocol="course",
        epochs=4,
        batch_size=50,
        lr=0.5,
        schedule="constant",
    )


def test_a_study_of_learning_rates_trains_finds_and_is_read_again(recipe: Recipe, tmp_path: Path) -> None:
    how = {"store": tmp_path / "store", "processes": 1, "seeds": 2}
    study = studies.learning_rate(recipe, rates=(0.1, 0.5), **how)

    assert [cell.name for cell in study.cells] == ["lr 0.1", "lr 0.5"]
    assert study.axes == {"lr": [0.1, 0.5]}
    assert (study.part, study.num_classes, study.num_images) == ("test", 10, 300)
    run = runs.find(study.cells[1].runs[0].run, tmp_path / "store")
    figures = study.cells[1].runs[0].figures
    assert figures["test_error"] == pytest.approx(1 - run.test_accuracy)
    assert figures["gap_loss"] == pytest.approx(run.test_loss - run.train_loss)
    assert len(study.cells[1].runs[0].curve["train_loss"]) == 4

    answer = studies.answer(study)
    studies.save(study, tmp_path / "out", answer)
    again = studies.read(tmp_path / "out")
    assert again == study
    assert studies.answer(again) == answer
    assert json.loads((tmp_path / "out" / "study.json").read_text())["answer"] == answer
    with (tmp_path / "out" / "study.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["lr"] for row in rows] == ["0.1", "0.5"]
    mean = study.cells[0].mean("test_error")
    assert mean is not None
    assert float(rows[0]["test_error"]) == pytest.approx(mean.mean)
    with (tmp_path / "out" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["lr"], row["seed"]) for row in rows] == [("0.1", "0"), ("0.1", "1"), ("0.5", "0"), ("0.5", "1")]

    wider: list[Estimate] = []
    studies.batch_size(recipe, sizes=(25, 50), ahead=wider.append, **how)
    assert (wider[0].num_jobs, wider[0].num_todo) == (4, 2)


def test_a_sealed_study_is_of_validation_figures_and_opens_no_test_images(recipe: Recipe, tmp_path: Path) -> None:
    sealed = recipe.but(protocol="sealed")
    study = studies.sweep(sealed, {"lr": [0.1, 0.5]}, seeds=[3, 5], store=tmp_path, processes=1)
    assert study.part == "validation"
    assert set(study.cells[0].values("validation_error")) == {3, 5}
    assert not study.cells[0].values("test_error")
    assert not any("test" in sentence for sentence in studies.answer(study)[:-1])


def test_what_diverges_is_a_result(recipe: Recipe, tmp_path: Path) -> None:
    far = recipe.but(model="lenet5")
    study = studies.sweep(far, {"lr": [0.1, 1e18]}, seeds=2, store=tmp_path, processes=1)
    assert len(study.cells[1].diverged) == 2
    assert any("diverged in 2 of 2 seeds" in sentence for sentence in studies.answer(study))
    studies.save(study, tmp_path / "out", studies.answer(study))
    assert studies.read(tmp_path / "out") == study


def test_a_ladder_names_what_each_rung_changed(recipe: Recipe, tmp_path: Path) -> None:
    rungs = [recipe, recipe.but(name="turned", rotation=10.0)]
    study = studies.ladder(rungs, seeds=2, store=tmp_path, processes=1)
    assert [cell.changes for cell in study.cells] == [{}, {"rotation": 10.0}]
    assert study.cells[0].parameters == 79510


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"name": "tiny"}, "same name"), ({"protocol": "sealed"}, "protocol"), ({"dataset": "optdigits"}, "dataset")],
)
def test_rungs_that_cant_be_compared_are_refused(recipe: Recipe, changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        studies.ladder([recipe, recipe.but(**{"name": "other", **changes})])


def test_the_default_schedules_fit_the_epochs_and_take_in_the_recipes_own() -> None:
    base = recipes.load("sigmoid_mlp")
    found = {name: base.but(**changes) for name, changes in questions.default_schedules(base).items()}
    assert [recipe.schedule for recipe in found.values()] == ["constant", "step", "multistep", "sgdr"]
    assert found["SGDR every 5 epochs"].restart_epochs == 5
    own = questions.default_schedules(base.but(schedule="onecycle"))
    assert list(own)[-1] == "onecycle, as in the recipe"
    for epochs in (1, 2, 3):
        for changes in questions.default_schedules(base.but(epochs=epochs)).values():
            base.but(epochs=epochs, **changes)


def test_augmentation_switches_on_one_operation_at_a_time(recipe: Recipe, tmp_path: Path) -> None:
    own = recipe.but(epochs=1, rotation=15.0, crop_size=20, crop_probability=0.5)
    study = studies.augmentation(own, seeds=1, store=tmp_path, processes=1)
    made = {cell.name: cell.recipe for cell in study.cells}
    assert list(made) == [
        "none",
        "rotation",
        "translation",
        "scale",
        "shear",
        "centre crop",
        "random crop",
        "colour jitter",
        "erasing",
        "all of the recipe's",
    ]
    on = {
        name: {field for field in recipe if field in questions.SWITCHES and recipe[field]}
        for name, recipe in made.items()
    }
    assert on["none"] == set()
    assert on["colour jitter"] == {"brightness", "contrast"}
    assert on["all of the recipe's"] == {"rotation", "crop_size"}
    assert made["rotation"]["rotation"] == 15.0
    assert made["centre crop"]["crop_probability"] == 0.5
    assert made["random crop"]["crop_padding"] == 2


def test_no_seeds_a_seed_twice_and_no_images_to_judge_by_are_refused(recipe: Recipe) -> None:
    for seeds in (0, [1, 1]):
        with pytest.raises(RunError, match="at least one seed, and each once"):
            studies.learning_rate(recipe, seeds=seeds)
    with pytest.raises(RecipeError, match="images to judge by"):
        studies.learning_rate(recipe.but(protocol="sealed", fold=-1))


def test_a_file_that_holds_no_study_is_named(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(LenetteError, match=r"study\.json is damaged: .* missing required field `question`"):
        studies.read(tmp_path)


def test_ahead_may_stop_a_study_before_it_begins(recipe: Recipe, tmp_path: Path) -> None:
    def no(estimate: Estimate) -> None:
        raise LenetteError(f"{estimate.num_todo} runs are too many")

    with pytest.raises(LenetteError, match="10 runs are too many"):
        studies.sweep(recipe, {"lr": [0.1, 0.2]}, ahead=no, store=tmp_path)
    assert not runs.in_store(tmp_path)
