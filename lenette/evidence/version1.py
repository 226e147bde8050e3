"""Proofs of version 1 (until November 2026): read as those of today, and held to the rules that they were written by.

Nothing is granted to them that is not to others: what they lack is None, and `verify` recomputes the same figures.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, structs

from lenette import recipes, records
from lenette.environment import Environment
from lenette.errors import LenetteError
from lenette.evidence import proof as today
from lenette.evidence.entry import Curve, Entry, Time
from lenette.evidence.proof import Proof, SourceDigest, Word
from lenette.evidence.rule import spread_of, verdict_words
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
    status: Literal["done", "cut", "diverged"]
    created: Time
    environment: Count
    curve: Curve
    accuracy: records.Fraction | None
    loss: records.Loss
    wrong: list[Count] | None
    weights: Digest | None
    opened: Time | None


class _Weights(Record, frozen=True):
    file: Annotated[str, Meta(pattern=r"^[^/\\\x00]{1,255}$")] | None
    digest: Digest | None
    bytes: Count


class _Best(Record, frozen=True):
    mean: float
    low: float | None
    high: float | None
    minimum: float
    maximum: float
    optimism: float


class _Times(Record, frozen=True):
    train: records.Seconds
    evaluate: records.Seconds
    longest: records.Seconds


class _Summary(Record, frozen=True, kw_only=True):
    num_seeds: Count
    diverged: list[Count]
    before_the_rule: list[Count]
    level: float
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    minimum: float | None
    maximum: float | None
    best_epoch: _Best | None
    seconds: _Times


class _Verdict(Record, frozen=True):
    verdict: Literal["proven", "refuted", "undecided", "none"]
    low: float | None
    high: float | None
    words: list[Word]


class _Certificate(Record, frozen=True):
    granted: bool
    budget: list[today.Limit]


class Proof1(Record, frozen=True, kw_only=True):
    """A whole proof of version 1."""

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
    summary: _Summary
    verdict: _Verdict
    certificate: _Certificate | None
    digest: str


_OTHERWISE = ("best_epoch", "seconds")


def read(path: Path, text: bytes) -> Proof:
    """Return the proof of version 1 that the text holds, as one of today.

    Its budget counts what version 1 did, the trainable parameters; `verify` counts the network's others.

    Raises:
        LenetteError: it differs in form, or was begun and not finished.
    """
    old = _decode(path, text)
    summary, best = old.summary, old.summary.best_epoch
    ended = {run.seed: run.accuracy for run in old.runs if run.accuracy is not None}
    spread = {name: spread_of(list(ended), list(ended.values()))[name] for name in ("collapsed", "median")}
    kept = {name: getattr(old, name) for name in ("name", "begun", "rule", "data", "engine", "finished")}
    return Proof(
        version=1,
        recipe=old.recipe.toml,
        versions=None,
        numbers=None,
        network=today.Network(None, "", old.recipe.source_digest, Counts(old.parameters, 0, 0, 0), old.bytes),
        test=today.Test(old.test.digest, old.test.num_images),
        looks=today.Looks(old.test.openings, None, None, None),
        environments=old.environments,
        runs=[Entry(initial=None, **{name: getattr(run, name) for name in _Run.__struct_fields__}) for run in old.runs],
        weights=old.weights.file,
        summary=today.Summary(
            **{name: getattr(summary, name) for name in _Summary.__struct_fields__ if name not in _OTHERWISE} | spread,
            best_epoch=None
            if best is None
            else today.Best(best.mean, best.low, best.high, best.minimum, best.maximum, best.optimism),
            train_seconds=summary.seconds.train,
            evaluate_seconds=summary.seconds.evaluate,
            longest_seconds=summary.seconds.longest,
        ),
        verdict=today.Verdict(old.verdict.verdict, old.verdict.low, old.verdict.high),
        budget=old.certificate.budget if old.certificate else [],
        digest=old.digest,
        **kept,
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
    if old.weights.digest not in (None, _sha256(path.parent / str(old.weights.file)) or old.weights.digest):
        yield f"{old.weights.file} is not the file of weights that the proof was written with"
    if old.verdict.words != verdict_words(proof, structs.replace(proof.summary, collapsed=[]), proof.verdict):
        yield "the verdict's words do not say what its figures say"
    proven = old.verdict.verdict == "proven" and all(limit.met for limit in proof.budget)
    if old.certificate is not None and old.certificate.granted != proven:
        yield "the certificate is not what the verdict and the budget say"
    if (old.certificate is None) != (not proof.budget):
        yield "a certificate is of a budget"


def _decode(path: Path, text: bytes) -> Proof1:
    if records.decode(text, _Status, path).status == "begun":
        raise LenetteError(f"the proof {path} was begun by version 1 and can't go on: begin anew with another --out")
    return records.decode(text, Proof1, path)


class _Status(msgspec.Struct):
    status: str = ""


def _sha256(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > records.MAX_BYTES:
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()
