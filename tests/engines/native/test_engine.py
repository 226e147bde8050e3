"""The native engine on the shipped networks: the reference's numbers, the same bits always, and exact resuming."""

import copy
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from lenette import models
from lenette.engines import native, reference
from lenette.engines.native import compiler
from lenette.errors import ModelError, UnsupportedByEngine
from lenette.plan import Plan
from lenette.recipes import Recipe
from tests.engines.native.twins import distance, noise, twins

# PyTorch's float64 takes long over the widest network; one full batch and a short one are enough there.
ALL = os.environ.get("LENETTE_NATIVE_ALL") == "1"
NETWORKS = list(models.MODELS) if ALL else ["ladder_7k", "deep_19k", "lenet5", "sigmoid_mlp"]


def recipe_for(model, **fields):
    return Recipe(**{"model": model, "batch_size": 24, "epochs": 10, "lr": 0.02, "schedule": "constant", **fields})


@pytest.mark.parametrize("model", NETWORKS)
def test_twenty_steps_in_float64(model):
    ours, theirs = twins(lambda: models.build(model), recipe_for(model), noise(24 * 5 - 3))
    torch.testing.assert_close(ours.advance(20)[0], theirs.advance(20)[0], rtol=1e-6, atol=1e-6)
    assert distance(ours.model, theirs.model) < 1e-6


@pytest.mark.parametrize("model", NETWORKS if ALL else ["ladder_7k"])
def test_float32_is_as_near_to_float64_as_torch_is(model):
    dataset, recipe = noise(24 * 5 - 3), recipe_for(model)
    plan = Plan(recipe, 3, len(dataset))
    errors = {"ours": [], "theirs": []}
    for seed in (3, 4, 5):
        network = Plan(recipe, seed, len(dataset)).initial(lambda: models.build(model))
        exact = twins(lambda network=network: copy.deepcopy(network), recipe, dataset)[1]
        ours = native.Engine(copy.deepcopy(network), plan, dataset, threads=2)
        theirs = reference.Engine(copy.deepcopy(network), plan, dataset)
        losses, our_losses, their_losses = (engine.advance(5)[0] for engine in (exact, ours, theirs))
        torch.testing.assert_close(our_losses[:3], their_losses[:3], rtol=1e-4, atol=1e-4)
        errors["ours"].append((our_losses - losses).abs().max())
        errors["theirs"].append((their_losses - losses).abs().max())
    # The best of three: one value so near to zero that rounding turns its sign at a ReLU leads either engine elsewhere,
    # while a lack of precision would show in all.
    assert min(errors["ours"]) <= max(1e-6, 3 * min(errors["theirs"]))


@pytest.fixture(scope="module")
def dataset():
    return noise(150)


def make(dataset, threads=1, **fields):
    recipe = recipe_for("ladder_7k", **{"batch_size": 64, "rotation": 10.0, "ema_decay": 0.9, **fields})
    plan = Plan(recipe, 1, len(dataset))
    return native.Engine(plan.initial(lambda: models.build("ladder_7k")), plan, dataset, threads=threads)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_same_bits_for_any_number_of_threads(dataset):
    engines = [make(dataset, threads) for threads in (1, 1, 2, 3, 7)]
    losses = [engine.advance(7)[0] for engine in engines]
    logits = [engine.logits(dataset.images) for engine in engines]
    assert all(torch.equal(loss, losses[0]) for loss in losses)
    assert all(torch.equal(values, logits[0]) for values in logits)
    assert all(same(engine.state(), engines[0].state()) for engine in engines)


@pytest.mark.parametrize("fields", [{}, {"optimizer": "adamw", "momentum": None, "weight_decay": 0.1}])
def test_resumes_exactly(dataset, fields):
    whole, first, second = (make(dataset, **fields) for _ in range(3))
    losses = whole.advance(7)[0]
    first.advance(4)
    saved = first.state()
    first.advance(6)
    second.load_state(saved, 4)
    assert second.step == 4
    assert torch.equal(second.advance(7)[0], losses[4:])
    assert same(whole.state(), second.state())
    assert torch.equal(whole.logits(dataset.images), second.logits(dataset.images))


def test_weights_are_the_averaged_ones_under_the_models_keys(dataset):
    engine = make(dataset)
    engine.advance(3)
    weights = engine.weights()
    assert weights.keys() == models.build("ladder_7k").state_dict().keys()
    assert not torch.equal(weights["conv1.weight"], engine.state()["model.conv1.weight"])
    model = models.build("ladder_7k")
    model.load_state_dict(weights)
    assert weights["bn1.num_batches_tracked"] == 3
    pixels = (dataset.images / 255 - dataset.mean[0]) / dataset.std[0]
    torch.testing.assert_close(engine.logits(dataset.images), model.eval()(pixels).detach(), rtol=1e-3, atol=1e-4)


def test_what_is_not_a_number_shows_in_the_loss(dataset):
    engine = make(dataset)
    with torch.no_grad():
        engine.model.conv1.weight[0, 0, 0, 0] = float("nan")
    assert engine.advance(1)[0].isnan().all()


def test_refuses_labels_beyond_the_outputs():
    with pytest.raises(ModelError, match="10 classes apart; a label is 10"):
        make(noise(150, classes=11))


def test_no_steps_to_train(dataset):
    losses, right = make(dataset).advance(0)
    assert losses.shape == right.shape == (0,)


def test_logits_refuse_images_of_another_shape(dataset):
    with pytest.raises(ValueError, match=r"not uint8 \[N, 1, 28, 28\]"):
        make(dataset).logits(torch.zeros(2, 1, 20, 20, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("network", "fields", "named"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), {"precision": "bfloat16"}, "precision = 'bfloat16'"),
        (nn.Sequential(nn.Flatten(), nn.Linear(783, 10)), {}, "breaks .*cannot be multiplied"),
        (nn.Sequential(nn.Mish(), nn.Flatten(), nn.Linear(784, 10)), {}, "'0' .Mish"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).double(), {}, "'1.weight' is float64"),
    ],
)
def test_requires_what_it_knows_without_a_compiler(network, fields, named, dataset, monkeypatch):
    monkeypatch.setenv("CXX", "none")
    native.Engine.require(models.build("lenet5"), Recipe(model="own"), dataset)
    with pytest.raises(UnsupportedByEngine, match=named):
        native.Engine.require(network, Recipe(model="own", **fields), dataset)


def test_its_build_is_of_the_machine_and_not_of_files(monkeypatch):
    build = native.Engine.build("cpu", 1)
    assert build["arithmetic"] == native.ARITHMETIC_VERSION
    assert build == native.Engine.build("cpu", 2)
    monkeypatch.setattr(compiler, "HEADERS", Path("elsewhere"))
    assert build == native.Engine.build("cpu", 1)
    monkeypatch.setattr(compiler, "processor", lambda: "another")
    assert build != native.Engine.build("cpu", 1)
    with pytest.raises(UnsupportedByEngine, match="not on 'cuda'"):
        native.Engine.build("cuda", 1)
    monkeypatch.setenv("CXX", "none")
    with pytest.raises(UnsupportedByEngine, match="needs a C"):
        native.Engine.build("cpu", 1)
