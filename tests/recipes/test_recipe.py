from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenette import recipes
from lenette.errors import RecipeError
from lenette.recipes import FIELDS_VERSION, Recipe, digest_v1, from_mapping, from_toml
from lenette.recipes.recipe import NUMBERS as GROUPS
from lenette.recipes.recipe import OTHER_NAMES, REQUIRED

# What each choice needs so that its recipe is whole.
NEEDED = {"step": {"step_epochs": 3}, "multistep": {"milestones": (2, 5)}, "sgdr": {"restart_epochs": 2}}
NUMBERS = {f.name: f for f in fields(Recipe) if f.type in (int, float)}


def number(name):
    """Return valid values of a number's field."""
    about = NUMBERS[name].metadata
    high = min(about["high"], 1000)
    low = max(about["low"], 1) if name in ("crop_size", "erase_size", "image_size") else about["low"]
    return st.integers(low, high) if NUMBERS[name].type is int else st.floats(low, high)


@st.composite
def any_recipe(draw):
    """Draw a valid recipe: choices, then some of the fields that these choices use."""
    choices = {
        f.name: draw(st.sampled_from(f.metadata["choices"]))
        for f in fields(Recipe)
        if f.metadata["choices"] and not f.metadata["used_by"]
    }
    values = {"model": "lenet5", "name": draw(st.text(max_size=5)), **choices, **NEEDED.get(choices["schedule"], {})}
    values |= {name: draw(number(name)) for name in ("crop_size", "erase_size", "image_size") if draw(st.booleans())}
    for name, f in NUMBERS.items():
        parent, users = f.metadata["used_by"] or (None, {})
        used = parent is None or (choices.get(parent) in users if isinstance(users, dict) else parent in values)
        if used and name not in values and name not in ("max_epochs", "fold") and draw(st.booleans()):
            values[name] = draw(number(name))
    return Recipe(**values)


@given(any_recipe())
def test_toml_and_back(tmp_path_factory, recipe):
    path = tmp_path_factory.mktemp("toml") / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    back = from_toml(path)
    assert back.but(name="") == recipe.but(name="")
    assert back.digest == recipe.digest
    assert back.name == (recipe.name or "recipe")


@given(any_recipe())
def test_a_recipe_is_hashable_and_its_values_make_it_again(recipe):
    assert from_mapping(recipe.values()) == recipe.but() == recipe
    assert len({recipe, recipe.but()}) == 1


def test_defaults_are_sealed_and_whole():
    recipe = Recipe(model="lenet5")
    assert (recipe.protocol, recipe.fold, recipe.dataset) == ("sealed", 0, "mnist")
    assert (recipe.momentum, recipe.nesterov, recipe.beta1, recipe.step_epochs) == (0.9, False, None, None)
    assert "beta1" not in recipe.values()


def test_is_frozen():
    with pytest.raises(AttributeError):
        Recipe(model="lenet5").lr = 1


def test_every_field_has_help_a_group_and_one_of_five_types():
    for f in fields(Recipe):
        assert f.metadata["help"]
        assert f.metadata["group"] in ("what", "training", "augmentation", "record", "budget", "words")
        assert f.type in (int, float, str, bool, tuple[int, ...])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'model' is missing"),
        ({"learning_rate": 0.1}, "unknown field 'learning_rate'"),
        ({"epoch": 3}, "unknown field 'epoch'; did you mean 'epochs'"),
        ({"lr": "0.1"}, "'lr' = '0.1': must be a number"),
        ({"lr": True}, "'lr' = True: must be a number"),
        ({"lr": -0.1}, "'lr' = -0.1: must be at least 0"),
        ({"lr": float("nan")}, "'lr' = nan"),
        ({"lr": float("inf")}, "'lr' = inf"),
        ({"lr": 10**400}, "'lr' = 1000"),
        ({"max_parameters": 10**400}, "'max_parameters' = 1000"),
        ({"epochs": 0}, "'epochs' = 0: must be at least 1"),
        ({"epochs": 2.0}, "'epochs' = 2.0: must be a whole number"),
        ({"batch_size": False}, "'batch_size' = False: must be a whole number"),
        ({"nesterov": 1}, "'nesterov' = 1: must be true or false"),
        ({"nesterov": True, "momentum": 0.0}, "'nesterov' = true needs a momentum"),
        ({"title": 3}, "'title' = 3: must be a string"),
        ({"optimizer": "sdg"}, "'optimizer' = 'sdg': must be one of sgd, adam, adamw; did you mean 'sgd'"),
        ({"schedule": ["step"]}, "'schedule' = .*must be a string"),
        ({"schedule": "plateau"}, "'schedule' = 'plateau': must be one of constant, step"),
        ({"schedule": "step"}, "'step_epochs' is missing: schedule = 'step' needs it"),
        ({"schedule": "sgdr"}, "'restart_epochs' is missing"),
        ({"schedule": "multistep"}, "'milestones' is missing"),
        ({"schedule": "multistep", "milestones": []}, "'milestones' = .*must be a list of whole numbers"),
        ({"schedule": "multistep", "milestones": [2, "3"]}, "'milestones' = .*must be a list of whole numbers"),
        ({"schedule": "multistep", "milestones": [3, 2]}, "'milestones' = .*must rise"),
        ({"schedule": "multistep", "milestones": [0, 2]}, "'milestones' = .*at least 1"),
        ({"schedule": "cosine", "gamma": 0.1}, "'gamma' = 0.1 is not used where schedule = 'cosine'.*'step' or"),
        ({"optimizer": "adam", "momentum": 0.9}, "'momentum' = 0.9 is not used where optimizer = 'adam'.*'sgd'"),
        ({"beta1": 0.9}, "'beta1' = 0.9 is not used where optimizer = 'sgd'.*'adam' or 'adamw'"),
        ({"protocol": "course", "fold": 0}, "'fold' = 0 is not used where protocol = 'course'"),
        ({"crop_probability": 0.5}, "'crop_probability' = 0.5 is not used where crop_size = 0.*more than 0"),
        ({"epochs": 21, "max_epochs": 20}, "'epochs' = 21 exceeds the budget max_epochs = 20"),
        ({"claim_test_accuracy": 99.4}, "'claim_test_accuracy' = 99.4: must be at least 0 and at most 1"),
    ],
)
def test_refuses(values, message):
    model = {"model": "lenet5"} if values else {}
    with pytest.raises(RecipeError, match=message):
        from_mapping({**model, **values})


@pytest.mark.parametrize("name", NUMBERS)
def test_the_bounds_of_every_number_are_inclusive(name):
    about = NUMBERS[name].metadata
    around = {"crop_probability": {"crop_size": 4}, "erase_probability": {"erase_size": 4}}.get(name, {})
    if about["used_by"] and isinstance(about["used_by"][1], dict):
        parent, users = about["used_by"]
        choice = next(iter(users))
        around = {parent: choice, **NEEDED.get(choice, {})}
    around = {"max_epochs": {"epochs": 1}, "momentum": {}}.get(name, around)
    for bound, beyond in ((about["low"], -0.001), (about["high"], 0.001)):
        kind = NUMBERS[name].type
        if not (name == "max_epochs" and bound == 0):
            assert getattr(Recipe(model="lenet5", **{**around, name: kind(bound)}), name) == bound
        outside = kind(bound + (beyond if kind is float else round(1000 * beyond)) * max(1, abs(bound)))
        with pytest.raises(RecipeError, match=f"'{name}' = .*must be at least"):
            Recipe(model="lenet5", **{**around, name: outside})


def test_but():
    recipe = Recipe(model="lenet5", schedule="step", step_epochs=4, gamma=0.5)
    assert recipe.but(lr=0.3).lr == 0.3
    assert recipe.but(lr=None, schedule="step") == recipe
    assert (recipe.but(gamma=0.2).step_epochs, recipe.but(gamma=0.2).gamma) == (4, 0.2)
    assert recipe.but(schedule="cosine").step_epochs is None
    assert recipe.but(schedule="multistep", milestones=[3]).gamma == 0.1
    assert recipe.but(optimizer="adam").momentum is None
    assert recipe.but(optimizer="adam").but(optimizer="adamw", beta1=0.8).beta1 == 0.8
    assert recipe.but(protocol="course").fold is None
    with pytest.raises(RecipeError, match="did you mean 'momentum'"):
        recipe.but(momentun=0.5)
    with pytest.raises(RecipeError, match="'step_epochs' is missing"):
        recipe.but(schedule="cosine").but(schedule="step")


def test_but_keeps_a_probability_as_long_as_its_operation_is_on():
    recipe = Recipe(model="lenet5", crop_size=22, crop_probability=0.1)
    assert recipe.but(crop_size=24).crop_probability == 0.1
    assert recipe.but(crop_size=0).crop_probability is None
    assert recipe.but(crop_size=0).but(crop_size=22).crop_probability == 1.0


def test_the_digest_covers_what_changes_numbers_alone():
    recipe = Recipe(model="lenet5")
    words = {"name": "n", "title": "t", "document": "D", "claim_test_accuracy": 0.9, "claim_note": "c"}
    budget = {"max_parameters": 10**6, "max_epochs": 20, "max_seconds": 9.0, "max_bytes": 10**7}
    assert recipe.but(**words, **budget).digest == recipe.digest
    changes = {"lr": 0.051, "rotation": 1.0, "protocol": "course", "fold": 1, "model": "ladder_7k", "dataset": "kmnist"}
    assert len({recipe.digest, *(recipe.but(**{name: value}).digest for name, value in changes.items())}) == 7
    assert Recipe(model="lenet5", lr=1).digest == Recipe(model="lenet5", lr=1.0).digest


def test_the_digests_stay_what_they_are():
    # Runs and proofs are found by them.
    recipe = Recipe(model="lenet5", schedule="multistep", milestones=[3, 6], rotation=10)
    assert recipe.digest == "36a78b8c99198c05108b320c561421086347e779409009036cb3d6b55adee46c"
    assert digest_v1(recipe) == "88c0df294c60f6d327d9d1132ae2c584fcde028ab631af1c31d0414ded7a902f"


def test_a_new_field_at_its_default_changes_no_digest():
    @dataclass(frozen=True, kw_only=True)
    class Wider(Recipe):
        elastic: float = field(default=0.0, metadata=Recipe.__dataclass_fields__["rotation"].metadata)

    assert Wider(model="lenet5", lr=0.2).digest == Recipe(model="lenet5", lr=0.2).digest
    assert Wider(model="lenet5", lr=0.2, elastic=1.0).digest != Recipe(model="lenet5", lr=0.2).digest


def test_a_field_at_its_default_may_be_named_or_not():
    named = Recipe(model="lenet5", schedule="step", step_epochs=3, gamma=0.1, momentum=0.9, fold=0)
    assert named.digest == Recipe(model="lenet5", schedule="step", step_epochs=3).digest


def test_a_network_and_a_data_set_may_lie_anywhere():
    one = Recipe(model="/a/net.py:tiny", dataset="/data/mine")
    assert one.digest == Recipe(model="net.py:tiny", dataset="mine").digest
    assert one.digest != Recipe(model="net.py:other", dataset="mine").digest


# Where this test fails, a default or its condition changed: raise FIELDS_VERSION, and write the new table here.
# A field that is added gets a line.
DEFAULTS = {
    2: {
        **{"model": None, "dataset": "mnist", "protocol": "sealed", "fold": {"sealed": 0}, "epochs": 10},
        **{"image_size": 0, "image_fit": "pad"},
        **{"batch_size": 128, "optimizer": "sgd", "lr": 0.05, "momentum": {"sgd": 0.9}, "nesterov": {"sgd": False}},
        **{"beta1": {"adam": 0.9, "adamw": 0.9}, "beta2": {"adam": 0.999, "adamw": 0.999}},
        **{"eps": {"adam": 1e-8, "adamw": 1e-8}, "weight_decay": 0.0, "schedule": "onecycle"},
        **{"step_epochs": {"step": "required"}, "milestones": {"multistep": "required"}},
        **{"gamma": {"step": 0.1, "multistep": 0.1}, "start_factor": {"linear": 1.0, "onecycle": 0.04}},
        **{"end_factor": {"cosine": 0.0, "linear": 0.0, "sgdr": 0.0, "onecycle": 4e-6}},
        **{"warmup_fraction": {"onecycle": 0.3}, "restart_epochs": {"sgdr": "required"}, "restart_factor": {"sgdr": 1}},
        **{"label_smoothing": 0.0, "ema_decay": 0.0, "precision": "float32", "evaluate_train": "last"},
        **{"rotation": 0.0, "translation": 0.0, "scale": 0.0, "shear": 0.0, "crop_size": 0, "crop_probability": 1.0},
        **{"crop_padding": 0, "brightness": 0.0, "contrast": 0.0, "erase_size": 0, "erase_probability": 0.5},
    }
}


def test_the_fields_version_is_that_of_their_defaults():
    def default(f):
        found = f.metadata["used_by"][1] if f.metadata["used_by"] else f.default
        if not isinstance(found, dict):
            return found
        return {choice: "required" if value is REQUIRED else value for choice, value in found.items()}

    numbers = [f for f in fields(Recipe) if f.metadata["group"] in GROUPS]
    assert {f.name: default(f) for f in numbers} == DEFAULTS[FIELDS_VERSION]


def test_differences():
    recipe = Recipe(model="lenet5", title="one")
    assert recipe.differences(recipe.but(title="other", lr=0.2, max_epochs=30)) == {"lr": (0.05, 0.2)}
    changed = recipe.differences(recipe.but(optimizer="adam"))
    assert changed["momentum"] == (0.9, None)
    assert changed["beta1"] == (None, 0.9)


def test_load_knows_every_way_to_name_a_recipe(tmp_path):
    assert recipes.load("ladder_7k").name == "ladder_7k"
    toml = tmp_path / "mine.toml"
    toml.write_text('model = "lenet5"\nlr = 1\n')
    assert (recipes.load(str(toml)).name, recipes.load(str(toml)).lr) == ("mine", 1.0)
    own = recipes.load("nets/mine.py:tiny")
    assert (own.name, own.model, own.protocol) == ("tiny", "nets/mine.py:tiny", "sealed")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('model = "lenet5"\nlr == 1', "is no TOML"),
        (b"\xff\xfe", "can't read the recipe"),
        ('model = "lenet5"\n[training]\nlr = 1', "unknown field 'training'"),
        ('model = "lenet5"\nepoch = 1', "did you mean 'epochs'"),
        ("lr = 1", "'model' is missing"),
        ('model = "lenet5"\nlr = 1979-05-27', "must be a number"),
    ],
)
def test_a_bad_file_is_refused_by_its_name(content, message, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RecipeError, match=message) as error:
        recipes.load(str(path))
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["ladder_7", "", "nothing/there", "missing.toml", "x" * 200])
def test_an_unknown_recipe_is_refused(name):
    with pytest.raises(RecipeError, match="can't read the recipe" if name.endswith("toml") else "unknown recipe"):
        recipes.load(name)


def test_a_typing_error_gets_the_nearest_recipe():
    with pytest.raises(RecipeError, match="did you mean 'ladder_7k_rotation'"):
        recipes.load("ladder_7k_rotatoin")


def test_every_toml_file_beside_the_code_is_shipped():
    assert recipes.names() == sorted(path.stem for path in Path(recipes.__file__).parent.glob("*.toml"))


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("learning_rate", "lr"),
        ("learning-rate", "lr"),
        ("batchsize", "batch_size"),
        ("num_epochs", "epochs"),
        ("wd", "weight_decay"),
        ("rotations", "rotation"),
        ("Epochs", "epochs"),
    ],
)
def test_other_names_lead_to_the_right_field(name, right):
    with pytest.raises(RecipeError, match=f"unknown field '{name}'; did you mean '{right}'"):
        Recipe(model="lenet5").but(**{name: 1})


def test_other_names_are_none_of_ours():
    names = {f.name for f in fields(Recipe)}
    assert not names & OTHER_NAMES.keys()
    assert set(OTHER_NAMES.values()) <= names


def test_paths_in_a_toml_are_relative_to_it(tmp_path, monkeypatch):
    (tmp_path / "work" / "images").mkdir(parents=True)
    (tmp_path / "work" / "mine.toml").write_text('model = "net.py:tiny"\ndataset = "images"\n')
    monkeypatch.chdir(tmp_path)
    recipe = recipes.load("work/mine.toml")
    assert (recipe.model, recipe.dataset) == ("work/net.py:tiny", "work/images")
    monkeypatch.chdir(tmp_path / "work")
    assert recipes.load("mine.toml").model == "net.py:tiny"
    (tmp_path / "work" / "other.toml").write_text('model = "package.nets:tiny"\n')
    assert (recipes.load("other.toml").model, recipes.load("other.toml").dataset) == ("package.nets:tiny", "mnist")
    (tmp_path / "work" / "far.toml").write_text('model = "/else/net.py:tiny"\n')
    assert recipes.load("far.toml").model == "/else/net.py:tiny"
