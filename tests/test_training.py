import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from lenette import data, jobs, ledger, recipes, runs, training
from lenette.errors import (
    BudgetError,
    DataError,
    Diverged,
    LenetteError,
    ModelError,
    RecipeError,
    RunError,
    UnsupportedByEngine,
)
from lenette.evidence.sealed import evaluate_part
from lenette.models import count_parameters, trust
from lenette.recipes import Recipe
from tests.models.test_networks import COUNTS

SECONDS = ("train_seconds", "evaluate_seconds")
OWN = """
from torch import nn
def tiny(num_classes=10, in_channels=1, image_size=28):
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(in_channels * image_size**2, num_classes))
"""


@pytest.fixture
def recipe(tiny_folder):
    """Two epochs of five steps, the last of 44 images."""
    return Recipe(
        model="ladder_7k",
        dataset=str(tiny_folder),
        protocol="course",
        epochs=2,
        batch_size=64,
        ema_decay=0.9,
        rotation=5.0,
        name="tiny",
    )


@pytest.fixture
def quick(recipe):
    return recipe.but(model="sigmoid_mlp", rotation=0.0, ema_decay=0.0)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def train(store):
    """`training.train` on the reference engine and one thread, with a store of the test's own."""
    usual = {"threads": 1, "engine": "reference", "store": store}
    return lambda recipe, seed=0, **more: training.train(recipe, seed, **{**usual, **more})


def timeless(run):
    """Return all that a run recorded save the seconds."""
    return [msgspec.structs.replace(epoch, **dict.fromkeys(SECONDS, 0.0)) for epoch in run.metrics]


def same_weights(first, second):
    one, other = (load_file(run.folder / "model.safetensors") for run in (first, second))
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def fail(record):
    raise AssertionError("a step was trained")


class Stop:
    """A progress function that presses Ctrl-C at its n-th call."""

    def __init__(self, at, number=signal.SIGINT):
        self.at, self.number, self.calls = at, number, 0

    def __call__(self, record):
        self.calls += 1
        if self.calls == self.at:
            signal.raise_signal(self.number)


def test_a_run_records_each_epoch_and_what_the_weights_are_worth(train, recipe):
    records = []
    run = train(recipe, progress=records.append)
    assert run.status == "done"
    assert [record.step for record in records] == list(range(1, 11))
    assert [record.finished for record in records] == [False, False, False, False, True] * 2
    assert all((record.epochs, record.num_steps) == (2, 10) for record in records)
    first, last = run.metrics
    assert (first.epoch, first.step, last.epoch, last.step) == (1, 5, 2, 10)
    assert (first.train_loss, first.train_accuracy, first.validation_loss, last.validation_accuracy) == (None,) * 4
    assert None not in (last.train_loss, last.train_accuracy, first.test_loss, first.test_accuracy)
    assert (run.test_accuracy, run.train_loss) == (last.test_accuracy, last.train_loss)
    assert not (run.folder / "checkpoint.safetensors").exists()
    assert run.environment.torch == torch.__version__


def test_running_figures_are_means_over_images_not_batches(train, quick):
    seen = []
    job = jobs.prepare(jobs.identify(quick, 0, engine="reference", threads=1))
    losses, num_right = job.engine.advance(5)
    run = train(quick, progress=seen.append)
    sizes = torch.tensor([64, 64, 64, 64, 44])
    assert run.metrics[0].train_loss_running == pytest.approx((losses * sizes).sum().item() / 300)
    assert run.metrics[0].train_accuracy_running == num_right.sum().item() / 300
    assert seen[1].train_loss_running == pytest.approx(losses[:2].mean().item())


def test_final_figures_are_those_of_the_saved_weights(train, recipe):
    run = train(recipe)
    held_out = data.load(recipe.dataset, "test")
    right = run.predict(held_out.images).argmax(1) == held_out.labels
    assert run.test_accuracy == right.double().mean().item()
    loss = torch.nn.functional.cross_entropy(run.logits(held_out.images), held_out.labels)
    assert run.test_loss == pytest.approx(loss.item(), rel=1e-5)


def test_train_is_evaluated_every_epoch_where_asked(train, quick):
    run = train(quick, evaluate_train="every")
    assert all(epoch.train_accuracy is not None for epoch in run.metrics)


def test_the_same_twice(train, recipe, tmp_path):
    first, second = train(recipe), train(recipe, store=tmp_path / "elsewhere")
    assert first.folder != second.folder
    assert timeless(first) == timeless(second)
    assert same_weights(first, second)
    assert not same_weights(first, train(recipe, seed=1))


def test_a_run_that_exists_is_found(train, quick):
    run = train(quick)
    again = train(quick.but(title="another", claim_test_accuracy=0.5, max_parameters=10**6), progress=fail)
    assert again.folder == run.folder


@pytest.mark.parametrize("change", [{"seed": 1}, {"lr": 0.051}, {"max_seconds": 1000.0}, {"epochs": 1}])
def test_another_run_is_made(change, train, quick):
    assert train(quick).about.key != train(quick, **change).about.key


def test_again_makes_it_again_and_keeps_the_old_one(train, quick, store):
    run = train(quick)
    (run.folder / "note.txt").write_text("mine")
    new, newer = train(quick, again=True), train(quick, again=True)
    assert run.folder == new.folder == newer.folder
    assert not (run.folder / "note.txt").exists()
    kept = runs.Run(run.folder.with_name(f"{run.id}~1"))
    assert (kept.folder / "note.txt").read_text() == "mine"
    assert same_weights(kept, newer)
    assert sorted(one.id for one in runs.in_store(store)) == [run.id, f"{run.id}~1", f"{run.id}~2"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_at_every_step_and_resumed_the_end_is_the_same(number, train, recipe, tmp_path):
    whole = train(recipe)
    for step in range(1, 10):
        with pytest.raises(KeyboardInterrupt) as stopped:
            train(recipe, store=tmp_path / str(step), progress=Stop(step, number))
        run = runs.find(str(tmp_path / str(step) / stopped.value.args[0]))
        assert run.status == run.about.status == "interrupted"
        assert len(run.metrics) == step // 5
        training.resume(run)
        assert run.status == "done"
        assert timeless(run) == timeless(whole)
        assert same_weights(run, whole)
        if number == signal.SIGTERM:
            break


def test_stopped_after_each_step_and_gone_on_by_train_the_end_is_the_same(train, recipe, tmp_path):
    whole = train(recipe)
    stops = 0
    while True:
        try:
            run = train(recipe, store=tmp_path / "cut", progress=Stop(1))
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops == 9
    assert timeless(run) == timeless(whole)
    assert same_weights(run, whole)
    assert run.metrics[-1].train_seconds > 0


def test_signal_handlers_are_put_back(train, quick):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(quick)
    with pytest.raises(KeyboardInterrupt):
        train(quick, seed=1, progress=Stop(2))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_trains_in_a_thread(train, quick):
    found = []
    thread = threading.Thread(target=lambda: found.append(train(quick)))
    thread.start()
    thread.join()
    assert found[0].status == "done"


KILLED = """
import sys, time
from lenette import training
training.CHECKPOINT_SECONDS = 0.0
def progress(record):
    if record.step == 3:
        print("three", flush=True)
        sys.stdin.readline()
    time.sleep(0.05)
training.train(sys.argv[1], 0, engine="reference", store=sys.argv[2], threads=1, progress=progress)
"""


def test_killed_at_any_moment_and_waited_for_the_end_is_the_same(train, recipe, tmp_path):
    toml = tmp_path / "tiny.toml"
    toml.write_text(recipe.to_toml())
    whole = train(recipe)
    store = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, toml, store]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "three\n"
        (run,) = runs.in_store(store)
        assert run.status == "running"
        with pytest.raises(RunError, match="being trained by another process"):
            train(recipe, store=store, again=True)
        said = []
        waiting = threading.Thread(target=lambda: training.resume(run, say=said.append))
        waiting.start()
        while not said:
            time.sleep(0.01)
        assert said == [f"run {run.id} is being trained by another process: waiting for its end"]
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(random.uniform(0, 0.3))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    waiting.join()
    assert run.status == "done"
    assert timeless(run) == timeless(whole)
    assert same_weights(run, whole)


@pytest.fixture
def interrupted(train, store):
    """A function that trains a recipe up to its seventh step and returns the run."""

    def stop(recipe):
        with pytest.raises(KeyboardInterrupt) as stopped:
            train(recipe, progress=Stop(7))
        return runs.find(stopped.value.args[0], store)

    return stop


def test_two_processes_that_ask_for_one_run_get_it_both(recipe, tmp_path):
    toml = tmp_path / "tiny.toml"
    toml.write_text(recipe.to_toml())
    command = [sys.executable, "-c", KILLED, toml, tmp_path / "runs"]
    both = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    (run,) = runs.in_store(tmp_path / "runs")
    assert run.status == "done"


def test_killed_before_the_first_checkpoint_it_begins_anew(train, recipe, tmp_path):
    whole = train(recipe)
    about = msgspec.structs.replace(whole.about, status="running")
    run = runs.create(tmp_path / "other", recipe, about, whole.environment)
    training.resume(run)
    assert same_weights(run, whole)


def test_killed_between_the_epochs_line_and_its_checkpoint(quick, interrupted):
    run = interrupted(quick)
    run.write_metrics([*run.metrics, msgspec.structs.replace(run.metrics[0], epoch=2, step=10, test_accuracy=None)])
    training.resume(run)
    assert [line.step for line in run.metrics] == [5, 10]
    assert run.metrics[1].test_accuracy is not None


@pytest.mark.parametrize("damage", ["half", "empty", "header", "no progress", "not a checkpoint"])
def test_a_damaged_checkpoint_is_refused(damage, quick, interrupted):
    run = interrupted(quick)
    path = run.folder / "checkpoint.safetensors"
    whole = path.read_bytes()
    content = {
        "half": whole[: len(whole) // 2],
        "empty": b"",
        "header": b"\xff" * 40 + whole[40:],
        "no progress": whole.replace(b'"progress"', b'"pro_ress"'),
        "not a checkpoint": b"PK\x03\x04" * 100,
    }[damage]
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"checkpoint .*checkpoint.safetensors is damaged .*delete it to begin anew"):
        training.resume(run)
    path.unlink()
    training.resume(run)
    assert run.status == "done"


def test_resume_refuses_where_the_end_would_be_another(train, quick, tmp_path, interrupted):
    folder = tmp_path / "data"
    shutil.copytree(quick.dataset, folder)
    run = interrupted(quick.but(dataset=str(folder)))
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"):
        shutil.copy(folder / name.replace("train", "t10k"), folder / name)
    with pytest.raises(RunError, match="its data changed"):
        training.resume(run)


def test_resume_refuses_another_build(quick, monkeypatch, interrupted):
    run = interrupted(quick)
    monkeypatch.setattr(torch, "__version__", "9.9")
    with pytest.raises(RunError, match="its engine's build changed"):
        training.resume(run)


def test_resume_leaves_a_run_that_is_done_alone(train, quick):
    run = train(quick)
    assert training.resume(run, progress=fail) == run


def test_ones_own_network_in_a_file(train, quick, tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(OWN)
    own = quick.but(model=f"{file}:tiny")
    run = train(own)
    assert run.about.parameters == 7850
    assert train(own, progress=fail).folder == run.folder
    file.write_text(OWN.replace("0.1", "0.2"))
    edited = train(own)
    assert edited.about.key != run.about.key
    file.unlink()
    assert run.network().model[1].p == 0.1
    assert edited.network().model[1].p == 0.2


def test_a_run_goes_on_with_its_network_as_it_was(quick, tmp_path, interrupted):
    file = tmp_path / "nets.py"
    file.write_text(OWN)
    run = interrupted(quick.but(model=f"{file}:tiny"))
    file.write_text(OWN.replace("0.1", "0.2"))
    training.resume(run)
    assert run.status == "done"
    assert run.network().model[1].p == 0.1


def test_a_run_whose_kept_source_was_changed_is_not_resumed(quick, tmp_path, interrupted):
    file = tmp_path / "nets.py"
    file.write_text(OWN)
    run = interrupted(quick.but(model=f"{file}:tiny"))
    (run.folder / runs.SOURCE).write_text(OWN + "\n# edited\n")
    with pytest.raises(ModelError, match="code that you have not trained with here"):
        training.resume(run)
    trust.remember(OWN + "\n# edited\n")
    with pytest.raises(RunError, match="its source of the network changed"):
        training.resume(run)


def test_a_run_that_diverges_says_where_and_what_to_try(train, quick, store):
    wild = quick.but(model="lenet5", lr=1e6, schedule="constant")
    with pytest.raises(
        Diverged, match=r"no longer a finite number at step \d+ \(epoch 1\).*1e\+06.*smaller lr"
    ) as error:
        train(wild)
    (run,) = runs.in_store(store)
    assert run.status == "diverged"
    at = run.about.diverged_at
    assert (at.lr, at.epoch) == (1e6, 1)
    assert f"step {at.step} " in str(error.value)
    assert 0 < at.step < 5
    for go_on in (lambda: train(wild, progress=fail), lambda: training.resume(run, fail)):
        with pytest.raises(Diverged, match=f"step {at.step} "):
            go_on()


def test_a_last_step_that_breaks_the_weights_is_a_divergence_too(train, quick, store):
    with pytest.raises(Diverged, match=r"at step 0 \(epoch 1\)"):
        train(quick, model="lenet5", epochs=1, batch_size=300, lr=1e18, schedule="constant")
    with pytest.raises(RunError, match="has not ended"):
        _ = runs.in_store(store)[0].final


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"max_parameters": 79_509}, BudgetError, "79,510 against max_parameters = 79,509"),
        ({"max_bytes": 318_039}, BudgetError, "318,040 against max_bytes = 318,039"),
        ({"max_epochs": 1}, RecipeError, "'epochs' = 2 exceeds the budget max_epochs = 1"),
        ({"model": "lenet"}, ModelError, "unknown model 'lenet'; did you mean 'lenet5'"),
        ({"dataset": "mnits"}, DataError, "unknown data set 'mnits'; did you mean 'mnist'"),
        ({"crop_size": 29}, RecipeError, "'crop_size' = 29"),
        ({"engine": "refrence"}, LenetteError, "unknown engine 'refrence'; did you mean 'reference'"),
        ({"device": "gpu"}, LenetteError, "unknown device 'gpu'"),
        ({"threads": 0}, LenetteError, "threads = 0: at least 1"),
        ({"threads": 100_000}, LenetteError, "threads = 100000: at least 1 and at most 1024"),
    ],
)
def test_refused_before_anything_is_written(change, error, message, train, quick, store):
    with pytest.raises(error, match=message):
        train(quick, **change)
    assert not (store).exists()


def test_a_budget_that_is_met_to_the_last_is_met(train, quick):
    assert train(quick, max_parameters=79_510, max_bytes=318_040, max_epochs=2).status == "done"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("[p.requires_grad_(False) for p in self.fc.parameters()]", "7,850 frozen"),
        ("self.register_buffer('far', torch.zeros(9000))", "9,000 in buffers and other tensors"),
        ("self.far = [torch.zeros(9000)]", "9,000 in buffers and other tensors"),
    ],
)
def test_numbers_that_are_not_trained_count_towards_the_budget(more, told, train, quick, tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(
        "import torch\nfrom torch import nn\nclass Net(nn.Module):\n"
        "    def __init__(self, num_classes=10, in_channels=1, image_size=28):\n"
        f"        super().__init__()\n        self.fc = nn.Linear(784, 10)\n        {more}\n"
        "        self.scale = nn.Parameter(torch.ones(1))\n"
        "    def forward(self, x):\n        return self.fc(x.flatten(1)) * self.scale\n"
    )
    with pytest.raises(BudgetError, match=told):
        train(quick.but(model=f"{file}:Net", max_parameters=7_850))


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_last_batch_of_one_that_breaks_is_refused_before_the_first_step(engine, train, quick, tmp_path, store):
    file = tmp_path / "nets.py"
    file.write_text(
        "from torch import nn\ndef net(num_classes=10, in_channels=1, image_size=28):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))\n"
    )
    with pytest.raises(ModelError, match=r"has 1 image.*2 \(BatchNorm1d\).*try batch_size = 298"):
        train(quick.but(model=f"{file}:net", batch_size=299), engine=engine)
    assert not store.exists()


def test_a_network_without_parameters_is_refused(train, quick, tmp_path):
    file = tmp_path / "nets.py"
    file.write_text(
        "from torch import nn\ndef none(**_):\n    return nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(10))\n"
    )
    with pytest.raises(ModelError, match="no trainable parameters"):
        train(quick.but(model=f"{file}:none"))


def test_max_seconds_cuts_the_run(train, quick):
    run = train(quick, epochs=100_000, max_seconds=0.2)
    assert run.status == "cut"
    last = run.metrics[-1]
    assert 0.2 <= last.train_seconds < 5
    assert last.step < run.about.num_steps
    assert run.test_accuracy == last.test_accuracy
    assert last.train_accuracy is not None
    assert train(quick, epochs=100_000, max_seconds=0.2, progress=fail).folder == run.folder


@pytest.fixture
def sealed(quick, tmp_path):
    """A sealed recipe in a folder without test files."""
    folder = tmp_path / "trainonly"
    folder.mkdir()
    for path in Path(quick.dataset).glob("train-*"):
        shutil.copy(path, folder)
    return quick.but(protocol="sealed", dataset=str(folder))


def test_sealed_trains_where_no_test_files_lie_and_has_no_test_figure(train, sealed):
    run = train(sealed)
    assert run.about.data.num_images == 250
    assert set(run.final) == {"train", "validation"}
    assert run.final["validation"].num_images == 50
    assert all(epoch.test_loss is epoch.test_accuracy is None for epoch in run.metrics)
    assert run.validation_accuracy == run.metrics[-1].validation_accuracy
    with pytest.raises(RunError, match="no test accuracy: it evaluated its validation, train images"):
        _ = run.test_accuracy
    assert "test" not in (run.folder / "final.json").read_text()


def test_sealed_never_asks_for_the_test_images(train, quick, monkeypatch, interrupted):
    load = data.load

    def guarded(name, part="train", *how):
        assert part == "train"
        return load(name, part, *how)

    monkeypatch.setattr(data, "load", guarded)
    sealed = quick.but(protocol="sealed")
    run = interrupted(sealed)
    training.resume(run)
    train(sealed.but(fold=-1))
    with pytest.raises(AssertionError):
        train(quick)


def test_the_folds_of_the_sealed_protocol(train, sealed):
    parts = [jobs.datasets(sealed.but(fold=fold)) for fold in range(6)]
    digests = {held_out.digest for _, held_out in parts}
    assert len(digests) == 6
    for kept, held_out in parts:
        assert (kept.part, held_out.part, len(kept), len(held_out)) == ("train", "validation", 250, 50)
        assert (kept.mean, kept.std) == (held_out.mean, held_out.std) == (parts[0][0].mean, parts[0][0].std)


def test_the_validation_part_is_the_data_sets_own_where_it_has_one(train, sealed, tmp_path):
    from PIL import Image

    for part, shades in (("train", (0, 50, 100)), ("val", (150, 200))):
        for name in ("a", "b"):
            (tmp_path / "own" / part / name).mkdir(parents=True)
            for shade in shades:
                Image.new("L", (28, 28), shade).save(tmp_path / "own" / part / name / f"{shade}.png")
    own = sealed.but(dataset=str(tmp_path / "own"))
    for fold in (0, 5):
        images, evaluated = jobs.datasets(own.but(fold=fold))
        assert (len(images), evaluated.part, len(evaluated)) == (6, "validation", 4)
        assert evaluated.digest == data.load(tmp_path / "own", "validation").digest
    assert jobs.datasets(own.but(fold=-1))[1] is None
    run = train(own)
    assert run.final["validation"].num_images == 4
    assert evaluate_part(run, "validation").accuracy == run.validation_accuracy
    assert evaluate_part(train(own, fold=-1), "validation").num_images == 4


def test_a_course_run_is_written_down_as_a_look_at_its_test_images(train, quick, sealed, store):
    run = train(quick)
    train(quick), train(sealed), train(quick, again=True), train(quick, lr=0.2)
    (digest,) = ledger.every_look(store)
    assert digest == data.load(quick.dataset, "test").digest == run.about.data.digest[1]
    found = ledger.looks(store, digest)
    assert [look.what for look in found] == ["every epoch"] * 3
    assert (found[0].run, found[0].key, found[0].protocol) == (run.id, run.about.key, "course")
    assert len({look.recipe for look in found}) == 2


def test_a_refit_trains_on_all_images_and_evaluates_nothing_else(train, sealed):
    run = train(sealed, fold=-1)
    assert run.about.data.num_images == 300
    assert set(run.final) == {"train"}
    assert run.part is None


def test_course_trains_on_all_images(train, quick):
    run = train(quick)
    assert run.about.data.num_images == 300
    assert run.final["test"].num_images == 100


def test_images_that_are_not_square_are_refused(quick, tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for shade in (0, 200):
            Image.new("L", (6, 4), shade).save(tmp_path / "train" / name / f"{shade}.png")
    with pytest.raises(DataError, match=r"6x4, not square: image_size"):
        jobs.datasets(quick.but(protocol="sealed", dataset=str(tmp_path)))


def test_load_stands_in_for_the_data(train, quick):
    given = jobs.datasets(quick)
    run = train(quick.but(dataset="mnist"), load=lambda recipe, folder: given)
    assert run.about.data.digest == [part.digest for part in given]


def test_prepare_knows_the_run_beforehand(train, quick):
    found = jobs.identify(quick, 3, engine="reference", threads=1)
    run = train(quick, 3)
    expected = msgspec.structs.replace(found.about, status="done", created=run.about.created)
    assert run.about == expected
    assert (expected.num_steps, expected.parameters, expected.engine) == (10, 79_510, "reference")


@pytest.mark.parametrize("change", [{}, {"precision": "bfloat16"}])
def test_auto_records_its_choice_and_the_reason(change, train, quick, monkeypatch):
    run = train(quick, engine="auto", device="cpu", **change)
    if change:
        assert run.about.engine == "reference"
        assert "precision" in run.about.engine_reason
    elif run.about.engine == "reference":
        assert "finds none" in run.about.engine_reason
    else:
        assert run.about.engine_reason == "a CPU, and a network that the native engine knows"


def test_without_a_compiler_auto_takes_the_reference_and_says_why(train, quick, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    run = train(quick, engine="auto", device="cpu")
    assert run.about.engine == "reference"
    assert "no-such-compiler" in run.about.engine_reason
    with pytest.raises(UnsupportedByEngine, match="no-such-compiler"):
        train(quick, engine="native", device="cpu")


def test_a_recipe_by_name_and_changes(train, tiny_folder):
    run = train("lenet5", dataset=str(tiny_folder), epochs=1, batch_size=100)
    assert (run.recipe.name, run.recipe.epochs, run.recipe.document[0]) == ("lenet5", 1, "A")


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_runs(name, train):
    shipped = recipes.load(name)
    few = [part.subset(torch.arange(96), part.part) for part in jobs.datasets(shipped.but(dataset="optdigits"))]
    run = train(shipped, dataset="optdigits", epochs=1, batch_size=64, load=lambda recipe, folder: tuple(few))
    assert run.status == "done"
    assert run.about.parameters == COUNTS[shipped.model] == count_parameters(run.network().model)
    assert run.final[run.part].num_images == 96
    assert [line.step for line in run.metrics] == [2]


def test_lenet5_learns_mnist(mnist_folder, tmp_path):
    run = training.train(
        "lenet5",
        folder=mnist_folder,
        store=tmp_path,
        epochs=1,
        batch_size=64,
        lr=0.05,
        momentum=0.9,
        schedule="linear",
    )
    assert run.final["test"].num_images == 10_000
    assert run.about.data.num_images == 60_000
    assert run.test_accuracy > 0.97
    assert run.train_accuracy > 0.97
    assert run.seconds_to[0.994] is None
