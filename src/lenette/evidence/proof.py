"""A proof's file: what stands in it, within which bounds, how it is read and written, and what must fit together in it.

Reading allocates nothing by a number that the file holds: the types below bound every one of them, and a file that
differs is refused before any is used.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from lenette import identity, models, recipes, records
from lenette.data import Dataset
from lenette.environment import Environment
from lenette.errors import LenetteError
from lenette.evidence.entry import Entry, Time
from lenette.models import Counts
from lenette.recipes import Recipe
from lenette.records import Count, Digest, Fraction, Record, Seconds

KIND: Literal["lenette proof"] = "lenette proof"
VERSION: Literal[2] = 2

Word = Annotated[str, Meta(max_length=2_000)]
SourceDigest = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]  # of a network of one's own; "" for a shipped one
NumImages = Annotated[int, Meta(ge=1, le=100_000_000)]
Size = Annotated[int, Meta(ge=1, le=100_000)]
FileName = Annotated[str, Meta(pattern=r"^[^/\\\x00]{1,255}$")]
Channels = Annotated[list[float], Meta(min_length=1, max_length=1_000)]
Seeds = Annotated[list[Count], Meta(min_length=1, max_length=100_000)]


class Rule(Record, frozen=True):
    """What is to be proven: at least this accuracy in the mean (None: it is only measured) over these seeds."""

    accuracy: Fraction | None
    level: Fraction
    seeds: Seeds
    words: Annotated[list[Annotated[str, Meta(max_length=2_000_000)]], Meta(max_length=20)]


class Data(Record, frozen=True):
    """The images that were trained on."""

    name: Word
    digest: Digest
    num_images: NumImages
    classes: Annotated[list[Word], Meta(min_length=1, max_length=100_000)]
    shape: Annotated[list[Size], Meta(min_length=3, max_length=3)]
    mean: Channels
    std: Channels


class Engine(Record, frozen=True):
    """The engine that all runs were made by."""

    name: Word
    device: str
    threads: Annotated[int, Meta(ge=1, le=1024)]
    build: Annotated[dict[str, str | int], Meta(max_length=100)]


class Network(Record, frozen=True):
    """The network: its structure (None: not recorded by version 1), its author's own source, and its size.

    `source` is the text of the file, "" for a shipped network or a module's; `digest` that of the text of either.
    """

    structure: Digest | None
    source: Annotated[str, Meta(max_length=1_000_000)]
    digest: SourceDigest
    counts: Counts
    bytes: Count


class Test(Record, frozen=True):
    """The images that count."""

    digest: Digest
    num_images: NumImages


class Looks(Record, frozen=True):
    """How often the store's ledger says that runs looked at the test images: those of this proof, and, before the rule
    or the first of them, others: so many times, by so many runs and recipes (None: not recorded by version 1)."""

    own: Count
    before: Count | None
    runs: Count | None
    recipes: Count | None


class Best(Record, frozen=True):
    """The seeds' best epochs, chosen on the test images: their mean, its interval, and how far it lies above the last
    epochs' mean."""

    mean: float
    low: float | None
    high: float | None
    minimum: float
    maximum: float
    above_last: float


class Summary(Record, frozen=True, kw_only=True):
    """What the runs came to; `low` to `high` is Student's interval of the mean at `level`."""

    num_seeds: Count
    diverged: list[Count]
    collapsed: list[Count]
    before_the_rule: list[Count]  # seeds whose runs were made before the rule was written
    level: float
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    median: float | None
    minimum: float | None
    maximum: float | None
    best_epoch: Best | None
    train_seconds: Seconds
    evaluate_seconds: Seconds
    longest_seconds: Seconds


class Verdict(Record, frozen=True):
    """What the rule says of the runs: the verdict, "none" where no accuracy was named, and its two one-sided bounds."""

    verdict: Literal["proven", "refuted", "undecided", "none"]
    low: float | None
    high: float | None


class Limit(Record, frozen=True):
    """One limit of the recipe's budget, what was measured, and what that rests on."""

    name: Literal["max_parameters", "max_bytes", "max_epochs", "max_seconds"]
    limit: int | float
    measured: int | float | None
    met: bool
    rests_on: Literal["the weights", "the record"]


class Begun(Record, frozen=True, kw_only=True, tag_field="status", tag="begun"):
    """All that is known of a proof before its first run; the file holds it alone until the last run has ended.

    `recipe` is its TOML, where a file of the author's own is named without its folder; `asked` the part of the runs'
    `identity.Question` that they share: versions, and the recipe's numbers (None in version 1).
    """

    kind: Literal["lenette proof"] = KIND
    version: Literal[1, 2] = VERSION
    name: Word
    begun: Time
    rule: Rule
    recipe: Annotated[str, Meta(max_length=100_000)]
    versions: dict[str, int] | None
    numbers: dict[str, Any] | None
    data: Data
    engine: Engine
    network: Network


class Proof(Begun, frozen=True, kw_only=True, tag="done"):
    """A whole proof; `weights` names the file beside it with all seeds' weights, None where they are too large."""

    finished: Time
    test: Test
    looks: Looks
    environments: Annotated[list[Environment], Meta(min_length=1, max_length=100_000)]
    runs: Annotated[list[Entry], Meta(min_length=1, max_length=100_000)]
    weights: FileName | None
    summary: Summary
    verdict: Verdict
    budget: list[Limit]
    digest: str


class _Head(msgspec.Struct):
    kind: str = ""
    version: int = 0


def read(path: str | Path) -> Begun:
    """Return what a proof's file holds, a Proof where it is done; its form and bounds are checked, its figures not.

    Raises:
        LenetteError: the file can't be read, is no proof, or differs in form; the field is named.
    """
    path = Path(path)
    text = records.content(path)
    try:
        head = records.decode(text, _Head, path)
    except LenetteError as error:
        raise LenetteError(f"{path} is no proof: {error}") from error
    if head.kind != KIND:
        raise LenetteError(f'{path} is no proof: it has no "kind": "{KIND}"')
    if head.version == 1:
        from lenette.evidence import version1

        return version1.read(path, text)
    if head.version != VERSION:
        raise LenetteError(f"{path} is a proof of version {head.version}; this lenette reads 1 and {VERSION}")
    proof: Begun = records.decode(text, cast("type[Begun]", Begun | Proof), path)
    if proof.versions is None or proof.numbers is None or proof.network.structure is None:
        raise LenetteError(f"{path} is damaged: versions, numbers and structure may be left out by version 1 alone")
    return proof


def read_done(path: str | Path) -> Proof:
    """Return the whole proof of that file, as `read` does.

    Raises:
        LenetteError: as there, and where the proof was begun and not finished.
    """
    proof = read(path)
    if not isinstance(proof, Proof):
        raise LenetteError(f"the proof {path} was begun and not finished: the same `lenette prove` goes on with it")
    return proof


def write(path: Path, proof: Begun) -> None:
    """Write a proof, begun or done, at once or not at all."""
    records.write(path, proof)


def sealed_up(proof: Proof) -> Proof:
    """Return the proof with its digest, the SHA-256 (hex) of all else in it."""
    return msgspec.structs.replace(proof, digest=identity.sha256(msgspec.structs.replace(proof, digest="")))


def recipe_of(proof: Begun) -> Recipe:
    """Return the proof's recipe.

    Raises:
        LenetteError: it can't be read.
    """
    try:
        return recipes.from_mapping(tomllib.loads(proof.recipe))
    except (ValueError, RecursionError) as error:
        raise LenetteError(f"the proof's recipe is no TOML: {error}") from error


def file_faults(proof: Proof) -> Iterator[str]:
    """Yield whether the file was changed."""
    if proof.digest != sealed_up(proof).digest:
        yield "the file was changed after it was written"


def recipe_faults(proof: Proof, recipe: Recipe) -> Iterator[str]:
    """Yield what does not fit in what was asked: recipe, network, data and engine."""
    if proof.versions is not None:
        here = identity.versions(recipe, "ground" in proof.versions)
        if proof.versions.keys() != here.keys() or any(not 1 <= proof.versions[name] <= here[name] for name in here):
            yield f"its runs are of versions {proof.versions}; this lenette knows {here}"
        elif proof.versions["fields"] == here["fields"] and proof.numbers != identity.numbers(recipe):
            yield "the recipe's numbers, which decide its runs' keys, are not those of its text"
    if proof.name != recipe.name:
        yield f"the proof is called '{proof.name}', its recipe '{recipe.name}'"
    if proof.data.name not in (recipe.dataset, Path(recipe.dataset).name):
        yield f"the runs are on {proof.data.name}, the recipe's data set is {recipe.dataset}"
    if recipe.protocol == "sealed" and recipe.fold != -1:
        yield f"a sealed recipe is proven on all training images (fold -1), not with fold {recipe.fold} held out"
    if (recipe.model in models.MODELS) != (proof.network.digest == ""):
        yield f"the network {recipe.model} is shipped, and has a source, or is not, and has none"
    if proof.network.source and identity.source_digest(proof.network.source) != proof.network.digest:
        yield "the source of the network is not the one whose digest is recorded"
    engine, build = proof.engine, proof.engine.build
    device = "cpu" if build.get("device", "cpu") == "cpu" else "cuda"
    decides = {"name": build.get("engine"), "device": device, "threads": build.get("threads", engine.threads)}
    if any(getattr(engine, name) != value for name, value in decides.items()):
        yield "the engine's name, device or threads are not those of its build"
    data = proof.data
    if not len(data.mean) == len(data.std) == data.shape[0]:
        yield f"{data.shape[0]} channels need as many means and standard deviations"
    if len(set(data.classes)) != len(data.classes):
        yield "two classes have one name"
    if proof.test.digest == data.digest:
        yield "the test images are the training images"


def data_faults(proof: Proof, train: Dataset, test: Dataset) -> Iterator[str]:
    """Yield which of the recorded images, and of what is known of them, are not those that are here."""
    about = proof.data
    held = {
        "training images": (about.digest, train.digest),
        "number of training images": (about.num_images, len(train)),
        "classes": (about.classes, list(train.classes)),
        "image size": (about.shape, list(train.images.shape[1:])),
        "means": (about.mean, list(train.mean)),
        "standard deviations": (about.std, list(train.std)),
        "test images": (proof.test.digest, test.digest),
        "number of test images": (proof.test.num_images, len(test)),
    }
    yield from (f"the {name} of {about.name} are others here" for name, (there, here) in held.items() if there != here)
