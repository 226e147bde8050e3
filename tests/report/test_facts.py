"""The facts of a run, and their words for the terminal."""

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import structs

from lenette import recipes, records, report
from lenette.cli import main
from lenette.report.facts import Facts, best_epoch, claims, command
from lenette.report.words import best
from lenette.runs import Run, in_store
from lenette.stats import accuracy_interval
from lenette.training import train

KINDS = ["course", "lenet", "sealed", "refit", "diverged", "killed", "cut"]


@pytest.mark.parametrize("kind", KINDS)
def test_facts_are_of_their_types_in_json_too(kind: str, request: pytest.FixtureRequest) -> None:
    known = report.facts(request.getfixturevalue(kind))
    assert records.plain(records.decode(records.line(known), Facts, kind)) == records.plain(known)


@pytest.mark.parametrize("kind", KINDS)
def test_lines_name_the_run_and_its_folder_and_hold_no_none(kind: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(kind)
    lines = report.lines(run)
    assert lines[0].startswith(f"{run.id}: {run.recipe.model} on scikit-learn's handwritten digits")
    assert lines[1].startswith("*** This is not MNIST")
    assert lines[-1] == f"files: {run.folder}"
    assert "None" not in "".join(lines)
    assert not any("\n" in line for line in lines)


def test_result_is_the_last_epochs_and_its_interval_wilsons(lenet: Run) -> None:
    known = report.facts(lenet)
    found = lenet.final["test"]
    wilson = accuracy_interval(300 - found.num_errors, 300)
    assert known.result.accuracy == lenet.metrics[-1].test_accuracy == known.last.accuracy
    assert known.result.interval == (wilson.low, wilson.high)
    best = max(line.test_accuracy for line in lenet.metrics)
    assert known.above_last == best - known.last.accuracy >= 0
    assert f"95 % interval {100 * wilson.low:.2f} to {100 * wilson.high:.2f} %" in "\n".join(report.lines(lenet))


@pytest.mark.parametrize("statistic", ["best", "last"])
def test_claims_are_held_against_the_same_statistic(statistic: str, tiny_mnist: Path, tmp_path: Path) -> None:
    recipe = recipes.load("ladder_7k_step").but(epochs=3, claim_statistic=statistic)
    run = train(recipe, threads=1, store=tmp_path)
    lines = [
        structs.replace(line, test_accuracy=test, train_accuracy_running=test / 2)
        for line, test in zip(run.metrics, (0.1, 0.9, 0.5), strict=True)
    ]
    train_row, test_row = claims(run.recipe, lines)
    assert (train_row.quantity, train_row.claimed) == ("train_accuracy_running", 0.9916)
    assert (test_row.quantity, test_row.claimed) == ("test_accuracy", 0.9945)
    assert test_row.measured == {"best": 0.9, "last": 0.5}[statistic]
    assert train_row.measured == {"best": 0.45, "last": 0.25}[statistic]
    assert {row.why_not for row in claims(run.recipe, [])} == {"no epoch was finished"}


def test_claims_are_not_held_against_what_is_another_thing(tiny_mnist: Path, course: Run, tmp_path: Path) -> None:
    assert {row.why_not for row in report.facts(course).claims} == {"the document speaks of mnist"}
    run = train("ladder_7k_step", epochs=1, protocol="sealed", threads=1, store=tmp_path)
    train_row, test_row = report.facts(run).claims
    assert train_row.why_not == ""
    assert (test_row.why_not, test_row.measured) == ("the run is sealed", None)


def test_an_exceeded_budget_is_called_exceeded(lenet: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = replace(lenet.recipe, max_parameters=44_425, max_bytes=177_703)
    monkeypatch.setattr(Run, "recipe", tight)
    rows = {row.name: row.met for row in report.facts(lenet).budget}
    assert rows == {"max_parameters": False, "max_epochs": True, "max_bytes": False}
    assert "budget: 44,426 of at most 44,425 parameters: exceeded" in report.lines(lenet)


def test_a_shipped_recipe_as_it_is_differs_in_nothing(course: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "recipe", recipes.load("ladder_7k_step"))
    assert report.facts(course).differences == {}
    monkeypatch.setattr(Run, "recipe", recipes.load("ladder_7k_step").but(name="mine", epochs=2))
    assert report.facts(course).differences is None


@pytest.mark.parametrize("kind", ["course", "lenet", "sealed", "cut"])
def test_the_command_finds_the_run_again(kind: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(kind)
    before = [other.id for other in in_store(run.folder.parent)]
    words = shlex.split(command(run))
    assert words[:2] == ["lenette", "train"]
    outcome = CliRunner().invoke(main, [*words[1:], "--store", str(run.folder.parent)])
    assert outcome.exit_code == 0, outcome.output
    assert [other.id for other in in_store(run.folder.parent)] == before
    assert run.id in outcome.output


def test_the_best_epoch_is_called_what_it_is(lenet: Run) -> None:
    known = report.facts(lenet)
    figures = structs.replace(known.best, epoch=12, accuracy=0.9935)
    text = best(structs.replace(known, best=figures, above_last=0.0006))
    assert text == (
        "best epoch 99.35 % (epoch 12), 0.06 points above the last: choosing an epoch on these images flatters"
    )
    assert best(structs.replace(known, above_last=0.0)) == "no epoch was better than the last"


def test_an_epoch_that_was_not_evaluated_has_no_accuracy(lenet: Run) -> None:
    first, *others = lenet.metrics
    unknown = structs.replace(others[-1], test_accuracy=None, test_loss=None)
    assert best_epoch([first, unknown], "test").epoch == 1
    assert best_epoch([unknown], "test") is None
    lenet = Run(shutil.copytree(lenet.folder, lenet.folder.with_name("unknown")))
    lenet.write_metrics([first, unknown])
    known = report.facts(lenet)
    assert (known.last.accuracy, known.above_last) == (None, None)
    assert best(known) == ""
    assert 'last</th><td class="n">6</td><td class="n">not known</td>' in report.page(lenet)
