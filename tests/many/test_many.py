"""Many runs: found before they are made, the same in whatever process, and none lost when something breaks."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from lenette import many, runs, training
from lenette.errors import DiskFull, LenetteError, RunError
from lenette.many.workers import Job
from lenette.recipes import Recipe

SELF_KILLING = """
import multiprocessing, os, pathlib, signal
from torch import nn

class Killer(nn.Identity):
    def forward(self, x):
        again = {flag!r} and pathlib.Path({flag!r}).exists()
        checked = len(x) <= 3  # before the first step
        if self.training and not checked and multiprocessing.parent_process() and not again:
            if {flag!r}:
                pathlib.Path({flag!r}).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

def network(num_classes=10, in_channels=1, image_size=28):
    return nn.Sequential(Killer(), nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))
"""

SCRIPT = """
import sys
from pathlib import Path
from lenette import many
from lenette.recipes import Recipe

recipe = Recipe(model="sigmoid_mlp", dataset={data!r}, protocol="course", epochs=20000, schedule="constant")

def progress(state):
    if len([run for run in state.running if run.progress and run.progress.step > 20]) == 2:
        Path({ready!r}).touch()

many.run([(recipe, seed) for seed in (0, 1, 2)], store={store!r}, processes=2, progress=progress)
"""


@pytest.fixture
def recipe(tiny_folder: Path) -> Recipe:
    return Recipe(name="tiny", model="sigmoid_mlp", dataset=str(tiny_folder), protocol="course", epochs=2, lr=0.5)


def same_weights(one: runs.Run, two: runs.Run) -> bool:
    first, second = one.network().model.state_dict(), two.network().model.state_dict()
    return all(torch.equal(first[key], second[key]) for key in first)


def test_processes_give_the_runs_that_train_gives_and_then_find_them(recipe: Recipe, tmp_path: Path) -> None:
    diverging = Recipe(
        name="far", model="lenet5", dataset=recipe.dataset, protocol="course", lr=1e18, epochs=3, schedule="constant"
    )
    jobs = [(recipe, 0), (diverging, 0), (recipe, 1), (recipe, 0)]
    states: list[many.State] = []
    threads = torch.get_num_threads()

    made = many.run(jobs, store=tmp_path / "many", processes=2, progress=states.append)

    assert [run.seed for run in made] == [0, 0, 1, 0]
    assert [run.status for run in made] == ["done", "diverged", "done", "done"]
    assert made[0] == made[3]
    assert len(runs.in_store(tmp_path / "many")) == 3
    alone = training.train(recipe, 1, threads=1, store=tmp_path / "alone")
    torch.set_num_threads(threads)
    assert same_weights(made[2], alone)

    assert states[0].done == states[0].found == 0
    assert {state.total for state in states} == {3}
    assert states[-1].done == 3
    assert states[-1].seconds_left == 0
    assert max(len(state.running) for state in states) == 2

    states.clear()
    assert many.run(jobs, store=tmp_path / "many", progress=states.append) == made
    assert [(state.done, state.found) for state in states] == [(3, 3)]


def test_one_process_is_this_one_and_leaves_its_threads_alone(recipe: Recipe, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        (run,) = many.run([(recipe, 5)], store=tmp_path)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert run.about.threads == 1
    assert run.status == "done"


def test_a_bad_job_stops_everything_before_it_begins(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(LenetteError, match="lenet5"):
        many.run([(recipe, 0), (recipe.but(model="lenet6"), 0)], store=tmp_path)
    with pytest.raises(RunError, match="processes = 0"):
        many.run([(recipe, 0)], store=tmp_path, processes=0)
    assert not runs.in_store(tmp_path)


def test_a_killed_process_is_replaced_and_what_kills_twice_is_named(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "once.py").write_text(SELF_KILLING.format(flag=str(tmp_path / "killed")))
    (tmp_path / "ever.py").write_text(SELF_KILLING.format(flag=""))
    once = recipe.but(model=f"{tmp_path / 'once.py'}:network", name="once")
    ever = recipe.but(model=f"{tmp_path / 'ever.py'}:network", name="ever")
    notes: list[str] = []

    with pytest.raises(RunError) as failure:
        many.run(
            [(once, 0), (ever, 0), (recipe, 0)],
            store=tmp_path / "store",
            processes=2,
            progress=lambda state: notes.append(state.note),
        )

    assert "1 of 3 runs could not be finished; the other 2 are done" in str(failure.value)
    assert "ever" in str(failure.value)
    assert "SIGKILL" in str(failure.value)
    assert any(note.startswith("once") and "goes on" in note for note in notes)
    status = {run.recipe.name: run.status for run in runs.in_store(tmp_path / "store")}
    assert status == {"once": "done", "ever": "interrupted", "tiny": "done"}


def test_ctrl_c_leaves_runs_that_go_on_and_a_script_needs_no_main_guard(tiny_folder: Path, tmp_path: Path) -> None:
    ready, store = tmp_path / "ready", tmp_path / "store"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(data=str(tiny_folder), ready=str(ready), store=str(store)))
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True)
    for _ in range(600):
        if ready.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = process.communicate(timeout=60)

    assert ready.exists(), errors
    assert "KeyboardInterrupt" in errors
    assert errors.count("Traceback") == 1
    found = runs.in_store(store)
    assert [run.status for run in found] == ["interrupted"] * 2
    checkpoint = found[0].read_checkpoint()
    assert checkpoint is not None
    assert checkpoint[1].step > 0


def test_a_full_disk_says_so_and_what_is_done_is_kept(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (done,) = many.run([(recipe, 0)], store=tmp_path)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(runs.Run, "finish", full)
        with pytest.raises(DiskFull, match=r"disk is full.* 1 of 3 runs are done and kept"):
            many.run([(recipe, 0), (recipe, 1), (recipe, 2)], store=tmp_path, processes=1)
    assert [run.status for run in runs.in_store(tmp_path)] == ["done", "interrupted"]
    again = many.run([(recipe, 0), (recipe, 1)], store=tmp_path)
    assert again[0] == done
    assert again[1].status == "done"


def test_an_estimate_comes_from_timed_steps_and_then_from_the_store(recipe: Recipe, tmp_path: Path) -> None:
    jobs = [(recipe.but(epochs=4), seed) for seed in (0, 1)]
    first = many.estimate(jobs, store=tmp_path, processes=1)
    assert (first.num_jobs, first.num_todo) == (2, 2)
    assert 0 < first.seconds < 30
    assert "timed now" in first.basis

    many.run(jobs[:1], store=tmp_path)
    second = many.estimate(jobs, store=tmp_path, processes=1)
    line = runs.in_store(tmp_path)[0].metrics[-1]
    assert (second.num_jobs, second.num_todo) == (2, 1)
    assert second.seconds == pytest.approx(line.train_seconds + line.evaluate_seconds)
    assert "store" in second.basis


def test_processes_are_as_many_as_cores_feed_and_jobs_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "cores", lambda: 8)
    assert many.number_of_processes(None, 1, 100) == 8
    assert many.number_of_processes(None, 4, 100) == 2
    assert many.number_of_processes(None, 16, 100) == 1
    assert many.number_of_processes(None, 1, 3) == 3
    assert many.number_of_processes(20, 1, 100) == 20


def test_names_tell_jobs_apart_by_what_varies() -> None:
    base = Recipe(name="base", model="lenet5", schedule="multistep", milestones=(4, 6), lr=0.1)
    jobs = {"a": (base, 0), "b": (base.but(lr=0.2), 0), "c": (base.but(milestones=(5,)), 1)}
    assert many.names({name: Job(*job, None) for name, job in jobs.items()}) == {
        "a": "base lr=0.1 milestones=4+6 seed 0",
        "b": "base lr=0.2 milestones=4+6 seed 0",
        "c": "base lr=0.1 milestones=5 seed 1",
    }
