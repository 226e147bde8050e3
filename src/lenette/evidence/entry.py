"""One run of a proof: what is kept of it, and what must fit together in that."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from lenette import identity
from lenette.identity import NetworkIdentity, Question
from lenette.recipes import Recipe
from lenette.records import Count, Digest, Fraction, Loss, Record, Seconds
from lenette.schedules import SCHEDULES
from lenette.text import number

if TYPE_CHECKING:
    from lenette.evidence.proof import Proof

SAME_IMAGES, SAME_LOSS = 2, 1e-3  # what an engine and PyTorch may differ by on the same weights; the loss relatively
CLOCK = timedelta(seconds=2)  # what times that are written to the second may be apart

Time = Annotated[datetime, Meta(tz=True)]
Ended = Literal["done", "cut", "diverged"]
Rate = Annotated[float, Meta(ge=0)]
MAX_EPOCHS = Meta(max_length=100_000)


class Curve(Record, frozen=True):
    """The epochs' figures, a list for each, as `progress.Epoch` has them; empty where no epoch was finished."""

    epoch: Annotated[tuple[Count, ...], MAX_EPOCHS] = ()
    step: Annotated[tuple[Count, ...], MAX_EPOCHS] = ()
    lr: Annotated[tuple[Rate, ...], MAX_EPOCHS] = ()
    train_loss_running: Annotated[tuple[Loss, ...], MAX_EPOCHS] = ()
    train_accuracy_running: Annotated[tuple[Fraction, ...], MAX_EPOCHS] = ()
    train_seconds: Annotated[tuple[Seconds, ...], MAX_EPOCHS] = ()
    evaluate_seconds: Annotated[tuple[Seconds, ...], MAX_EPOCHS] = ()
    train_loss: Annotated[tuple[Loss, ...], MAX_EPOCHS] | None = None
    train_accuracy: Annotated[tuple[Fraction | None, ...], MAX_EPOCHS] | None = None
    test_loss: Annotated[tuple[Loss, ...], MAX_EPOCHS] | None = None
    test_accuracy: Annotated[tuple[Fraction, ...], MAX_EPOCHS] | None = None

    def columns(self) -> dict[str, tuple[Any, ...]]:
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
    status: Ended
    created: Time
    environment: Count  # its place among the environments
    initial: Digest | None
    weights: Digest | None
    accuracy: Fraction | None
    loss: Loss
    wrong: list[Count] | None
    opened: Time | None
    curve: Curve


def accuracy_of(wrong: list[int], num_images: int) -> float:
    """Return the accuracy, a fraction, that leaves these images wrong."""
    return (num_images - len(wrong)) / num_images


def run_faults(proof: "Proof", recipe: Recipe, run: Entry) -> Iterator[str]:
    """Yield what does not fit in one run's entry."""
    if proof.version != 1 and run.key != _key(proof, recipe, run):
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


def _key(proof: "Proof", recipe: Recipe, run: Entry) -> str:
    assert proof.versions is not None
    assert proof.numbers is not None
    assert proof.network.structure is not None
    network = NetworkIdentity(structure=proof.network.structure, source=proof.network.digest, initial=run.initial or "")
    data = [proof.data.digest, proof.test.digest if recipe.protocol == "course" else ""]
    question = Question(versions=proof.versions, recipe=proof.numbers, network=network, seed=run.seed, data=data)
    return identity.key(question, proof.engine.build)


def _clocks(run: Entry) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return run.curve.train_seconds, run.curve.evaluate_seconds


def _result(run: Entry, num_images: int) -> Iterator[str]:
    wrong = run.wrong or []
    if any(later <= sooner for sooner, later in pairwise([-1, *wrong])) or (wrong and wrong[-1] >= num_images):
        yield f"its wrong images are no ascending places among {num_images:,}"
    elif run.accuracy != accuracy_of(wrong, num_images):
        right = accuracy_of(wrong, num_images)
        yield f"{len(wrong)} wrong of {num_images:,} make {right:.4%}, not {run.accuracy:.4%}"


def _curve(proof: "Proof", recipe: Recipe, run: Entry) -> Iterator[str]:
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


def _curve_figures(proof: "Proof", recipe: Recipe, run: Entry) -> Iterator[str]:
    curve, num_images = run.curve, proof.data.num_images
    steps = -(-num_images // recipe.batch_size)
    epochs = range(1, len(curve.epoch) + 1)
    ends = [epoch * steps for epoch in epochs]
    whole = slice(None)
    if run.status == "cut" and ends[-1] - steps < curve.step[-1] < ends[-1]:
        ends[-1] = curve.step[-1]
        whole = slice(-1)
    if curve.epoch != tuple(epochs) or curve.step != tuple(ends):
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
