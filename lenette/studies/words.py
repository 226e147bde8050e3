"""The answer to a study's question in sentences, every one of which follows from its figures."""

import math
from typing import Any

from lenette.many import shown
from lenette.stats import Mean
from lenette.studies import compare
from lenette.studies.questions import SWITCHES
from lenette.studies.study import Cell, Study

Words = list[str]


def answer(study: Study) -> Words:
    """Return the answer, a few sentences; every number in them is a mean over seeds with its 95 % interval."""
    if study.question == "ladder":
        sentences = _ladder(study)
    elif study.question == "augmentation":
        sentences = _augmentation(study)
    else:
        sentences = _preference(study)
    if study.question == "schedule":
        sentences += _convergence(study)
    return [*sentences, *_failures(study), *_diagnoses(study), *caveats(study)]


def percent(fraction: float, digits: int = 2) -> str:
    """Return 0.0211 as "2.11 %"."""
    return f"{100 * fraction:.{digits}f} %"


def points(difference: float) -> str:
    """Return a difference of two fractions in percentage points, with its sign."""
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # + 0.0 makes -0.0 a 0


def interval(found: dict[str, Any] | Mean, kind: str = "percent") -> str:
    """Return " (1.98 to 2.24)" in the unit of `kind`: percent, points, loss or epochs; "" where there is none."""
    low, high = (getattr(found, side) if isinstance(found, Mean) else found[side] for side in ("low", "high"))
    if low is None or high is None or not math.isfinite(low + high):
        return ""
    if kind in ("percent", "points"):
        shape = points if kind == "points" else lambda value: f"{100 * value:.2f}"
        return f" ({shape(low)} to {shape(high)})"
    digits = {"loss": 4, "epochs": 1, "share": 2}[kind]
    return f" ({low:.{digits}f} to {high:.{digits}f})"


def listed(items: list[str]) -> str:
    """Return "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def short(study: Study, name: str) -> str:
    """Return a cell's name in a sentence: its value alone where only one field varies."""
    changes = study.cell(name).changes
    return shown(next(iter(changes.values()))) if len(study.axes) == 1 else name


def caveats(study: Study) -> Words:
    """Return what the figures speak of, and what they don't."""
    count = len(study.seeds)
    comparisons = compare.comparisons(study)
    text = f"Figures are those of the last epoch, on the {study.part} images; "
    text += f"intervals are Student's at 95 %, over {count} seeds on the same images." if count > 1 else (
        "with one seed there are no intervals, and nothing can be told apart."
    )  # fmt: skip
    if count > 1 and len(comparisons) > 1:
        text += (
            f" Those of the {len(comparisons)} differences are wider, at {100 * comparisons[0]['level']:.4g} % each, "
            "so that they hold together at 95 %."
        )
    if study.part == "test" and study.question != "ladder":
        text += " The choice was made with the test images, so that the chosen one's own error is a little optimistic."
    return [text] if study.dataset == "mnist" else [text, f"The images are those of {study.dataset}, not MNIST's."]


def _preference(study: Study) -> Words:
    best = compare.preferred(study)
    if best is None:
        return ["No run of any cell ended with a finite loss: there is nothing to prefer."]
    mean = best.mean(study.error)
    assert mean is not None
    name = short(study, best.name)
    steady = (
        "" if not best.diverged else f" of those that diverged least ({len(best.diverged)} of {len(best.runs)} seeds)"
    )
    sentences = [
        f"{name} is preferred: lowest mean {study.part} error{steady}, {percent(mean.mean)}{interval(mean)} "
        f"over {_seeds(mean.count)}."
    ]
    found = [
        one for one in compare.from_preferred(study) if len(study.cell(one["second"]).diverged) <= len(best.diverged)
    ]
    near = [one for one in found if one["verdict"] != "higher"]
    far = [one for one in found if one["verdict"] == "higher"]
    if near:
        what = listed([f"{short(study, one['second'])} ({_difference(one)})" for one in near])
        sentences.append(f"{what} can't be told apart from it at {_seeds(len(study.seeds))}.")
    if far:
        what = listed([f"{short(study, one['second'])} ({_difference(one)})" for one in far])
        sentences.append(f"{what} {'is' if len(far) == 1 else 'are'} worse.")
        sentences += _why(study, best, [study.cell(one["second"]) for one in far])
    return sentences + _edge(study, best)


def _difference(one: dict[str, Any]) -> str:
    inside = interval(one, "points").strip(" ()")
    return f"{points(one['mean'])} points" + (f", {inside}" if inside else "")


def _why(study: Study, best: Cell, worse: list[Cell]) -> Words:
    """Say which of the worse cells learnt less of their training images, and which carried less of them over."""
    less, more, nothing = [], [], []
    for cell in worse:
        if len(compare.at_chance(study, cell)) == len(cell.runs):
            nothing.append(short(study, cell.name))
            continue
        difference = compare.of_figure(best, cell, "train_loss")
        if difference is None:
            continue
        falling = compare.diagnosis(study, cell)["still_falling"]
        text = f"{short(study, cell.name)} {_mean_loss(cell)}"
        if falling and falling["low"] > compare.STILL_FALLING:
            text += f", still falling by {percent(falling['mean'], 0)} over the last quarter"
        if difference.low > 0:
            less.append(text)
        elif difference.high < 0:
            more.append(text)
    ours = f"against {short(study, best.name)}'s {_mean_loss(best)}"
    return [
        *(
            [f"Less was learnt of the training images in the same epochs (train loss: {'; '.join(less)}) {ours}."]
            if less
            else []
        ),
        *(
            [f"More was learnt of the training images, yet less carries over (train loss: {'; '.join(more)}) {ours}."]
            if more
            else []
        ),
        *([f"{listed(nothing)} never left a blind guess's error."] if nothing else []),
    ]


def _mean_loss(cell: Cell) -> str:
    mean = cell.mean("train_loss")
    return "unknown" if mean is None else f"{mean.mean:.4f}"


def _edge(study: Study, best: Cell) -> Words:
    """Say where the preferred value is the outermost one that was tried."""
    if len(study.axes) != 1:
        return []
    ((name, values),) = study.axes.items()
    if len(values) < 2 or not all(isinstance(value, int | float) for value in values):
        return []
    chosen = best.changes[name]
    for outermost, beyond in ((max(values), "larger"), (min(values), "smaller")):
        if chosen == outermost:
            return [f"{shown(chosen)} is the outermost value tried: a {beyond} one may be better still."]
    return []


def _ladder(study: Study) -> Words:
    first = study.cells[0]
    sentences = [f"{first.name}: {first.parameters:,} parameters, {study.part} error {_mean(first, study.error)}."]
    for before, cell in zip(study.cells, study.cells[1:], strict=False):
        sentences.append(f"{cell.name}: {_change(before, cell)}; {_brought(study, before, cell)}.")
    return sentences


def _change(before: Cell, cell: Cell) -> str:
    fields = [f"{name} {shown(value)}" for name, value in cell.changes.items() if name != "model" and value is not None]
    difference = cell.parameters - before.parameters
    if difference:
        fields.insert(
            0, f"{abs(difference):,} parameters {'more' if difference > 0 else 'fewer'} ({cell.parameters:,})"
        )
    return listed(fields) if fields else "another network of the same size"


def _brought(study: Study, before: Cell, cell: Cell) -> str:
    found = next((one for one in compare.step_by_step(study) if one["second"] == cell.name), None)
    if found is None:
        return "no seed ended in both, so that nothing can be said"
    error = f"{study.part} error {_mean(cell, study.error)}"
    difference = f"{points(found['mean'])} points{interval(found, 'points')}"
    if found["verdict"] == "undecided":
        return f"{error}, {difference}: can't be told apart from {before.name} at {_seeds(found['num_seeds'])}"
    return f"{error}, {difference}: {'better' if found['verdict'] == 'lower' else 'worse'}"


def _augmentation(study: Study) -> Words:
    none = study.cells[0]
    sentences = [f"Without augmentation the {study.part} error is {_mean(none, study.error)}."]
    for verdict, text in (("lower", "lower it"), ("higher", "raise it"), ("undecided", "")):
        found = [one for one in compare.from_first(study) if one["verdict"] == verdict]
        if not found:
            continue
        what = listed([f"{one['second']} ({_difference(one)})" for one in found])
        if verdict == "undecided":
            sentences.append(f"{what} can't be told apart from none at {_seeds(len(study.seeds))}.")
        else:
            sentences.append(f"{what} {text if len(found) > 1 else text.replace(' ', 's ', 1)}.")
    return sentences


def _convergence(study: Study) -> Words:
    """Say how soon each cell has the train losses of the first; `compare.convergence` has those of the part too."""
    first = study.cells[0].name
    sentences = []
    for found in compare.convergence(study, "train_loss"):
        others = [f"{name} {_epochs(cell)}" for name, cell in found["cells"].items() if name != first]
        sentences.append(
            f"The train loss {found['goal']:.4f}, which {first} has in every seed after "
            f"{_count(found['epoch'], 'epoch')}, is reached by {listed(others)}."
        )
    return sentences


def _epochs(cell: dict[str, Any]) -> str:
    if cell["epochs"]:
        return f"after {cell['epochs']['mean']:.1f}{interval(cell['epochs'], 'epochs')}"
    if not cell["num_reached"]:
        return "in no seed"
    return f"only in {cell['num_reached']} of {cell['num_seeds']} seeds"


def _failures(study: Study) -> Words:
    sentences = []
    for cell in study.cells:
        if cell.diverged:
            at = [run["diverged_at"]["step"] for run in cell.diverged if run["diverged_at"]]
            when = f", first at step {min(at):,}" if at else ""
            sentences.append(
                f"{short(study, cell.name)} diverged in {len(cell.diverged)} of {_seeds(len(cell.runs))}{when}."
            )
        if chance := compare.at_chance(study, cell):
            sentences.append(
                f"{short(study, cell.name)} learnt nothing in {len(chance)} of {_seeds(len(cell.runs))}: it ended with "
                "little more than a blind guess."
            )
        if far := compare.failed(study, cell):
            which = listed([f"seed {seed} ended at {percent(error)}" for seed, error in far.items()])
            sentences.append(
                f"{short(study, cell.name)} failed in {len(far)} of {_seeds(len(cell.runs))}: {which}, and the best of "
                f"its seeds at {percent(min(cell.values(study.error).values()))}. Intervals, which are made for seeds "
                "that scatter alike, say little of it."
            )
    return sentences


def _diagnoses(study: Study) -> Words:
    """Say what the gap between train and the part tells: of the preferred cell, and of each rung of a ladder."""
    best = compare.preferred(study)
    cells = study.cells if study.question == "ladder" else [best] if best else []
    return [text for cell in cells if (text := _diagnosis(study, cell))]


def _diagnosis(study: Study, cell: Cell) -> str:
    found, name, part = compare.diagnosis(study, cell), short(study, cell.name), study.part
    if found["verdict"] == "unknown":
        return ""
    loss, error = found["gap_loss"], found["gap_error"]
    gap = (
        f"{part} minus train: loss {loss['mean']:+.4f}{interval(loss, 'loss')}, "
        f"error {points(error['mean'])} points{interval(error, 'points')}"
    )
    if found["verdict"] == "overfits":
        rise = found["rise"]
        text = (
            f"{name} overfits: since epoch {rise['epoch']} its {part} loss rose by {rise['part_loss']['mean']:.4f}"
            f"{interval(rise['part_loss'], 'loss')} while its train loss fell ({gap})."
        )
    elif found["verdict"] == "gap":
        text = f"{name} fits its training images better than others ({gap})"
        text += f", but its {part} loss isn't seen to rise for it." if compare.curves(cell, "train_loss") else "."
    else:
        text = f"{name} shows no overfitting ({gap}): if it lacks anything, then capacity or training."
    running = found["running_gap_error"]
    if running["mean"] < 0 < error["mean"]:
        augmented = ", on augmented images" if any(cell.recipe[name] for name in SWITCHES) else ""
        text += (
            f" Its {part} error lies below the running train error ({points(running['mean'])} points) only because "
            f"that one is a mean over the epoch, taken in training mode while the weights still learn{augmented}."
        )
    return text


def _mean(cell: Cell, figure: str) -> str:
    mean = cell.mean(figure)
    return "unknown" if mean is None else f"{percent(mean.mean)}{interval(mean)}"


def _seeds(count: int) -> str:
    return _count(count, "seed")


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
