"""What does not fit together in a proof's file: each function yields faults, as sentences."""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from lenette import models
from lenette.evidence.rule import SAME_IMAGES, SAME_LOSS, accuracy_of, conclude, rule_in_words
from lenette.evidence.schema import Proof
from lenette.evidence.weights import is_kept
from lenette.plan import Plan
from lenette.recipes import Recipe
from lenette.runs import key_of

CURVE = {"epoch", "step", "lr", "train_loss_running", "train_accuracy_running", "train_seconds", "evaluate_seconds"}
CURVE_EVALUATED = {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}


def recipe_faults(proof: Proof, recipe: Recipe) -> Iterator[str]:
    if proof["recipe"]["digest"] != recipe.digest:
        yield "the recipe's digest is not that of the recipe"
    if proof["name"] != recipe.name:
        yield f"the proof is called '{proof['name']}', its recipe '{recipe.name}'"
    if proof["data"]["name"] not in (recipe.dataset, Path(recipe.dataset).name):
        yield f"the runs are on {proof['data']['name']}, the recipe's data set is {recipe.dataset}"
    if proof["recipe"]["source_digest"] != models.source_digest(recipe.model):
        yield f"the source of {recipe.model} is not the one that was proven"
    if recipe.protocol == "sealed" and recipe.fold != -1:
        yield f"a sealed recipe is proven on all training images (fold -1), not with fold {recipe.fold} held out"
    engine, build = proof["engine"], proof["engine"]["build"]
    device = "cpu" if build.get("device", "cpu") == "cpu" else "cuda"
    decides = {"name": build.get("engine"), "device": device, "threads": build.get("threads", engine["threads"])}
    if any(engine[name] != value for name, value in decides.items()):
        yield "the engine's name, device or threads are not those of its build"
    about = proof["data"]
    if len(about["shape"]) != 3 or min(*about["shape"], about["num_images"], proof["test"]["num_images"]) < 1:
        yield f"there are no images of the shape {about['shape']}"
    elif not len(about["mean"]) == len(about["std"]) == about["shape"][0]:
        yield f"{about['shape'][0]} channels need as many means and standard deviations"


def rule_faults(proof: Proof, recipe: Recipe) -> Iterator[str]:
    rule, seeds = proof["rule"], [run["seed"] for run in proof["runs"]]
    if not 0.5 < rule["level"] < 1:
        yield f"the rule's level is {rule['level']}"
    if not seeds or len(set(rule["seeds"])) != len(rule["seeds"]):
        yield "the rule's seeds are not distinct, or there are none"
    if seeds != rule["seeds"]:
        yield f"the rule names the seeds {rule['seeds']}, the runs are of {seeds}"
    if rule["words"] != rule_in_words(rule, recipe):
        yield "the rule's words do not say what its figures say"


def run_faults(proof: Proof, recipe: Recipe, run: Proof) -> Iterator[str]:
    """Yield what does not fit in one run's entry."""
    name, about, test = f"seed {run['seed']}", proof["data"], proof["test"]
    digests = [about["digest"], test["digest"] if recipe.protocol == "course" else ""]
    engine = proof["engine"]
    if run["key"] != key_of(recipe, run["seed"], digests, engine["build"]):
        yield f"{name}: its key is not that of this recipe, seed, data and engine"
    if not 0 <= run["environment"] < len(proof["environments"]):
        yield f"{name}: its environment is number {run['environment']} of {len(proof['environments'])}"
    elif proof["environments"][run["environment"]].get("build") != engine["build"]:
        yield f"{name}: it was made by another build of the engine than the proof names"
    if run["status"] not in ("done", "cut", "diverged"):
        yield f"{name}: its status is '{run['status']}'"
    if run["created"] > proof["finished"]:
        yield f"{name}: it was begun at {run['created']}, after the proof was finished"
    values = [run[field] for field in ("accuracy", "wrong", "weights")]
    if run["status"] == "diverged":
        if any(value is not None for value in (*values, run["loss"])):
            yield f"{name}: it diverged, and yet has a result"
    elif None in values:
        yield f"{name}: it ended, and yet has no result"
    else:
        wrong = run["wrong"]
        if wrong != sorted(set(wrong)) or not all(0 <= index < test["num_images"] for index in wrong):
            yield f"{name}: its wrong images are no ascending places among {test['num_images']:,}"
        elif run["accuracy"] != accuracy_of(wrong, test["num_images"]):
            right = accuracy_of(wrong, test["num_images"])
            yield f"{name}: {len(wrong)} wrong of {test['num_images']:,} make {right:.4%}, not {run['accuracy']:.4%}"
    yield from (f"{name}: {fault}" for fault in _curve(proof, recipe, run))


def _curve(proof: Proof, recipe: Recipe, run: Proof) -> Iterator[str]:
    """Yield what does not fit in a run's curve; a fault in its form hides those in its figures."""
    curve = run["curve"]
    per_epoch = {"test_loss", "test_accuracy"} if recipe.protocol == "course" else set()
    lengths = {len(column) for column in curve.values()}
    num_epochs = max(lengths, default=0)
    fits = {
        "done": num_epochs == recipe.epochs,
        "cut": 0 < num_epochs <= recipe.epochs and recipe.max_seconds > 0,
        "diverged": num_epochs < recipe.epochs,
    }
    if curve and not (CURVE | per_epoch <= curve.keys() <= CURVE | CURVE_EVALUATED):
        yield f"its curve has the columns {', '.join(curve)}"
    elif len(lengths) > 1:
        yield f"the columns of its curve have {' or '.join(map(str, sorted(lengths)))} epochs"
    elif not fits.get(run["status"]):
        yield f"its curve has {num_epochs} epochs, the recipe {recipe.epochs}, and its status is '{run['status']}'"
    elif any(None in curve[name] for name in curve if name in CURVE | per_epoch and not name.endswith("loss")):
        yield "figures are missing in its curve"
    elif num_epochs:
        yield from _curve_figures(proof, recipe, run)


def _curve_figures(proof: Proof, recipe: Recipe, run: Proof) -> Iterator[str]:
    curve, num_images, num_test = run["curve"], proof["data"]["num_images"], proof["test"]["num_images"]
    plan = Plan(recipe, run["seed"], num_images, (proof["data"]["shape"][1], proof["data"]["shape"][2]))
    epochs = list(range(1, len(curve["epoch"]) + 1))
    ends = [epoch * plan.steps_per_epoch for epoch in epochs]
    whole = slice(None)
    if run["status"] == "cut" and ends[-1] - plan.steps_per_epoch < curve["step"][-1] < ends[-1]:
        ends[-1] = curve["step"][-1]
        whole = slice(-1)
    if curve["epoch"] != epochs or curve["step"] != ends:
        yield "its epochs or steps are not those of the recipe"
        return
    rates = plan.rates().tolist()
    if not all(math.isclose(lr, rates[end - 1], rel_tol=1e-6) for lr, end in zip(curve["lr"], ends, strict=True)):
        yield "its learning rates are not those of the recipe"
    for name in ("train_seconds", "evaluate_seconds"):
        if any(later < sooner for sooner, later in pairwise([0, *curve[name]])):
            yield f"its {name} run backwards"
    for name, values, total in (
        ("train_accuracy_running", curve["train_accuracy_running"][whole], num_images),
        ("train_accuracy", [value for value in curve.get("train_accuracy", []) if value is not None], num_images),
        ("test_accuracy", curve.get("test_accuracy", []), num_test),
    ):
        if not all(_is_share(value, total) for value in values):
            yield f"a {name} of its curve is no share of {total:,} images"
    if "test_accuracy" in curve and run["accuracy"] is not None:
        num_others = round(abs(curve["test_accuracy"][-1] - run["accuracy"]) * num_test)
        if num_others > SAME_IMAGES:
            yield f"its last epoch differs from its result by {num_others} images"
        losses = curve["test_loss"][-1], run["loss"]
        if None not in losses and not math.isclose(*losses, rel_tol=SAME_LOSS):
            yield f"its last epoch has a test loss of {losses[0]:.6g}, its result one of {losses[1]:.6g}"


def _is_share(value: float, total: int) -> bool:
    return 0 <= value <= 1 and math.isclose(value * total, round(value * total), abs_tol=1e-6)


def conclusion_faults(proof: Proof, recipe: Recipe) -> Iterator[str]:
    concluded = conclude(proof, recipe)
    for name, value in concluded.items():
        yield from (f"{fault}, by the rule and the runs" for fault in _unequal(proof[name], value, name))
    num_ended = sum(run["weights"] is not None for run in proof["runs"])
    kept = proof["weights"]
    if kept["bytes"] != proof["bytes"] * num_ended:
        yield f"the weights have {kept['bytes']:,} bytes, not {num_ended} times {proof['bytes']:,}"
    if (kept["file"] is None) != (kept["digest"] is None) or (kept["file"] is None) == is_kept(kept["bytes"]):
        yield f"weights of {kept['bytes']:,} bytes are kept beside a proof or not, as their size says"
    if recipe.protocol == "sealed":
        ended = [run for run in proof["runs"] if run["status"] != "diverged"]
        if proof["test"]["openings"] < len(ended) or any(run["opened"] is None for run in ended):
            yield "the sealed test was opened fewer times than there are results"
    elif any(run["opened"] is not None for run in proof["runs"]) or proof["test"]["openings"]:
        yield "a test that is not sealed is said to have been opened"
    if proof["finished"] < proof["begun"]:
        yield "the proof was finished before it was begun"


def _unequal(here: Any, there: Any, name: str) -> Iterator[str]:
    """Yield where two plain values differ by more than rounding."""
    if isinstance(here, dict) and isinstance(there, dict) and here.keys() == there.keys():
        for key in here:
            yield from _unequal(here[key], there[key], f"{name}.{key}")
    elif isinstance(here, list) and isinstance(there, list) and len(here) == len(there):
        for place, pair in enumerate(zip(here, there, strict=True)):
            yield from _unequal(*pair, f"{name}[{place}]")
    elif isinstance(here, float) and isinstance(there, float | int):
        if not math.isclose(here, there, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{name} is {here}, and should be {there}"
    elif here != there or isinstance(here, bool) != isinstance(there, bool):
        yield f"{name} is {here!r:.80}, and should be {there!r:.80}"
