"""The shipped recipes against what their documents state and claim."""

import pytest

from lenette import recipes
from lenette.evidence.rule import PRESETS
from lenette.models import build, count_parameters

D = {"epochs": 15, "batch_size": 128, "optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "claim_statistic": "best"}
STATED = {
    "sigmoid_mlp": {"model": "sigmoid_mlp", "optimizer": "sgd", "momentum": 0.0, "claim_test_accuracy": 0.0},
    "lenet5": {"model": "lenet5", "optimizer": "sgd", "momentum": 0.0, "claim_test_accuracy": 0.0},
    "transition_19k": {
        "model": "transition_19k",
        "max_parameters": 19_999,
        "max_epochs": 20,
        "claim_test_accuracy": 0.9945,
        "claim_statistic": "last",
    },
    "four_conv_593k": {
        "model": "four_conv_593k",
        "optimizer": "sgd",
        "batch_size": 512,
        "epochs": 20,
        "schedule": "step",
        "step_epochs": 15,
        "crop_size": 22,
        "crop_probability": 0.1,
        "rotation": 15.0,
        "claim_train_accuracy": 0.9921,
        "claim_test_accuracy": 0.9919,
        "claim_statistic": "last",
    },
    "ladder_15k": {**D, "model": "ladder_15k", "claim_train_accuracy": 0.997, "claim_test_accuracy": 0.993},
    "ladder_12k": {**D, "model": "ladder_12k", "claim_train_accuracy": 0.9956, "claim_test_accuracy": 0.9922},
    "ladder_7k": {**D, "model": "ladder_7k", "claim_train_accuracy": 0.9936, "claim_test_accuracy": 0.992},
    "ladder_7k_rotation": {
        **D,
        "model": "ladder_7k",
        "rotation": 10.0,
        "claim_train_accuracy": 0.9899,
        "claim_test_accuracy": 0.9926,
    },
    "ladder_7k_step": {
        **D,
        "model": "ladder_7k",
        "rotation": 10.0,
        "schedule": "step",
        "step_epochs": 6,
        "gamma": 0.1,
        "claim_train_accuracy": 0.9916,
        "claim_test_accuracy": 0.9945,
    },
    "deep_19k": {
        "model": "deep_19k",
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "schedule": "step",
        "step_epochs": 15,
        "gamma": 0.1,
        "epochs": 20,
        "claim_test_accuracy": 0.9952,
        "claim_statistic": "last",
    },
}


OURS = ("under_8k", "under_10k", "under_20k")


def test_the_documents_ten_and_our_four_are_here():
    assert set(recipes.names()) == {*STATED, *OURS, "sprint"}


@pytest.mark.parametrize("name", OURS)
def test_ours_are_sealed_and_keep_the_preset_of_their_name(name):
    recipe = recipes.load(name)
    limits = {field: PRESETS[name][field] for field in ("max_parameters", "max_epochs")}
    assert {field: getattr(recipe, field) for field in limits} == limits
    assert count_parameters(build(recipe.model)) <= recipe.max_parameters
    assert (recipe.name, recipe.model, recipe.protocol, recipe.document) == (name, name, "sealed", "")


@pytest.mark.parametrize("name", STATED)
def test_states_what_its_document_states(name):
    recipe = recipes.load(name)
    assert {field: getattr(recipe, field) for field in STATED[name]} == STATED[name]
    assert (recipe.name, recipe.dataset, recipe.protocol) == (name, "mnist", "course")
    assert recipe.title
    assert recipe.claim_note
    assert recipe.document[0] in "ABCDE"


@pytest.mark.parametrize("name", STATED)
def test_augments_only_where_its_document_does(name):
    recipe = recipes.load(name)
    augmented = any(recipe.values("augmentation").values())
    assert augmented == (name in {"four_conv_593k", "ladder_7k_rotation", "ladder_7k_step", "deep_19k"})


@pytest.mark.parametrize("name", STATED)
def test_its_network_is_within_the_budget(name):
    recipe = recipes.load(name)
    budgeted = name == "transition_19k"
    assert bool(recipe.max_parameters) == bool(recipe.max_epochs) == budgeted
    if budgeted:
        assert count_parameters(build(recipe.model)) <= recipe.max_parameters
