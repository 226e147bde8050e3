"""lenette runs tells runs apart, finds some of them, and deletes what is asked for."""

import pytest

from lenette import recipes, runs
from lenette.recipes import Recipe


@pytest.fixture(scope="module")
def three(cli, tmp_path_factory):
    """A store with three runs of one network."""
    store = tmp_path_factory.mktemp("three")
    base = ("train", "sigmoid_mlp", "--dataset", "optdigits", "--threads", 1, "--store", store)
    for second, more in enumerate((("--lr", 0.2), ("--lr", 0.5, "--epochs", 2), ("--rotation", 10, "--momentum", 0.5))):
        with pytest.MonkeyPatch.context() as patch:  # the list is in the order of whole seconds
            patch.setattr(runs, "now", lambda second=second: f"2026-11-25T12:00:0{second}+00:00")
            cli(*base, "--epochs", 1, *more)
    return store


def listed(cli, store, *words):
    return [row["run"].rpartition("-s0")[0] for row in cli.json("runs", "--store", store, *words)]


def test_names_and_rows_say_what_differs(cli, three):
    names = ["sigmoid_mlp-optdigits-epochs1-lr0.2", "sigmoid_mlp-optdigits-epochs2-lr0.5"]
    assert set(names) < set(listed(cli, three))
    rows = cli.json("runs", "--store", three)
    assert sorted(str(row["changed"]) for row in rows) == sorted(
        str(changed) for changed in ({"lr": 0.2}, {"lr": 0.5}, {"momentum": 0.5, "rotation": 10.0})
    )
    text = cli("runs", "--store", three).stdout
    assert "momentum 0.5, rotation 10" in text
    assert "optdigits" in text


def test_runs_are_filtered_and_sorted(cli, three):
    assert len(listed(cli, three, "--where", "rotation=10")) == 1
    assert len(listed(cli, three, "--where", "lr=0.2,0.5", "--where", "epochs=1")) == 1
    assert listed(cli, three, "--status", "interrupted") == []
    assert listed(cli, three, "lenet5") == []
    rows = cli.json("runs", "--store", three, "--sort", "accuracy")
    assert [row["accuracy"] for row in rows] == sorted(row["accuracy"] for row in rows)
    assert "no such run in" in cli("runs", "lenet5", "--store", three).stdout
    assert "did you mean 'lr'?" in cli.error("runs", "--where", "learning_rate=0.1", "--store", three)


def test_runs_are_deleted_after_asking_and_never_in_training(cli, tmp_path):
    for seed in (0, 1):
        cli("train", "sigmoid_mlp", "--dataset", "optdigits", "--epochs", 1, "--seed", seed, "--store", tmp_path)
    first, second = runs.in_store(tmp_path)
    assert "add --yes" in cli("runs", "--delete", "--store", tmp_path, code=1).stderr
    with first.lock():
        message = cli("runs", "--delete", "--yes", "--store", tmp_path, code=1).stderr
    assert f"run {first.id} is being trained by another process: it can't be deleted" in message
    assert f"deleted {second.id}" in message
    assert runs.in_store(tmp_path) == [first]
    cli("runs", first.id, "--delete", "--yes", "--store", tmp_path)
    assert not first.folder.exists()


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (recipes.load("ladder_7k"), "ladder_7k"),
        (recipes.load("lenet5").but(lr=0.05, schedule="cosine"), "lenet5-lr0.05-cosine"),
        (recipes.load("lenet5").but(nesterov=True, momentum=0.5, dataset="my/im"), "lenet5-im-momentum0.5-nesterov"),
        (Recipe(model="net.py:small", name="small", epochs=15), "small-epochs15"),
        (Recipe(model="net.py:small", name="mine", epochs=15), "mine"),
        (Recipe(model="lenet5"), ""),
    ],
)
def test_a_name_carries_what_was_changed(recipe, name):
    assert recipes.named(recipe) == name


def test_a_long_name_is_cut_between_fields():
    many = recipes.load("lenet5").but(lr=0.05, rotation=5, translation=2, scale=0.1, shear=0.1, brightness=0.3)
    name = recipes.named(many)
    assert len(name) <= recipes.MAX_NAME
    assert recipes.named(many).startswith("lenet5-lr0.05-rotation5")
    assert not name.endswith(".")
