import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from filelock import Timeout
from msgspec.structs import replace

from lenette import records, runs, training
from lenette.environment import Environment
from lenette.errors import DataError, RecipeError, RunError
from lenette.metrics import Evaluation
from lenette.models import build, trust
from lenette.progress import Epoch
from lenette.recipes import Recipe
from lenette.runs import About, Checkpoint, DataAbout, Tally

KEY = "0123456789abcdef"
RECIPE = Recipe(model="lenet5", protocol="course", name="tiny")
DATA = DataAbout("own", None, ["a", "b"], 8, [str(digit) for digit in range(10)], [1, 28, 28], [0.1], [0.3])
ABOUT = About(
    key=KEY,
    seed=0,
    status="running",
    created="2026-11-25T12:00:00+00:00",
    engine="reference",
    engine_reason="as asked",
    device="cpu",
    threads=1,
    parameters=44_426,
    num_steps=10,
    data=DATA,
    build={"engine": "reference"},
)
ENVIRONMENT = Environment("0", "3", "2", "2", "Linux", "some", 2)
PROGRESS = Checkpoint(step=7, tally=Tally(loss=1 / 3, num_seen=12), num_lines=1)
EPOCH = Epoch(1, 5, 0.1, 2.0, 0.5, 1.0, 0.1)


@pytest.fixture
def create(tmp_path):
    """A function that makes a run in the test's store."""

    def make(recipe=RECIPE, **about):
        return runs.create(tmp_path, recipe, replace(ABOUT, **about), ENVIRONMENT)

    return make


@pytest.fixture
def run(create):
    return create()


def finish(run):
    part = Evaluation(8, 1.5, 0.5, 4, [0.5] * 10, [], 0.1, [])
    run.finish(build("lenet5").state_dict(), {"train": part, "test": replace(part, accuracy=0.25)}, "done")
    return run


def test_a_new_run(run, tmp_path):
    assert run.folder == tmp_path / "tiny-s0-01234567"
    assert (run.recipe, run.seed, run.environment) == (RECIPE, 0, ENVIRONMENT)
    assert run.about.status == "running"
    assert (run.metrics, run.curve, run.part) == ([], {}, "test")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("", "run"),
        ("../up", "up"),
        ("a/b\\c:d", "a-b-c-d"),
        (".hidden", "hidden"),
        ("my net, v2", "my-net-v2"),
        ("größe_1.5+x", "größe_1.5+x"),
        ("...", "run"),
    ],
)
def test_a_recipes_name_becomes_one_plain_folder(name, folder, create, tmp_path):
    run = create(RECIPE.but(name=name))
    assert run.folder == tmp_path / f"{folder}-s0-01234567"
    assert runs.in_store(tmp_path) == [run]
    assert runs.with_key(tmp_path, KEY) == run


def test_figures_of_a_run_that_has_ended(run):
    finish(run)
    assert run.status == "done"
    assert (run.train_accuracy, run.test_accuracy, run.test_loss) == (0.5, 0.25, 1.5)
    assert run.test_per_class_accuracy == [0.5] * 10
    with pytest.raises(RunError, match="has no validation accuracy: it evaluated its train, test images"):
        _ = run.validation_accuracy
    assert run.network().model.training is False


def test_figures_of_a_run_that_has_not_ended(run):
    for ask in (lambda: run.final, lambda: run.test_accuracy, run.network):
        with pytest.raises(
            RunError, match=r"tiny-s0-01234567 has not ended \(interrupted\): lenette resume /.*/tiny-s0-01234567"
        ):
            ask()


def test_columns_and_milestones(run):
    lines = [
        replace(EPOCH, test_accuracy=0.97, train_seconds=2.0),
        replace(EPOCH, epoch=2, test_accuracy=0.992, train_seconds=4.0),
        replace(EPOCH, epoch=3, test_accuracy=0.98, train_seconds=6.0, train_accuracy=0.99),
    ]
    run.write_metrics(lines)
    assert run.metrics == lines
    assert run.curve["train_accuracy"] == [None, None, 0.99]
    assert run.curve["epoch"] == [1, 2, 3]
    assert "validation_accuracy" not in run.curve
    assert run.seconds_to == {0.98: 4.0, 0.99: 4.0, 0.994: None}


def test_logits_are_those_of_the_network_on_normalised_images(run):
    finish(run)
    images = torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8)
    assert torch.allclose(run.logits(images), run.network().model((images.float() / 255 - 0.1) / 0.3), atol=1e-6)
    assert torch.allclose(run.predict(images).sum(dim=1), torch.ones(3))
    for bad in (images.float(), images[:, :, :20], images[0], images.repeat(1, 3, 1, 1)):
        with pytest.raises(DataError, match=r"takes uint8 \[N, 1, 28, 28\]"):
            run.predict(bad)


def test_a_checkpoint_comes_back(run):
    assert run.read_checkpoint() is None
    state = {"model.a": torch.rand(2, 3), "optimizer.a.step": torch.tensor(3), "model.b": torch.rand(2).bfloat16()}
    run.write_checkpoint(state, PROGRESS)
    found, progress = run.read_checkpoint()
    assert progress == PROGRESS
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)
    finish(run)
    assert run.read_checkpoint() is None


@pytest.mark.parametrize("damage", [lambda whole: whole[:100], lambda whole: b"", lambda whole: whole[:-4]])
def test_damaged_weights_are_refused(damage, run):
    finish(run)
    path = run.folder / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=r"weights .*model.safetensors are damaged .*--again"):
        run.network()


@pytest.mark.parametrize("name", ["run.json", "environment.json", "final.json", "metrics.jsonl"])
def test_damaged_records_are_refused(name, run):
    finish(run)
    (run.folder / name).write_text('{"half": ')
    with pytest.raises(RunError, match=f"{name}.* is damaged"):
        _ = (run.about, run.environment, run.final, run.metrics)


def test_records_that_are_gone_are_named(run):
    finish(run)
    with pytest.raises(RunError, match=r"metrics.jsonl is missing or empty: lenette train .* --again"):
        _ = run.metrics
    (run.folder / "final.json").unlink()
    with pytest.raises(RunError, match=r"final.json is missing: lenette train .* --again"):
        _ = run.final


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"seed": "0"}, "Expected `int`, got `str` - at `seed`"),
        ({"status": "won"}, "Invalid enum value 'won' - at `status`"),
        ({"extra": 1}, "unknown field `extra`"),
        ({"data": {}}, "missing required field `name` - at `data`"),
        ({"threads": 10**5000}, "out of range - at `threads`"),
        ({"build": {"a": {"b": {}}}}, "at `build"),
        ("[" * 200_000, "got `array`"),
        ("9" * 100_000, "damaged"),
    ],
)
def test_a_record_that_is_none_is_refused_by_its_field(change, fault, run):
    path = run.folder / "run.json"
    sys.set_int_max_str_digits(0)
    path.write_text(change if isinstance(change, str) else json.dumps({**json.loads(path.read_text()), **change}))
    sys.set_int_max_str_digits(4300)
    with pytest.raises(RunError, match=r"run\.json is damaged") as error:
        _ = run.about
    assert fault in str(error.value)


def test_a_record_of_absurd_size_is_not_read(run, monkeypatch):
    monkeypatch.setattr(records, "MAX_BYTES", 100)
    with pytest.raises(RunError, match="that is no record of lenette's"):
        _ = run.about


OLD = {
    "run.json": (
        '{"key": "ab", "seed": 0, "engine": "native", "engine_reason": "as asked", "device": "cpu", "threads": 1,'
        ' "parameters": 44426, "num_steps": 2, "data": {"name": "mnist", "folder": null, "digest": ["a", "b"],'
        ' "num_images": 8, "classes": ["0", "1"], "shape": [1, 28, 28], "mean": [0.1], "std": [0.3]},'
        ' "status": "done", "created": "2026-11-01T00:00:00+00:00"}'
    ),
    "environment.json": (
        '{"lenette": "0.1.0", "python": "3.11.7", "torch": "2.13.0+cpu", "numpy": "2.4.6", "system": "Linux",'
        ' "processor": "some", "cores": 2, "build": {"engine": "native", "headers": "12"}}'
    ),
    "metrics.jsonl": (
        '{"epoch": 1, "step": 2, "lr": 0.1, "train_loss_running": 2.0, "train_accuracy_running": 0.3,'
        ' "test_loss": 1.0, "test_accuracy": 0.5, "train_seconds": 1.0, "evaluate_seconds": 0.1}\n'
    ),
}


def test_a_run_of_version_1_is_read(run):
    for name, text in OLD.items():
        (run.folder / name).write_text(text)
    assert (run.about.question, run.build, run.status) == (None, {"engine": "native", "headers": "12"}, "done")
    assert (run.metrics[0].test_accuracy, run.environment.torch) == (0.5, "2.13.0+cpu")
    run.set_status("interrupted")
    with pytest.raises(RunError, match="version 1 of lenette, and can't go on: begin anew"):
        training.resume(run)


def test_status_of_a_run_that_nobody_trains_any_more(run):
    assert run.status == "interrupted"
    with run.lock():
        assert run.status == "running"
        assert run.is_locked()
    assert not run.is_locked()


def test_a_run_is_locked_once(run):
    with run.lock(), ThreadPoolExecutor(1) as pool, pytest.raises(Timeout):
        pool.submit(run.lock().acquire).result()


def test_a_run_of_the_same_key_is_kept_beside_the_new_one(create):
    first = create()
    (first.folder / "mark").touch()
    second = create()
    assert first.folder == second.folder
    assert (first.folder.with_name("tiny-s0-01234567~1") / "mark").exists()
    with second.lock(), pytest.raises(RunError, match="tiny-s0-01234567 is being trained by another process"):
        create()
    assert create().folder.parent.joinpath("tiny-s0-01234567~2").exists()


def test_found_by_key(create, tmp_path):
    run, other = create(), create(key="0123456700000000", recipe=RECIPE.but(name="b"))
    assert runs.with_key(tmp_path, KEY) == run
    assert runs.with_key(tmp_path, other.about.key) == other
    assert runs.with_key(tmp_path, "ffff") is None
    assert runs.with_key(tmp_path / "nowhere", KEY) is None


def test_found_by_name_prefix_and_folder(create, tmp_path):
    first, second = create(), create(seed=11, key="ab" * 8)
    assert runs.find("tiny-s0", tmp_path) == first
    assert runs.find(second.id, tmp_path) == second
    assert runs.find(str(first.folder)).folder == first.folder
    assert runs.find(f"{first.id}/", tmp_path) == first
    kept = create().id
    assert runs.find(kept, tmp_path).id == kept


def test_a_recipe_by_the_name_of_its_run(create, tmp_path):
    run = create(RECIPE.but(lr=0.25))
    for name in (run.id, run.id[:8], str(run.folder)):
        assert runs.load_recipe(name, tmp_path) == run.recipe
    assert runs.load_recipe("lenet5", tmp_path).name == "lenet5"
    with pytest.raises(RecipeError, match="unknown recipe 'ladder_7'; did you mean 'ladder_7k'"):
        runs.load_recipe("ladder_7", tmp_path)
    create(RECIPE, seed=1, key="ab" * 8)
    with pytest.raises(RunError, match="begins the names of 2 runs"):
        runs.load_recipe("tiny", tmp_path)


def test_a_recipe_of_a_run_has_the_network_that_the_run_keeps(create, tmp_path):
    run = create(RECIPE.but(model="far/away.py:tiny"))
    (run.folder / runs.SOURCE).write_text("# nothing\n")
    trust.remember("# nothing\n")
    assert runs.load_recipe(run.id, tmp_path).model == f"{run.folder / runs.SOURCE}:tiny"


def test_not_found(create, tmp_path):
    with pytest.raises(RunError, match=r"no run 'x' in .*; `lenette runs` lists the 0 that it holds"):
        runs.find("x", tmp_path)
    create(), create(seed=1, key="ab" * 8)
    with pytest.raises(RunError, match=r"2 runs: tiny-s0-01234567 \(20..-..-..\), tiny-s1-abababab \("):
        runs.find("tiny", tmp_path)
    with pytest.raises(RunError, match=r"no run 'tiny-s0-01234568' in .*; did you mean 'tiny-s0-01234567'"):
        runs.find("tiny-s0-01234568", tmp_path)


def test_the_store_lists_the_oldest_first(create, tmp_path):
    made = [create(seed=seed, key=str(seed) * 16) for seed in (3, 1, 2)]
    for run, hour in zip(made, (12, 10, 11), strict=True):
        run.set_status("done", created=f"2025-01-01T{hour}:00:00+00:00")
    (tmp_path / "no-run").mkdir()
    assert [run.seed for run in runs.in_store(tmp_path)] == [1, 2, 3]
    (made[0].folder / "run.json").write_text("")
    assert runs.in_store(tmp_path) == [made[0], made[1], made[2]]
    assert runs.find(made[1].id, tmp_path) == made[1]


def test_named_to_a_command_by_its_name_or_its_folder(create):
    assert runs.Run(runs.DEFAULT_STORE / "tiny-s0-01234567").argument == "tiny-s0-01234567"
    run = create()
    assert runs.find(run.argument) == run


def test_readers_never_see_half_a_record(run):
    def write():
        for number in range(40):
            run.set_status("running", num_steps=number)
            run.write_metrics([replace(EPOCH, epoch=epoch) for epoch in range(number)])

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        while not writer.done():
            assert run.about.key == KEY
            lines = run.metrics
            assert [line.epoch for line in lines] == list(range(len(lines)))
        writer.result()
    assert (run.about.num_steps, len(run.metrics)) == (39, 39)
