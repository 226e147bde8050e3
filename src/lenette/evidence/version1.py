"""Proofs of version 1 (until November 2026): read as those of today, and held to the rules that they were written by.

Nothing is granted to them that is not to others: what they lack is None, and `verify` recomputes the same figures.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, structs

from lenette import recipes, records
from lenette.environment import Environment
from lenette.errors import LenetteError
from lenette.evidence import proof as today
from lenette.evidence.entry import Curve, Ended, Entry, Time
from lenette.evidence.proof import Begun, Proof, SourceDigest, Word
from lenette.evidence.rule import conclude, unequal, verdict_words
from lenette.models import Counts
from lenette.recipes import Recipe
from lenette.records import Count, Digest, Record


class _Recipe(Record, frozen=True):
    toml: Annotated[str, Meta(max_length=100_000)]
    digest: Digest
    source_digest: SourceDigest


class _Test(Record, frozen=True):
    digest: Digest
    num_images: today.NumImages
    openings: Count


class _Run(Record, frozen=True, kw_only=True):
    seed: Count
    key: Digest
    status: Ended
    created: Time
    environment: Count
    curve: Curve
    accuracy: records.Fraction | None
    loss: records.Loss
    wrong: list[Count] | None
    weights: Digest | None
    opened: Time | None


class _Weights(Record, frozen=True):
    file: today.FileName | None
    digest: Digest | None
    bytes: Count


class _Proof(Record, frozen=True, kw_only=True):
    kind: str
    version: Literal[1]
    name: Word
    status: Literal["done"]
    begun: Time
    rule: today.Rule
    recipe: _Recipe
    data: today.Data
    engine: today.Engine
    parameters: Count
    bytes: Count
    finished: Time
    test: _Test
    environments: Annotated[list[Environment], Meta(min_length=1, max_length=100_000)]
    runs: Annotated[list[_Run], Meta(min_length=1, max_length=100_000)]
    weights: _Weights
    summary: dict[str, Any]
    verdict: dict[str, Any]
    certificate: dict[str, Any] | None
    digest: str


class _Status(msgspec.Struct):
    status: str = ""


def read(path: Path, text: bytes) -> Proof:
    """Return the proof of version 1 that the text holds, as one of today, what it concludes drawn anew from its runs.

    Its budget counts what version 1 did, the trainable parameters; `verify` counts the network's others.

    Raises:
        LenetteError: it differs in form, or was begun and not finished.
    """
    old = _decode(path, text)
    begun = Begun(
        version=1,
        name=old.name,
        begun=old.begun,
        rule=old.rule,
        recipe=old.recipe.toml,
        versions=None,
        numbers=None,
        data=old.data,
        engine=old.engine,
        network=today.Network(None, "", old.recipe.source_digest, Counts(old.parameters, 0, 0, 0), old.bytes),
    )
    recipe = today.recipe_of(begun)
    own = old.test.openings if recipe.protocol == "sealed" else len(old.runs)
    entries = [Entry(initial=None, **structs.asdict(run)) for run in old.runs]
    return Proof(
        **structs.asdict(begun),
        finished=old.finished,
        test=today.Test(old.test.digest, old.test.num_images),
        looks=today.Looks(own, None, None, None),
        environments=old.environments,
        runs=entries,
        weights=old.weights.file,
        **structs.asdict(conclude(begun, entries, recipe)),
        digest=old.digest,
    )


def faults(path: Path, proof: Proof, recipe: Recipe) -> Iterator[str]:
    """Yield what does not fit in a file of version 1 and is no longer in the proof that was read from it."""
    text = records.content(path)
    old = _decode(path, text)
    plain = json.loads(text)
    written = plain.pop("digest")
    if written != hashlib.sha256(json.dumps(plain, sort_keys=True, allow_nan=False).encode()).hexdigest():
        yield "the file was changed after it was written"
    if old.recipe.digest != recipes.digest_v1(recipe):
        yield "the recipe's digest is not that of the recipe"
    build = old.engine.build
    data = [old.data.digest, old.test.digest if recipe.protocol == "course" else ""]
    for run in old.runs:
        decides = [old.recipe.digest, old.recipe.source_digest, run.seed, data, build, recipe.max_seconds]
        if run.key != hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest():
            yield f"seed {run.seed}: its key is not that of this recipe, network, seed, data and engine"
    if any(environment.build != build for environment in old.environments):
        yield "a run was made by another build of the engine than the proof names"
    if old.weights.bytes != old.bytes * sum(run.weights is not None for run in old.runs):
        yield f"the weights of all runs have {old.weights.bytes:,} bytes: that is not their number times {old.bytes:,}"
    if (old.weights.file is None) != (old.weights.digest is None):
        yield "a file of weights has a digest, and no other"
    kept = path.parent / (old.weights.file or "")
    if kept.is_file() and kept.stat().st_size <= records.MAX_BYTES and _sha256(kept) != old.weights.digest:
        yield f"{kept} is not the file of weights that the proof was written with"
    for name, value in concluded(proof).items():
        yield from (f"{fault}, by the rule and the runs" for fault in unequal(plain[name], value, name))


def concluded(proof: Proof) -> dict[str, Any]:
    """Return what version 1 wrote as conclusions of a proof, in its form."""
    summary, verdict = records.plain(proof.summary), records.plain(proof.verdict)
    best = summary.pop("best_epoch")
    seconds = {name: summary.pop(f"{name}_seconds") for name in ("train", "evaluate", "longest")}
    told = verdict_words(proof, structs.replace(proof.summary, collapsed=[]), proof.verdict)
    proven = proof.verdict.verdict == "proven" and all(limit.met for limit in proof.budget)
    return {
        "summary": {
            **_without(summary, "collapsed", "median"),
            "best_epoch": best and {**_without(best, "above_last"), "optimism": best["above_last"]},
            "seconds": seconds,
        },
        "verdict": {**verdict, "words": told},
        "certificate": {"granted": proven, "budget": records.plain(proof.budget)} if proof.budget else None,
    }


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _decode(path: Path, text: bytes) -> _Proof:
    if records.decode(text, _Status, path).status == "begun":
        raise LenetteError(f"the proof {path} was begun by version 1 and can't go on: begin anew with another --out")
    return records.decode(text, _Proof, path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
