"""A proof's file: what stands in it, within which bounds, how it is read and written, and what must fit together in it.

Reading allocates nothing by a number that the file holds: the types below bound every one of them, and a file that
differs is refused before any is used.
"""

import math
import tomllib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from lenette import identity, models, recipes, records
from lenette.environment import Environment
from lenette.errors import LenetteError
from lenette.identity import Question
from lenette.models import Counts
from lenette.recipes import Recipe
from lenette.records import Count, Digest, Fraction, Loss, Record, Seconds
from lenette.schedules import SCHEDULES
from lenette.text import number

KIND, VERSION = "lenette proof", 2
SAME_IMAGES, SAME_LOSS = 2, 1e-3  # what an engine and PyTorch may differ by on the same weights; the loss relatively
CLOCK = timedelta(seconds=2)  # what times that are written to the second may be apart

Word = Annotated[str, Meta(max_length=2_000)]
Time = Annotated[datetime, Meta(tz=True)]
SourceDigest = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]  # of a network of one's own; "" for a shipped one
NumImages = Annotated[int, Meta(ge=1, le=100_000_000)]
Size = Annotated[int, Meta(ge=1, le=100_000)]
Channels = Annotated[list[float], Meta(min_length=1, max_length=1_000)]
Seeds = Annotated[list[Count], Meta(min_length=1, max_length=100_000)]
Rate = Annotated[float, Meta(ge=0)]


class Rule(Record, frozen=True):
    """What is to be proven: at least this accuracy in the mean (None: it is only measured) over these seeds."""

    accuracy: Fraction | None
    level: Fraction
    seeds: Seeds
    words: Annotated[list[Word], Meta(max_length=20)]


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
    device: Literal["cpu", "cuda"]
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


class Curve(Record, frozen=True):
    """The epochs' figures, a list for each, as `progress.Epoch` has them; empty where no epoch was finished."""

    epoch: Annotated[list[Count], Meta(max_length=100_000)] = []
    step: Annotated[list[Count], Meta(max_length=100_000)] = []
    lr: Annotated[list[Rate], Meta(max_length=100_000)] = []
    train_loss_running: Annotated[list[Loss], Meta(max_length=100_000)] = []
    train_accuracy_running: Annotated[list[Fraction], Meta(max_length=100_000)] = []
    train_seconds: Annotated[list[Seconds], Meta(max_length=100_000)] = []
    evaluate_seconds: Annotated[list[Seconds], Meta(max_length=100_000)] = []
    train_loss: Annotated[list[Loss], Meta(max_length=100_000)] | None = None
    train_accuracy: Annotated[list[Fraction | None], Meta(max_length=100_000)] | None = None
    test_loss: Annotated[list[Loss], Meta(max_length=100_000)] | None = None
    test_accuracy: Annotated[list[Fraction], Meta(max_length=100_000)] | None = None

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns that there are, by name."""
        every = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: column for name, column in every.items() if column is not None}


class Entry(Record, frozen=True, kw_only=True):
    """One run: what its final weights are worth on the test images, and its curve.

    `initial` and `weights` are digests of its initial and its final weights; accuracy, loss, wrong (indices of the test
    images) and weights are None for a run that diverged; `opened` is when a sealed test was opened for it.
    """

    seed: Count
    key: Digest
    status: Literal["done", "cut", "diverged"]
    created: Time
    environment: Count  # its place among the environments
    initial: Digest | None
    weights: Digest | None
    accuracy: Fraction | None
    loss: Loss
    wrong: list[Count] | None
    opened: Time | None
    curve: Curve


class Test(Record, frozen=True):
    """The images that count."""

    digest: Digest
    num_images: NumImages


class Looks(Record, frozen=True):
    """How often the store's ledger says that runs looked at the test images: those of this proof, and, before the first
    of them, others: so many times, by so many runs and recipes (None: not recorded by version 1)."""

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
    """A whole proof; `weights` names the file beside it that holds all seeds' weights, None where they are too large."""

    finished: Time
    test: Test
    looks: Looks
    environments: Annotated[list[Environment], Meta(min_length=1, max_length=100_000)]
    runs: Annotated[list[Entry], Meta(min_length=1, max_length=100_000)]
    weights: Annotated[str, Meta(pattern=r"^[^/\\\x00]{1,255}$")] | None
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
    proof = records.decode(text, Begun | Proof, path)
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


def accuracy_of(wrong: list[int], num_images: int) -> float:
    """Return the accuracy, a fraction, that leaves these images wrong."""
    return (num_images - len(wrong)) / num_images


def recipe_faults(proof: Proof, recipe: Recipe) -> Iterator[str]:
    """Yield what does not fit in what was asked: recipe, network, data and engine."""
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


def run_faults(proof: Proof, recipe: Recipe, run: Entry) -> Iterator[str]:
    """Yield what does not fit in one run's entry."""
    if proof.version == VERSION and run.key != _key(proof, recipe, run):
        yield "its key is not that of this recipe, network, seed, data and engine"
    if run.environment >= len(proof.environments):
        yield f"its environment is number {run.environment} of {len(proof.environments)}"
    ended = run.created + timedelta(seconds=sum(column[-1] for column in _clocks(run) if column))
    if not (ended - CLOCK <= proof.finished and (run.opened is None or run.opened <= proof.finished)):
        yield f"it was begun at {run.created}, and by its seconds ended after the proof was finished"
    if (run.opened is not None) != (recipe.protocol == "sealed" and run.status != "diverged"):
        yield "a sealed test is opened for each run that ended, and no other"
    values = [run.accuracy, run.wrong, run.weights]
    if run.status == "diverged":
        if any(value is not None for value in (*values, run.loss)):
            yield "it diverged, and yet has a result"
    elif None in values:
        yield "it ended, and yet has no result"
    else:
        yield from _result(run, proof.test.num_images)
    yield from _curve(proof, recipe, run)


def _key(proof: Proof, recipe: Recipe, run: Entry) -> str:
    assert proof.versions is not None and proof.numbers is not None and proof.network.structure is not None
    network = identity.NetworkIdentity(
        structure=proof.network.structure, source=proof.network.digest, initial=run.initial or ""
    )
    data = [proof.data.digest, proof.test.digest if recipe.protocol == "course" else ""]
    question = Question(versions=proof.versions, recipe=proof.numbers, network=network, seed=run.seed, data=data)
    return identity.key(question, proof.engine.build)


def _clocks(run: Entry) -> tuple[list[float], list[float]]:
    return run.curve.train_seconds, run.curve.evaluate_seconds


def _result(run: Entry, num_images: int) -> Iterator[str]:
    wrong = run.wrong or []
    if any(later <= sooner for sooner, later in pairwise([-1, *wrong])) or (wrong and wrong[-1] >= num_images):
        yield f"its wrong images are no ascending places among {num_images:,}"
    elif run.accuracy != accuracy_of(wrong, num_images):
        right = accuracy_of(wrong, num_images)
        yield f"{len(wrong)} wrong of {num_images:,} make {right:.4%}, not {run.accuracy:.4%}"


def _curve(proof: Proof, recipe: Recipe, run: Entry) -> Iterator[str]:
    """Yield what does not fit in a run's curve; a fault in its form hides those in its figures."""
    columns = run.curve.columns()
    lengths = {len(column) for column in columns.values()}
    num_epochs = max(lengths)
    fits = {
        "done": num_epochs == recipe.epochs,
        "cut": 0 < num_epochs <= recipe.epochs and recipe.max_seconds > 0,
        "diverged": num_epochs < recipe.epochs,
    }
    if len(lengths) > 1:
        yield f"the columns of its curve have {' or '.join(map(str, sorted(lengths)))} epochs"
    elif not fits[run.status]:
        yield f"its curve has {num_epochs} epochs, the recipe {recipe.epochs}, and its status is '{run.status}'"
    elif num_epochs and (recipe.protocol == "course") != (run.curve.test_accuracy is not None):
        yield "the course protocol looks at the test images every epoch, and no other does"
    elif (run.curve.test_accuracy is None) != (run.curve.test_loss is None):
        yield "its curve has one of the test's accuracy and loss"
    elif num_epochs:
        yield from _curve_figures(proof, recipe, run)


def _curve_figures(proof: Proof, recipe: Recipe, run: Entry) -> Iterator[str]:
    curve, num_images = run.curve, proof.data.num_images
    steps = -(-num_images // recipe.batch_size)
    epochs = list(range(1, len(curve.epoch) + 1))
    ends = [epoch * steps for epoch in epochs]
    whole = slice(None)
    if run.status == "cut" and ends[-1] - steps < curve.step[-1] < ends[-1]:
        ends[-1] = curve.step[-1]
        whole = slice(-1)
    if curve.epoch != epochs or curve.step != ends:
        yield "its epochs or steps are not those of the recipe"
        return
    rates = [recipe.lr * SCHEDULES[recipe.schedule](recipe, end - 1, steps) for end in ends]
    if not all(math.isclose(lr, rate, rel_tol=1e-6) for lr, rate in zip(curve.lr, rates, strict=True)):
        yield "its learning rates are not those of the recipe"
    for column in _clocks(run):
        if any(later < sooner for sooner, later in pairwise([0, *column])):
            yield "its seconds run backwards"
    for name, values, total in (
        ("train_accuracy_running", curve.train_accuracy_running[whole], num_images),
        ("train_accuracy", [value for value in curve.train_accuracy or [] if value is not None], num_images),
        ("test_accuracy", curve.test_accuracy or [], proof.test.num_images),
    ):
        if not all(math.isclose(value * total, round(value * total), abs_tol=1e-6) for value in values):
            yield f"a {name} of its curve is no share of {total:,} images"
    if curve.test_accuracy and curve.test_loss and run.accuracy is not None:
        num_others = round(abs(curve.test_accuracy[-1] - run.accuracy) * proof.test.num_images)
        if num_others > SAME_IMAGES:
            yield f"its last epoch differs from its result by {num_others} images"
        if not same_loss(curve.test_loss[-1], run.loss):
            yield f"its last epoch has a test loss of {number(curve.test_loss[-1])}, its result {number(run.loss)}"


def same_loss(one: float | None, other: float | None) -> bool:
    """Say whether two losses agree as those of the same weights do; None stands for one that isn't finite."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=SAME_LOSS)
