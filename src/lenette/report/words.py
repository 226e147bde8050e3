"""The facts of a run in words: the sentences that the page and the terminal share."""

from typing import Any

from lenette.report.facts import BudgetRow, ClaimRow, DatasetFacts, Facts, facts
from lenette.runs import Run
from lenette.text import count, duration, percent, percent_interval, points

BUDGETS = {
    "max_parameters": ("parameters", "{:,}"),
    "max_epochs": ("epochs", "{:,}"),
    "max_seconds": ("seconds of training", "{:,.1f}"),
    "max_bytes": ("bytes of weights", "{:,}"),
}
QUANTITIES = {
    "train_accuracy_running": "train accuracy (running mean of the epoch)",
    "test_accuracy": "test accuracy",
}


def lines(run: Run) -> list[str]:
    """Return what a run came to, in a few lines of plain text."""
    known = facts(run)
    text = [f"{known.id}: {known.model} on {known.dataset.description}, {known.protocol} protocol"]
    if warning := not_mnist(known.dataset):
        text.append(f"*** {warning} ***")
    text += [sentence for sentence in (result(known), trouble(known), train(known), best(known)) if sentence]
    text += sealed(known)
    text += [f"budget: {budget(row)}" for row in known.budget]
    text += [f"document {known.document}: {claim(row)}" for row in known.claims]
    if text_of_changes := changes(known):
        text.append(text_of_changes)
    if known.train_seconds is not None:
        text.append(f"{duration(known.train_seconds)} of training ({known.engine} engine); {milestones(known)}")
    return [*text, f"files: {known.folder}"]


def not_mnist(dataset: DatasetFacts) -> str:
    """Return the warning for the digits that stand in for MNIST where it can't be had."""
    return f"This is not MNIST: every figure here is of {dataset.description}" if dataset.name == "optdigits" else ""


def result(known: Facts) -> str:
    """Return the run's result in one sentence, with its interval where the run has ended."""
    found, last, epochs = known.result, known.last, count(known.epochs_done, "epoch")
    if found:
        text = (
            f"{percent(found.accuracy)} of the {found.num_images:,} {found.part} images right after {epochs} "
            f"({found.num_errors:,} wrong)"
        )
        return f"{text}; 95 % interval {percent_interval(*found.interval)}" if known.part else text
    if last is None:
        return "No epoch was finished: there is no result"
    part = known.part or "train"
    accuracy = last.accuracy if known.part else last.train_accuracy_running
    return f"{percent(accuracy)} of the {part} images right after {epochs} of {known.epochs}; the run has not ended"


def trouble(known: Facts) -> str:
    """Return why the run is not a whole one, or ""."""
    status, at, done = known.status, known.diverged_at, count(known.epochs_done, "epoch")
    if at:
        return (
            f"The run diverged: the loss was no longer a finite number at step {at.step:,} (epoch {at.epoch}), "
            f"where the learning rate was {at.lr:g}. A smaller one, a schedule that warms up (onecycle) or "
            "batch-norm may help"
        )
    if status == "interrupted":
        return (
            f"The run was interrupted after {done} of {known.epochs}; it goes on with: lenette resume {known.argument}"
        )
    if status == "running":
        return f"The run is still being trained: {done} of {known.epochs} so far"
    if status == "cut":
        return f"The run was cut at its budget of seconds, after {done} of {known.epochs}"
    return ""


def train(known: Facts) -> str:
    """Return what the training images are worth, in evaluation mode and without augmentation."""
    found, last = known.train, known.last
    if not found or not last or not known.part:
        return ""
    return (
        f"train: {percent(found.accuracy)} of {found.num_images:,} images, without augmentation "
        f"(running mean of the last epoch {percent(last.train_accuracy_running)})"
    )


def best(known: Facts) -> str:
    """Return how far the best epoch lies above the last, and what to think of that."""
    if known.best is None or known.above_last is None:
        return ""
    if not known.above_last:
        return "no epoch was better than the last"
    best = f"best epoch {percent(known.best.accuracy)} (epoch {known.best.epoch})"
    more = f"{points(known.above_last).removeprefix('+')} points above the last"
    return f"{best}, {more}: choosing an epoch on these images flatters"


def scope(known: Facts) -> str:
    """Return what the result's interval speaks of, and what it doesn't."""
    if known.part is None:
        return "No images were held out: these are the ones that it was trained on, and nothing is said of others."
    text = (
        "The interval is Wilson's, at 95 %: it takes these images as drawn by chance and the weights as given, so that "
        "it speaks of other images of the same kind, and not of other seeds."
    )
    if known.protocol == "course":
        return f"{text} Under the course protocol the test images were looked at after every epoch."
    return f"{text} The validation images were held out of the training, to guide every choice."


def choice(known: Facts) -> str:
    """Return what the difference between the best epoch and the last one means."""
    return (
        f"The best epoch is chosen with the {known.part} images that are quoted, which flatters; where the last one "
        "fared badly, that is in the difference too. The last epoch is the result."
    )


def sealed(known: Facts) -> list[str]:
    """Return what a reader must know of a sealed test set: that it wasn't opened, or each opening."""
    openings = known.openings
    if known.protocol == "sealed" and not openings:
        return ["sealed: the test set was not opened"]
    return [
        f"opening {place} of {len(openings)} ({opening.time[:10]}): {percent(opening.accuracy)} of the "
        f"{opening.num_images:,} {opening.part} images of {opening.dataset}, "
        f"95 % interval {percent_interval(*opening.interval)}"
        for place, opening in enumerate(openings, start=1)
    ]


def budget(row: BudgetRow) -> str:
    """Return one line of the budget."""
    name, noun = row.name, BUDGETS[row.name][0]
    return f"{amount(name, row.measured)} of at most {amount(name, row.limit)} {noun}: {verdict(row)}"


def amount(name: str, value: float | None) -> str:
    """Return a number of what that budget counts."""
    return "not measured" if value is None else BUDGETS[name][1].format(value)


def verdict(row: BudgetRow) -> str:
    """Return whether a budget was met."""
    return "met, the run was cut there" if row.cut else {True: "met", False: "exceeded", None: "not known"}[row.met]


def claim(row: ClaimRow) -> str:
    """Return one figure of the document beside this run's."""
    here = f"not compared, since {row.why_not}"
    if row.measured is not None:
        here = f"here {percent(row.measured)} ({points(row.measured - row.claimed)} points)"
    statistic = {"best": "best epoch", "last": "last epoch"}[row.statistic]
    return f"{QUANTITIES[row.quantity]}, {statistic}: claimed {percent(row.claimed)}, {here}"


def changes(known: Facts) -> str:
    """Return how the run's recipe differs from the shipped one of its name, or ""."""
    if not known.differences:
        return ""
    changed = []
    for name, (here, there) in known.differences.items():
        if there is None:
            changed.append(f"{name} {value(here)} (unused there)")
        elif here is None:
            changed.append(f"{name} unused ({value(there)} there)")
        else:
            changed.append(f"{name} {value(here)} instead of {value(there)}")
    whose = "document's" if known.document else "shipped"
    return f"not the {whose} recipe: {', '.join(changed)}"


def milestones(known: Facts) -> str:
    """Return the seconds of training until an epoch's end was at 98, 99 and 99.4 %."""
    if not known.part:
        return "no milestones without an evaluated part"
    reached = [
        f"{100 * float(goal):g} % {'not reached' if seconds is None else 'after ' + duration(seconds)}"
        for goal, seconds in known.seconds_to.items()
    ]
    return ", ".join(reached)


def value(value: Any) -> str:
    """Return a field of a recipe as a person would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
