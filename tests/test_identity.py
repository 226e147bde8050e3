"""What makes two runs the same: docs/IDENTITY.md, rule by rule."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn

from lenette import augment, engines, identity, jobs, many, models, plan, runs, schedules, training
from lenette.data import load
from lenette.errors import RecipeError, RunError, UnsupportedByEngine
from lenette.identity import NetworkIdentity, Question
from lenette.models.structure import description, structure
from lenette.plan import Plan
from lenette.recipes import Recipe

OWN = """
from torch import nn

def net(num_classes=10, in_channels=1, image_size=28):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))
"""


@pytest.fixture
def recipe(tiny_folder):
    return Recipe(model="lenet5", dataset=str(tiny_folder), protocol="course", epochs=1, batch_size=64, name="tiny")


def found(recipe, seed=0, engine="reference", **how):
    return jobs.identify(recipe, seed, engine=engine, device="cpu", threads=1, **how)


def sigmoid_lenet(*shape):
    network = models.lenet.lenet5(*shape)
    for name, module in network.named_children():
        if isinstance(module, nn.ReLU):
            setattr(network, name, nn.Sigmoid())
    return network


def other_start(*shape):
    network = models.lenet.lenet5(*shape)
    with torch.no_grad():
        network[0].weight.mul_(2)
    return network


@pytest.mark.parametrize("changed", [sigmoid_lenet, other_start])
def test_a_shipped_network_that_changed_is_another_run(changed, recipe, tmp_path, monkeypatch):
    how = {"engine": "reference", "threads": 1, "store": tmp_path}
    first = training.train(recipe, **how)
    assert training.train(recipe, **how) == first
    monkeypatch.setitem(models.MODELS, "lenet5", changed)
    second = training.train(recipe, **how)
    assert second != first
    assert identity.differences(first.about.question, second.about.question) == ["network"]


def test_all_that_makes_a_question(recipe, tmp_path):
    file = tmp_path / "net.py"
    file.write_text(OWN)
    own = recipe.but(model=f"{file}:net")
    keys = {
        found(one, seed).key
        for one in (recipe, own, recipe.but(lr=0.2), recipe.but(max_seconds=3.0))
        for seed in (0, 1)
    }
    keys |= {found(recipe.but(protocol="sealed", fold=fold)).key for fold in (0, 1)}
    assert len(keys) == 10
    words = {"name": "x", "title": "t", "claim_test_accuracy": 0.5, "max_parameters": 10**6, "max_epochs": 9}
    assert found(recipe.but(**words)).key in keys
    file.write_text(OWN + "# a word more\n")
    assert found(own).key not in keys


def test_the_build_is_the_other_half(recipe, monkeypatch):
    first = found(recipe)
    assert {"engine", "torch", "threads"} <= first.choice.build.keys()
    two = jobs.identify(recipe, engine="reference", device="cpu", threads=2)
    assert first.question == two.question
    assert first.key != two.key


def test_the_native_build_is_of_versions_and_not_of_files(recipe):
    build = found(recipe, engine="native").choice.build
    assert build["arithmetic"] == 1
    assert build.keys() == {"engine", "arithmetic", "compiler", "flags", "processor", "libc"}
    one, two = (jobs.identify(recipe, engine="native", threads=threads) for threads in (1, 2))
    assert one.key == two.key  # its bits don't hang on the threads


def test_identify_builds_no_engine(recipe, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("an engine was built")

    monkeypatch.setattr(engines, "make", fail)
    monkeypatch.setattr("lenette.engines.native.compiler.compile_library", fail)
    for engine in ("native", "reference"):
        assert found(recipe, engine=engine).choice.name == engine
    assert many.number_of_processes(1, 1, 1) == 1
    work = many._identify([(recipe, 0), (recipe, 1), (recipe, 0)], {
        "folder": None, "engine": "auto", "device": "cpu", "threads": 1, "store": tmp_path
    })  # fmt: skip
    assert (len(work.questions), len(work.todo)) == (3, 2)


def test_another_seed_of_a_run_is_the_run_of_that_seed(recipe):
    first = found(recipe)
    assert jobs.with_seed(first, 0).key == first.key
    other = jobs.with_seed(first, 5)
    assert other.question == found(recipe, 5).question
    assert (other.key, other.plan.seed) == (found(recipe, 5).key, 5)


def test_auto_takes_the_reference_where_the_compiler_fails(recipe, monkeypatch):
    def fails(*_, **__):
        raise UnsupportedByEngine("the native engine's C++ doesn't compile")

    monkeypatch.setattr("lenette.engines.native.engine.compiler.compile_library", fails)
    ready = jobs.prepare(found(recipe, engine="auto"))
    assert (ready.choice.name, ready.choice.build["engine"]) == ("reference", "reference")
    assert "doesn't compile" in ready.about.engine_reason
    assert ready.key == found(recipe).key
    with pytest.raises(UnsupportedByEngine):
        jobs.prepare(found(recipe, engine="native"))


@pytest.mark.parametrize("seed", ["1", 0.5, True, None])
def test_a_seed_is_a_whole_number(seed, recipe):
    with pytest.raises(RecipeError, match="must be a whole number"):
        found(recipe, seed)


def test_a_source_with_the_line_ends_of_windows_goes_on(recipe, tmp_path):
    file = tmp_path / "net.py"
    file.write_bytes(OWN.replace("\n", "\r\n").encode())
    own = recipe.but(model=f"{file}:net", epochs=2)

    def stop(progress):
        if progress.finished:
            import signal

            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        training.train(own, store=tmp_path / "runs", threads=1, progress=stop)
    (run,) = runs.in_store(tmp_path / "runs")
    assert training.resume(run).status == "done"
    file.write_text(OWN)
    assert training.train(own, store=tmp_path / "runs", threads=1) == run


def test_a_source_that_is_edited_while_many_train_is_the_one_of_the_start(recipe, tmp_path):
    file = tmp_path / "net.py"
    file.write_text(OWN)
    asked = [(recipe.but(model=f"{file}:net"), seed) for seed in (0, 1, 2)]

    def edit(state):
        file.write_text(OWN.replace("Flatten()", "Flatten(), nn.ReLU()") if state.done != 1 else "broken(")

    made = many.run(asked, store=tmp_path / "runs", processes=1, progress=edit)
    assert [run.source for run in made] == [OWN] * 3
    assert len({run.about.question.network.source for run in made}) == 1


def test_the_structure_is_what_is_computed_of_what():
    class Net(nn.Module):
        def __init__(self, slope=0.1, rate=0.5):
            super().__init__()
            self.conv, self.fc, self.drop = nn.Conv2d(1, 4, 3), nn.Linear(4, 10), nn.Dropout(rate)
            self.slope = slope

        def forward(self, x):
            x = nn.functional.leaky_relu(self.conv(x), self.slope)
            return self.fc(self.drop(x.mean(dim=(2, 3))))

    class Twisted(Net):
        def forward(self, x):
            x = nn.functional.leaky_relu(self.conv(x), self.slope)
            return self.fc(self.drop(x.amax(dim=(2, 3))))

    class Branching(Net):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    class Pooling(nn.Module):
        def __init__(self, pool):
            super().__init__()
            self.fc, self.pool = nn.Linear(4, 10), pool

        def forward(self, x):
            return self.fc(self.pool(x, 2).flatten(1))

    pools = [nn.functional.max_pool2d, nn.functional.adaptive_max_pool2d, nn.functional.avg_pool2d]
    assert len({structure(Pooling(pool)) for pool in pools}) == 3
    frozen = Net()
    frozen.fc.bias.requires_grad_(False)
    shared = Net()
    shared.fc.bias = nn.Parameter(torch.zeros(10))
    networks = [Net(), Net(slope=0.2), Net(rate=0.4), Twisted(), Branching(), Branching(slope=0.2), frozen]
    assert len({structure(network) for network in networks}) == len(networks)
    assert structure(Net()) == structure(Net()) == structure(shared)
    assert any("not traced: TraceError" in line for line in description(Branching()))
    assert structure(models.build("lenet5")) == structure(models.build("lenet5"))


def test_describing_a_network_leaves_it_alone():
    network = models.build("under_8k").train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    structure(network), models.count(network)
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not hasattr(network, "_tensor_constant0")


def test_the_rule_of_the_key_stays_what_it_is():
    # Runs are found by it.
    network = NetworkIdentity(structure="1" * 64, source="", initial="2" * 64)
    numbers = {"model": "lenet5", "lr": 0.1}
    question = Question(versions={"plan": 1, "fields": 2}, recipe=numbers, network=network, seed=3, data=["a", "b"])
    assert question.digest == "9170a8dce04654f88103d6e9e870031f870f77c4afffbc2a0b1243c3b3e5a246"
    key = identity.key(question, {"threads": 1, "engine": "reference"})
    assert key == "d772a635102b02a9479c32c6096c67f948fa5f363c648f6ba97dadaa405098f4"


EVERYTHING = {
    **{"rotation": 10, "translation": 2, "scale": 0.1, "shear": 0.1, "crop_size": 22, "crop_probability": 0.5},
    **{"crop_padding": 2, "brightness": 0.2, "contrast": 0.3, "erase_size": 6, "erase_probability": 0.5},
}


def digest_of(*arrays):
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def numbers_of_a_plan():
    recipe = Recipe(model="sigmoid_mlp", batch_size=64)
    made = Plan(recipe, 7, 500)
    initial = made.initial(lambda: nn.Linear(30, 20)).state_dict()
    decays = Plan(recipe.but(ema_decay=0.99), 7, 500).ema_decays()
    mask = made.mask(5, 1, torch.Size([64, 33]), 0.3)
    words = np.array([made.step_seed(9)], dtype=np.int64)
    start = [(initial[name] * 2**8).round() for name in ("weight", "bias")]  # the last bits are the processor's
    return digest_of(made.order(3), mask, made.mask_key(2, 0), words, decays, *start)


def numbers_of_augmentation():
    made = Plan(Recipe(model="sigmoid_mlp", **EVERYTHING), 7, 400)
    draws = [made.warps(2), made.jitters(2), made.erasures(2)]
    images = torch.from_numpy(load("optdigits").images[:40].numpy()).float() / 255
    small = Plan(Recipe(model="sigmoid_mlp", **{**EVERYTHING, "crop_size": 6, "erase_size": 3}), 7, 40, (8, 8))
    changed = augment.augmented(images, *small.changes(0, slice(None)))
    return digest_of(*draws, (changed * 2**12).round().short())  # torch's own sums differ in their last bits


def numbers_of_schedules():
    more = {"step": {"step_epochs": 3}, "multistep": {"milestones": (2, 5)}, "sgdr": {"restart_epochs": 2}}
    rates = []
    for name in schedules.SCHEDULES:
        for changes in ({}, {"restart_factor": 2}) if name == "sgdr" else ({},):
            recipe = Recipe(model="sigmoid_mlp", schedule=name, epochs=9, lr=0.3, **more.get(name, {}), **changes)
            rates.append(Plan(recipe, 0, 1000).rates())
    return digest_of(*rates)


# Where one of these fails, bits changed: if that is meant, raise the module's VERSION and write the new digest beside
# it; every run of the old version is then another run.
GOLDEN = {
    ("plan", 1): "6f815f4aa39dc12e50d82c2c9bc13a0d3116f6145daab88155d103f680cf40fc",
    ("augment", 1): "18efaf6a4ca0d6838fd3a67299a284dbf2f11d631752c2812d4d868b49911026",
    ("schedules", 1): "4f7c23b150361984e303e6d9fe699813a859c584901b93e85cc7311e86339b75",
}


@pytest.mark.parametrize(
    ("module", "numbers"),
    [(plan, numbers_of_a_plan), (augment, numbers_of_augmentation), (schedules, numbers_of_schedules)],
)
def test_a_version_is_raised_where_bits_change(module, numbers):
    name = module.__name__.rpartition(".")[2]
    assert numbers() == GOLDEN[name, module.VERSION]


def test_resume_says_what_changed(recipe, tmp_path, monkeypatch):
    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(recipe, store=tmp_path, engine="reference", threads=1, progress=stop)
    (run,) = runs.in_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setitem(models.MODELS, "lenet5", sigmoid_lenet)
        with pytest.raises(RunError, match="its network changed since it began"):
            training.resume(run)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "VERSION", 2)
        with pytest.raises(RunError, match="its version of lenette's arithmetic changed"):
            training.resume(run)
    assert training.resume(run).status == "done"


def test_a_ground_that_is_not_black_counts_where_it_is_uncovered():
    plain, turned = Recipe(model="lenet5"), Recipe(model="lenet5", rotation=5.0)
    assert identity.versions(plain, ground=True) == identity.versions(plain)
    assert identity.versions(turned, ground=True) == {**identity.versions(turned), "ground": augment.GROUND_VERSION}
