"""A Recipe says what to train: flat, frozen, typed; TOML in and out; with a digest of all that changes the numbers."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lenette.errors import RecipeError, nearest

REQUIRED = object()
LARGEST = 1e18  # of any field: what is beyond is a slip, or infinite
FIELDS_VERSION = 2  # of the fields' defaults and meanings: see `Recipe.numbers`
NUMBERS = ("what", "training", "augmentation", "record")  # the groups of fields that change numbers
# What other programs call our fields.
OTHER_NAMES = {
    **dict.fromkeys(("learning_rate", "learningrate", "rate", "eta", "alpha"), "lr"),
    **dict.fromkeys(("batchsize", "batch", "bs", "bsz", "minibatch"), "batch_size"),
    **dict.fromkeys(("num_epochs", "n_epochs", "max_epoch", "epoch", "iterations"), "epochs"),
    **dict.fromkeys(("network", "net", "arch", "architecture"), "model"),
    **dict.fromkeys(("data", "dataset_name", "data_set"), "dataset"),
    **dict.fromkeys(("optim", "optimiser", "solver"), "optimizer"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule"), "schedule"),
    **dict.fromkeys(("wd", "l2", "decay", "weightdecay"), "weight_decay"),
    **dict.fromkeys(("rotate", "degrees", "rotation_range"), "rotation"),
    **dict.fromkeys(("shift", "translate"), "translation"),
    **dict.fromkeys(("betas", "beta_1"), "beta1"),
    **{"smoothing": "label_smoothing", "ema": "ema_decay", "step_size": "step_epochs", "warmup": "warmup_fraction"},
    **{"dtype": "precision", "params": "max_parameters", "parameters": "max_parameters"},
}


def _field(
    help: str,
    default: Any = None,
    *,
    group: str = "training",
    choices: tuple[str, ...] = (),
    low: float = 0,
    high: float = LARGEST,
    used_by: tuple[str, Any] | None = None,
) -> Any:
    """Describe one field; `low` and `high` are inclusive.

    `used_by` ties a field to another one, and holds its defaults: ("schedule", {"step": 0.1}) says that only the
    schedule "step" uses it, with 0.1 where nothing is given (REQUIRED: it must be given); ("crop_size", 0.1) says that
    it is used where crop_size is not 0. A field that nobody uses stays None.
    """
    about = {"help": help, "group": group, "choices": choices, "low": low, "high": high, "used_by": used_by}
    return field(default=default, metadata=about)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to train, how, within which budget, and what its document claims.

    Raises RecipeError for a value of the wrong type or out of range, and for a field that the chosen optimiser,
    schedule or augmentation doesn't use.
    """

    model: str = _field("network: a shipped name, module:function or file.py:function", group="what")
    dataset: str = _field("data set: a name of `lenette data list`, or a folder of classes", "mnist", group="what")
    protocol: str = _field(
        "sealed: a validation part of the training images guides every choice; "
        "course: train on all of them and look at the test set every epoch",
        "sealed",
        group="what",
        choices=("sealed", "course"),
    )
    fold: int = _field(
        "which sixth of the training images the sealed protocol holds out, where the data set has no validation part "
        "of its own (-1: none, to refit on all of them)",
        group="what",
        low=-1,
        high=5,
        used_by=("protocol", {"sealed": 0}),
    )

    image_size: int = _field(
        "bring one's own pictures to squares of so many pixels (0: as they are)", 0, group="what", high=4096
    )
    image_fit: str = _field(
        "how a picture becomes a square: pad with the colour of its edge, crop to its middle, or squash",
        group="what",
        choices=("pad", "crop", "squash"),
        used_by=("image_size", "pad"),
    )

    epochs: int = _field("passes over the training images", 10, low=1, high=100_000)
    batch_size: int = _field("images a step; the last batch of an epoch may be short", 128, low=1, high=1_000_000)
    optimizer: str = _field("optimiser", "sgd", choices=("sgd", "adam", "adamw"))
    lr: float = _field("learning rate; the schedule multiplies it", 0.05)
    momentum: float = _field("momentum", high=1, used_by=("optimizer", {"sgd": 0.9}))
    nesterov: bool = _field("Nesterov's momentum", used_by=("optimizer", {"sgd": False}))
    beta1: float = _field(
        "decay of the mean gradient", high=0.999999, used_by=("optimizer", {"adam": 0.9, "adamw": 0.9})
    )
    beta2: float = _field(
        "decay of the mean squared gradient", high=0.9999999, used_by=("optimizer", {"adam": 0.999, "adamw": 0.999})
    )
    eps: float = _field(
        "added to the root of the mean squared gradient", used_by=("optimizer", {"adam": 1e-8, "adamw": 1e-8})
    )
    weight_decay: float = _field("weight decay on every parameter (decoupled in adamw)", 0.0)
    schedule: str = _field(
        "learning rate against the step (never against the loss: a run must be decided before it is made)",
        "onecycle",
        choices=("constant", "step", "multistep", "cosine", "linear", "onecycle", "sgdr"),
    )
    step_epochs: int = _field("epochs between two drops", low=1, used_by=("schedule", {"step": REQUIRED}))
    milestones: tuple[int, ...] = _field(
        "epochs after which the rate drops, e.g. 8,12", low=1, used_by=("schedule", {"multistep": REQUIRED})
    )
    gamma: float = _field("factor of each drop", high=1, used_by=("schedule", {"step": 0.1, "multistep": 0.1}))
    start_factor: float = _field(
        "the first learning rate as a fraction of lr", high=1, used_by=("schedule", {"linear": 1.0, "onecycle": 0.04})
    )
    end_factor: float = _field(
        "the last learning rate as a fraction of lr",
        high=1,
        used_by=("schedule", {"cosine": 0.0, "linear": 0.0, "sgdr": 0.0, "onecycle": 4e-6}),
    )
    warmup_fraction: float = _field(
        "the share of the steps in which one-cycle's learning rate rises (it moves the learning rate alone)",
        high=1,
        used_by=("schedule", {"onecycle": 0.3}),
    )
    restart_epochs: int = _field("epochs of the first cosine of SGDR", low=1, used_by=("schedule", {"sgdr": REQUIRED}))
    restart_factor: int = _field("how much longer each following cosine is", low=1, used_by=("schedule", {"sgdr": 1}))
    label_smoothing: float = _field("share of the label spread over all classes", 0.0, high=0.999)
    ema_decay: float = _field(
        "decay of the running mean of the weights, which is then what is evaluated (0: none)", 0.0, high=0.999999
    )
    precision: str = _field(
        "arithmetic; bfloat16 is autocast, on the reference engine", "float32", choices=("float32", "bfloat16")
    )
    evaluate_train: str = _field(
        "when the training images are evaluated without augmentation", "last", group="record", choices=("last", "every")
    )

    rotation: float = _field("rotate by up to +- so many degrees", 0.0, group="augmentation", high=180)
    translation: float = _field("shift by up to +- so many pixels", 0.0, group="augmentation", high=1000)
    scale: float = _field("scale by a factor of 1 +- this", 0.0, group="augmentation", high=0.9)
    shear: float = _field("slant: shift by up to +- so many columns a row", 0.0, group="augmentation", high=2)
    crop_size: int = _field(
        "cut out the centre of so many pixels and resize it back (0: off)", 0, group="augmentation", high=4096
    )
    crop_probability: float = _field(
        "share of the images that are cut", group="augmentation", high=1, used_by=("crop_size", 1.0)
    )
    crop_padding: int = _field("pad by so many pixels, then cut a random window", 0, group="augmentation", high=1000)
    brightness: float = _field("multiply by a factor of 1 +- this", 0.0, group="augmentation", high=1)
    contrast: float = _field(
        "stretch around the image's mean by a factor of 1 +- this", 0.0, group="augmentation", high=1
    )
    erase_size: int = _field("blacken a square of so many pixels (0: off)", 0, group="augmentation", high=4096)
    erase_probability: float = _field(
        "share of the images with a blackened square", group="augmentation", high=1, used_by=("erase_size", 0.5)
    )

    max_parameters: int = _field("budget: trainable parameters (0: none)", 0, group="budget")
    max_epochs: int = _field("budget: epochs (0: none)", 0, group="budget")
    max_seconds: float = _field("budget: seconds of training, where the run is cut (0: none)", 0.0, group="budget")
    max_bytes: int = _field("budget: bytes of the weights (0: none)", 0, group="budget")

    name: str = _field("name of the recipe, for people", "", group="words")
    title: str = _field("what it is, in a line", "", group="words")
    document: str = _field("where it comes from", "", group="words")
    claim_train_accuracy: float = _field("the document's train accuracy (0: none)", 0.0, group="words", high=1)
    claim_test_accuracy: float = _field("the document's test accuracy (0: none)", 0.0, group="words", high=1)
    claim_statistic: str = _field(
        "whether the claim is the last epoch's figure or the best", "last", group="words", choices=("last", "best")
    )
    claim_note: str = _field("what to know about the claim", "", group="words")

    def __post_init__(self) -> None:
        if self.model is None:
            raise RecipeError("field 'model' is missing: name a network, e.g. model = \"ladder_7k\"")
        for f in fields(self):
            value = getattr(self, f.name)
            used, default = _use(f, self)
            if not used and value is not None:
                parent = f.metadata["used_by"][0]
                raise RecipeError(
                    f"field '{f.name}' = {value!r} is not used where {parent} = {getattr(self, parent)!r}: "
                    f"leave it out, or set {parent} to {_users(f)}"
                )
            if used and value is None:
                if default is REQUIRED:
                    parent = f.metadata["used_by"][0]
                    raise RecipeError(
                        f"field '{f.name}' is missing: {parent} = {getattr(self, parent)!r} needs it "
                        f"({f.metadata['help']})"
                    )
                value = default
            if value is not None:
                value = _checked(f, value)
            object.__setattr__(self, f.name, value)
        if self.milestones is not None and list(self.milestones) != sorted(set(self.milestones)):
            raise RecipeError(f"field 'milestones' = {self.milestones}: the epochs must rise")
        if self.max_epochs and self.epochs > self.max_epochs:
            raise RecipeError(f"field 'epochs' = {self.epochs} exceeds the budget max_epochs = {self.max_epochs}")
        if self.nesterov and not self.momentum:
            raise RecipeError("field 'nesterov' = true needs a momentum above 0")

    def but(self, **changes: Any) -> "Recipe":
        """Return this recipe with the given fields changed.

        Fields that hang on a changed choice (`step_epochs` on `schedule`), or on a number that is now 0, go back to
        their defaults unless given.

        Raises:
            RecipeError: a field is unknown or its value won't do.
        """
        changes = {name: value for name, value in changes.items() if value is not None}
        _refuse_unknown(changes)
        kept = {}
        for f in fields(self):
            parent, defaults = f.metadata["used_by"] or ("", None)
            is_choice = isinstance(defaults, dict)
            if parent not in changes or (changes[parent] == getattr(self, parent) if is_choice else changes[parent]):
                kept[f.name] = getattr(self, f.name)
        return Recipe(**{**kept, **changes})

    def values(self, *groups: str) -> dict[str, Any]:
        """Return the fields that are in use, those of the given groups only where any is given."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) is not None and (not groups or f.metadata["group"] in groups)
        }

    def numbers(self) -> dict[str, Any]:
        """Return the fields that change numbers and are not at their default, as JSON holds them.

        So a field that is added later, its default being what was done before, changes no recipe's digest. Where a
        default or a field's meaning changes, FIELDS_VERSION is raised. Of a network in a file it holds the function's
        name alone, and of a data set its folder's: both may lie anywhere, and a run's key holds what is in them.
        """
        numbers = {
            f.name: list(value) if isinstance(value, tuple) else value
            for f in fields(self)
            if f.metadata["group"] in NUMBERS
            and (value := getattr(self, f.name)) is not None
            and value != _use(f, self)[1]
        }
        return numbers | _anywhere(self)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of `numbers` under FIELDS_VERSION: not of the budget and the words."""
        text = json.dumps({"fields": FIELDS_VERSION, **self.numbers()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, other: "Recipe") -> dict[str, tuple[Any, Any]]:
        """Return {field: (here, there)} for the fields that change numbers and differ."""
        names = [f.name for f in fields(self) if f.metadata["group"] in ("what", "training", "augmentation")]
        return {n: (getattr(self, n), getattr(other, n)) for n in names if getattr(self, n) != getattr(other, n)}

    def to_toml(self) -> str:
        """Return the recipe as TOML; fields at an unconditional default are left out."""
        import tomli_w

        plain = {
            f.name: list(value) if isinstance(value, tuple) else value
            for f in fields(self)
            if (value := getattr(self, f.name)) is not None and (f.metadata["used_by"] or value != f.default)
        }
        return tomli_w.dumps(plain)


def from_mapping(values: Mapping[str, Any]) -> Recipe:
    """Return the Recipe with these fields.

    Raises:
        RecipeError: a field is unknown, or its value won't do.
    """
    _refuse_unknown(values)
    return Recipe(**values)


def from_toml(path: Path) -> Recipe:
    """Read a recipe; where it names itself nothing, the file's name becomes its name.

    Raises:
        RecipeError: the file can't be read or is no recipe; the message names the file.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"can't read the recipe {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is no TOML: {error}") from error
    try:
        return from_mapping({"name": path.stem, **values})
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    names = [f.name for f in fields(Recipe)]
    for name in values:
        if name not in names:
            raise RecipeError(f"unknown field '{name}'{right_name(name)}")


def right_name(name: str) -> str:
    """Return "; did you mean 'x'?" for the field that an unknown name most likely means, or ""."""
    plain = name.replace("-", "_").lower()
    if plain in OTHER_NAMES:
        return f"; did you mean '{OTHER_NAMES[plain]}'?"
    return nearest(plain, [f.name for f in fields(Recipe)])


def _use(f: Any, recipe: Recipe) -> tuple[bool, Any]:
    """Return whether the recipe uses the field, and its default there."""
    if f.metadata["used_by"] is None:
        return True, f.default
    parent, defaults = f.metadata["used_by"]
    value = getattr(recipe, parent)
    if isinstance(defaults, dict):
        return value in defaults, defaults.get(value)
    return bool(value), defaults


def _anywhere(recipe: Recipe) -> dict[str, str]:
    """Return the model and the data set under names that don't depend on where they lie."""
    source, _, function = recipe.model.rpartition(":")
    model = f"file:{function}" if source.endswith(".py") else recipe.model
    return {"model": model, "dataset": Path(recipe.dataset).name or recipe.dataset}


def _users(f: Any) -> str:
    _, defaults = f.metadata["used_by"]
    return " or ".join(f"'{choice}'" for choice in defaults) if isinstance(defaults, dict) else "more than 0"


def _checked(f: Any, value: Any) -> Any:
    """Return the value in the field's own type, or raise RecipeError."""
    kind = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}.get(
        f.type, "a list of whole numbers"
    )
    about = f.metadata

    def refuse(why: str) -> RecipeError:
        return RecipeError(f"field '{f.name}' = {value!r}: {why}")

    def number(item: Any, wanted: type) -> bool:
        return isinstance(item, (int, float) if wanted is float else int) and not isinstance(item, bool)

    if f.type in (int, float):
        if not number(value, f.type):
            raise refuse(f"must be {kind}")
    elif f.type in (str, bool):
        if not isinstance(value, f.type):
            raise refuse(f"must be {kind}")
    else:
        if not isinstance(value, list | tuple) or not value or not all(number(item, int) for item in value):
            raise refuse(f"must be {kind}")
        value = tuple(value)
    if about["choices"] and value not in about["choices"]:
        raise refuse(f"must be one of {', '.join(about['choices'])}{nearest(value, about['choices'])}")
    if f.type in (str, bool):
        return value
    for item in value if isinstance(value, tuple) else (value,):
        if not about["low"] <= item <= about["high"]:
            raise refuse(f"must be at least {about['low']:g} and at most {about['high']:g}")
    return float(value) if f.type is float else value
