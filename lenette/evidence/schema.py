"""What stands in a proof's file: its form, its digest, and how it is read."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from lenette import recipes
from lenette.errors import LenetteError
from lenette.recipes import Recipe

Proof = dict[str, Any]

KIND, VERSION = "lenette proof", 1

# What stands in a proof: each value's type, `[type]` for a list of them, `{str: type}` for an object with any keys, and
# `(type, None)` where it may be null.
_MEAN = {"mean": float, "low": (float, None), "high": (float, None), "minimum": float, "maximum": float}
HEADER = {
    "kind": str,
    "version": int,
    "name": str,
    "status": str,  # "begun" or "done"
    "begun": str,
    "rule": {"accuracy": (float, None), "level": float, "seeds": [int], "words": [str]},
    "recipe": {"toml": str, "digest": str, "source_digest": str},
    "data": {
        "name": str,
        "digest": str,  # of the training images
        "num_images": int,
        "classes": [str],
        "shape": [int],
        "mean": [float],
        "std": [float],
    },
    "engine": {"name": str, "device": str, "threads": int, "build": dict},
    "parameters": int,
    "bytes": int,
}
SCHEMA = {
    **HEADER,
    "finished": str,
    "test": {"digest": str, "num_images": int, "openings": int},
    "environments": [dict],
    "runs": [
        {
            "seed": int,
            "key": str,
            "status": str,  # "done", "cut" (at max_seconds) or "diverged"
            "created": str,
            "environment": int,  # its place among the environments
            "curve": {str: [(float, None)]},  # a list for each of the epochs' figures
            # What the final weights are worth on the test images; null for a run that diverged.
            "accuracy": (float, None),
            "loss": (float, None),
            "wrong": ([int], None),  # indices of the test images
            "weights": (str, None),  # digest
            "opened": (str, None),  # when a sealed test was
        }
    ],
    "weights": {"file": (str, None), "digest": (str, None), "bytes": int},
    "summary": {
        "num_seeds": int,
        "diverged": [int],
        "before_the_rule": [int],  # seeds whose runs were made before the rule was written
        "level": float,
        "deviation": (float, None),
        **{name: (kind, None) if kind is float else kind for name, kind in _MEAN.items()},
        "best_epoch": ({**_MEAN, "optimism": float}, None),
        "seconds": {"train": float, "evaluate": float, "longest": float},
    },
    "verdict": {
        "verdict": str,  # "proven", "refuted", "undecided", or "none" where no accuracy was named
        "low": (float, None),
        "high": (float, None),
        "words": [str],
    },
    "certificate": (
        {
            "granted": bool,
            "budget": [{"name": str, "limit": float, "measured": (float, None), "met": bool, "rests_on": str}],
        },
        None,
    ),
    "digest": str,
}


def recipe_of(proof: Proof) -> Recipe:
    """Return the proof's recipe.

    Raises:
        LenetteError: it can't be read.
    """
    try:
        return recipes.from_mapping(tomllib.loads(proof["recipe"]["toml"]))
    except tomllib.TOMLDecodeError as error:
        raise LenetteError(f"the proof's recipe is no TOML: {error}") from error


def read(path: str | Path) -> Proof:
    """Return what a proof's file holds, unchecked (`verify` checks it), begun or done.

    Raises:
        LenetteError: the file can't be read, or is no proof.
    """
    try:
        proof = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse)
    except (OSError, ValueError) as error:
        raise LenetteError(f"can't read the proof {path}: {error}") from error
    if not isinstance(proof, dict) or proof.get("kind") != KIND:
        raise LenetteError(f'{path} is no proof: it has no "kind": "{KIND}"')
    if proof.get("version") != VERSION:
        raise LenetteError(f"{path} is a proof of version {proof.get('version')}; this lenette reads {VERSION}")
    return proof


def read_done(path: str | Path) -> Proof:
    """Return the proof of that file, whose form is as it should be; its figures are unchecked.

    Raises:
        LenetteError: the file can't be read, is no proof or not a whole one.
    """
    proof = read(path)
    if proof.get("status") == "begun":
        raise LenetteError(f"the proof {path} was begun and not finished: the same `lenette prove` goes on with it")
    if fault := misfit(proof, SCHEMA) or ("" if proof["status"] == "done" else f"its status is '{proof['status']}'"):
        raise LenetteError(f"{path} is not a whole proof: {fault}")
    return proof


def misfit(value: Any, schema: Any, name: str = "proof") -> str:
    """Return how a value differs from what a schema says of its form, or "" where it doesn't."""
    inside: list[tuple[Any, Any, str]] = []
    wrong = ""
    if isinstance(schema, tuple):
        inside = [] if value is None else [(value, schema[0], name)]
    elif isinstance(schema, dict):
        if not isinstance(value, dict):
            wrong = f"{name} is {value!r:.40}, not an object"
        elif str in schema:
            inside = [(item, schema[str], f"{name}.{key}") for key, item in value.items()]
        elif value.keys() != schema.keys():
            wrong = f"{name} should hold {', '.join(schema)}; it differs in {', '.join(value.keys() ^ schema.keys())}"
        else:
            inside = [(value[key], schema[key], f"{name}.{key}") for key in schema]
    elif isinstance(schema, list):
        if isinstance(value, list):
            inside = [(item, schema[0], f"{name}[{place}]") for place, item in enumerate(value)]
        else:
            wrong = f"{name} is {value!r:.40}, not a list"
    elif not isinstance(value, (int, float) if schema is float else schema) or (
        isinstance(value, bool) and schema is not bool
    ):
        wrong = f"{name} is {value!r:.40}, not of type {schema.__name__}"
    return wrong or next(filter(None, (misfit(*each) for each in inside)), "")


def digest(proof: Proof) -> str:
    """Return the SHA-256 (hex) of everything in the proof but its digest."""
    rest = {name: value for name, value in proof.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
