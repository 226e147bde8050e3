import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lenette import data, runs
from lenette.errors import DataError
from tests.cli.conftest import TRAIN

LENETTE = Path(sys.executable).with_name("lenette")


def test_train_prints_a_line_an_epoch_then_what_it_came_to(trained, run):
    lines = trained.stdout.splitlines()
    assert lines[0].startswith("epoch 1/2  lr 0.5 ")
    assert lines[1].startswith("epoch 2/2  lr 0.5 ")
    assert "validation" in lines[0]
    assert "test" not in lines[0]
    assert f"{run.id}: sigmoid_mlp on" in lines[2]
    assert lines[-1] == f"report: {run.folder / 'report.html'}"
    assert (run.folder / "report.html").exists()


def test_options_become_fields(run):
    recipe = run.recipe
    assert (recipe.model, recipe.dataset, recipe.protocol) == ("sigmoid_mlp", "optdigits", "sealed")
    assert (recipe.lr, recipe.epochs, recipe.name, run.about.threads) == (0.5, 2, "digits", 1)


def test_train_finds_the_run_again(cli, trained, run, store):
    before = (run.folder / "run.json").stat().st_mtime_ns
    found = cli("train", run.folder, "--threads", 1, "--store", store)
    assert not found.stdout.startswith("epoch")
    assert f"report: {run.folder / 'report.html'}" in found.stdout
    assert (run.folder / "run.json").stat().st_mtime_ns == before


def test_train_prints_json_alone_on_stdout(cli, tmp_path):
    facts = cli.json(*TRAIN, "--epochs", 1, "--store", tmp_path, "--milestones", "1,3", "--schedule", "multistep")
    (run,) = runs.in_store(tmp_path)
    assert (facts["id"], facts["status"]) == (run.id, "done")
    assert run.recipe.milestones == (1, 3)


def test_a_switch_may_be_given_both_ways(cli, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('model = "sigmoid_mlp"\ndataset = "optdigits"\nepochs = 1\nnesterov = true\n')
    for switch, expected in (("--nesterov", True), ("--no-nesterov", False)):
        facts = cli.json("train", recipe, switch, "--threads", 1, "--store", tmp_path / switch)
        assert runs.find(facts["id"], tmp_path / switch).recipe.nesterov is expected


def test_a_divergence_is_a_message(cli, tmp_path):
    arguments = ("--model", "lenet5", "--lr", 1e6, "--epochs", 1, "--store", tmp_path)
    result = cli(*TRAIN, *arguments, code=1)
    assert "Error: the loss of run" in result.stderr
    assert "learning rate is 1e+06: try a smaller lr (say 0.1)" in result.stderr
    assert "diverged" in cli("runs", "--store", tmp_path).stdout
    cli("show", "sigmoid_mlp", "--store", tmp_path)


def test_interrupted_then_resumed_in_processes_of_their_own(cli, tmp_path):
    command = [LENETTE, *map(str, TRAIN), "--epochs", "60", "--store", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("epoch  1/60")
        process.send_signal(signal.SIGINT)
        _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    (run,) = runs.in_store(tmp_path)
    assert f"interrupted; the run is saved. Go on with: lenette resume {run.folder}" in message
    assert "Traceback" not in message
    assert run.status == "interrupted"
    assert "interrupted" in cli("runs", "--store", tmp_path).stdout
    assert "has not ended (interrupted)" in cli.error("evaluate", run.id, "--store", tmp_path)
    epochs = len(run.metrics)
    lines = cli("resume", run.id, "--store", tmp_path).stdout.splitlines()
    assert lines[0].startswith(f"epoch {epochs + 1:>2}/60")
    assert (run.status, len(run.metrics)) == ("done", 60)


def test_resume_of_a_run_that_is_done_says_what_it_came_to(cli, run, store):
    assert f"report: {run.folder / 'report.html'}" in cli("resume", "digits", "--store", store).stdout
    assert cli.json("resume", run.folder)["id"] == run.id


def test_demo_where_mnist_cannot_be_had_says_so_loudly(cli, tmp_path, monkeypatch):
    def unreachable(*arguments, **more):
        raise DataError("no mirror answers")

    monkeypatch.setattr(data, "fetch", unreachable)
    result = cli("demo", "--recipe", "sigmoid_mlp", "--epochs", 1, "--store", tmp_path)
    assert "no mirror answers" in result.stdout
    assert "*** THIS IS NOT MNIST." in result.stdout
    epochs = [line for line in result.stdout.splitlines() if "epoch 1/1" in line]
    assert len(epochs) == 1
    assert epochs[0].startswith("*** NOT MNIST ***")
    (run,) = runs.in_store(tmp_path)
    assert run.recipe.dataset == "optdigits"
    assert "not MNIST" in (run.folder / "report.html").read_text()


def test_demo_trains_on_mnist_where_it_is(cli, tiny_mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "fetch", lambda *arguments, **more: pytest.fail("fetched"))
    result = cli("demo", "--recipe", "sigmoid_mlp", "--epochs", 1, "--store", tmp_path)
    assert "NOT MNIST" not in result.stdout.upper()
    (run,) = runs.in_store(tmp_path)
    assert run.about.data.num_images == 300
