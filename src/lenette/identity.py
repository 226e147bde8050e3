"""What makes two runs the same: the question that a run answers, and the build that answered it.

docs/IDENTITY.md states the rule in full. No file of lenette's own is hashed for it: what changes numbers carries a
version, which a test forces one to raise (tests/test_identity.py). Of a user's own network the source counts.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from torch import nn

from lenette import augment, plan, schedules
from lenette.models.structure import structure
from lenette.recipes import FIELDS_VERSION, Recipe
from lenette.records import Digest, Record

Build = dict[str, str | int]  # the engine's name and all else that decides the bits it gives for a question


class NetworkIdentity(Record, frozen=True):
    """A network before its first step: digests of its structure as traced, of its own source ("" for a shipped one),
    and of its initial weights."""

    structure: Digest
    source: str
    initial: Digest


class Question(Record, frozen=True):
    """What a run is asked: these fields decide what it is, and the build how its sums are rounded.

    `recipe` holds the fields that change numbers and are not at their default; `versions` those of the fields' meaning
    and of the code that turns them into numbers; `data` the digests of the training images and of those evaluated
    every epoch ("" for none).
    """

    versions: dict[str, int]
    recipe: dict[str, Any]
    network: NetworkIdentity
    seed: int
    data: list[str]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the question."""
        return sha256(self)


def question(
    recipe: Recipe, network: nn.Module, source: str, seed: int, data: Sequence[str], ground: bool = False
) -> Question:
    """Return the question that a run of this recipe, network, seed and data answers.

    Args:
        network: with its initial weights.
        source: the text of the user's own source, or "".
        data: digests of the training images and of the evaluated ones, or "".
        ground: whether any training image has a ground that isn't black.
    """
    identity = NetworkIdentity(
        structure=structure(network), source=source_digest(source), initial=weights(network.state_dict())
    )
    return Question(
        versions=versions(recipe, ground), recipe=numbers(recipe), network=identity, seed=seed, data=list(data)
    )


def versions(recipe: Recipe, ground: bool = False) -> dict[str, int]:
    """Return the versions of what turns this recipe into numbers; `ground` as in `question`."""
    found = {"fields": FIELDS_VERSION, "plan": plan.VERSION, "schedules": schedules.VERSION}
    fill = {"ground": augment.GROUND_VERSION} if ground else {}
    return found | ({"augment": augment.VERSION, **fill} if augment.is_on(recipe) else {})


def numbers(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of a recipe that a question holds."""
    return recipe.numbers() | ({"max_seconds": recipe.max_seconds} if recipe.max_seconds else {})


def key(question: Question, build: Build) -> str:
    """Return the key of a run, a digest (hex): the same question answered by the same build is the same run."""
    return sha256([question, build])


def differences(one: Question, other: Question) -> list[str]:
    """Return what two questions differ in: recipe, seed, data, network, its source, or versions."""
    here, there = one.network, other.network
    changed = {
        "recipe": one.recipe != other.recipe,
        "seed": one.seed != other.seed,
        "data": one.data != other.data,
        "source of the network": here.source != there.source,
        "network": here.source == there.source and (here.structure, here.initial) != (there.structure, there.initial),
        "version of lenette's arithmetic": one.versions != other.versions,
    }
    return [name for name, has in changed.items() if has]


def source_digest(text: str) -> str:
    """Return the SHA-256 (hex) of a source's text, whose line ends are \n; "" for no text."""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""


def weights(state: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 (hex) of the tensors' names, types, shapes and bytes, in the order of the names."""
    found = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().cpu().contiguous()
        found.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        found.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def sha256(value: Any) -> str:
    """Return the SHA-256 (hex) of a record or plain values, as JSON with its keys in order."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
