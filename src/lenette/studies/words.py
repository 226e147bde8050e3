"""The answer to a study's question in sentences, every one of which follows from its figures."""

from collections.abc import Callable
from itertools import pairwise

from lenette.many import shown
from lenette.stats import Mean
from lenette.studies import compare
from lenette.studies.compare import Reached
from lenette.studies.questions import SWITCHES
from lenette.studies.study import Cell, Study
from lenette.text import count, interval, listed, number, percent, points

Words = list[str]

WORTH_HAVING = 0.001  # a difference in error: a tenth of a point, about what an augmentation brings


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


def around(mean: Mean, shape: Callable[[float], str]) -> str:
    """Return a mean's interval as " (1.98 to 2.24)", each end as `shape` writes it; "" where there is none."""
    inside = interval(mean.low, mean.high, shape)
    return f" ({inside})" if inside else ""


def error(mean: Mean | None) -> str:
    """Return an error with its interval: "2.11 % (1.98 to 2.24)"."""
    return "unknown" if mean is None else f"{percent(mean.mean)}{around(mean, _hundredths)}"


def short(study: Study, name: str) -> str:
    """Return a cell's name in a sentence: its value alone where only one field varies."""
    changes = study.cell(name).changes
    return shown(next(iter(changes.values()))) if len(study.axes) == 1 else name


def caveats(study: Study) -> Words:
    """Return what the figures speak of, and what they don't."""
    num_seeds = len(study.seeds)
    text = f"Figures are those of the last epoch, on the {study.part} images; "
    if num_seeds > 1:
        text += f"intervals are Student's at 95 %, over {num_seeds} seeds on the same images."
    else:
        text += "with one seed there are no intervals, and nothing can be told apart."
    text = " ".join(filter(None, [text, together(study)]))
    if study.part == "test" and study.question not in compare.SETTLED:
        text += " The choice was made with the test images, so that the chosen one's own error is a little optimistic."
    return [text] if study.dataset == "mnist" else [text, f"The images are those of {study.dataset}, not MNIST's."]


def together(study: Study) -> str:
    """Return how the differences' intervals are made so that they hold together at 95 %; "" where there are none."""
    found = [one.mean for one in compare.comparisons(study) if one.mean.count > 1]
    if not found:
        return ""
    if study.question not in compare.SETTLED:
        return (
            "The differences' intervals hold for all pairs of cells together at 95 % (Games and Howell), since the "
            "figures themselves chose the cell that the others are held against."
        )
    if len(found) == 1:
        return ""
    return (
        f"The {len(found)} differences are taken seed by seed, each interval at {100 * found[0].level:.4g} %, so that "
        "they hold together at 95 % (Bonferroni)."
    )


def _preference(study: Study) -> Words:
    best = compare.preferred(study)
    if best is None:
        return ["No run of any cell ended with a finite loss: there is nothing to prefer."]
    mean = best.mean(study.error)
    assert mean is not None
    name = short(study, best.name)
    steady = f" of those that diverged least ({len(best.diverged)} of {len(best.runs)} seeds)" if best.diverged else ""
    sentences = [
        f"{name} is preferred: lowest mean {study.part} error{steady}, {error(mean)} over {count(mean.count, 'seed')}."
    ]
    found = [one for one in compare.from_preferred(study) if len(study.cell(one.second).diverged) <= len(best.diverged)]
    near = [one for one in found if one.verdict != "higher"]
    far = [one for one in found if one.verdict == "higher"]
    if near:
        what = listed([f"{short(study, one.second)} ({_difference(one.mean)})" for one in near])
        sentences.append(f"{what} can't be told apart from it at {count(len(study.seeds), 'seed')}.")
    if far:
        what = listed([f"{short(study, one.second)} ({_difference(one.mean)})" for one in far])
        sentences.append(f"{what} {'is' if len(far) == 1 else 'are'} worse.")
        sentences += _why(study, best, [study.cell(one.second) for one in far])
    return sentences + _edge(study, best)


def _difference(mean: Mean) -> str:
    inside = interval(mean.low, mean.high, points)
    return f"{points(mean.mean)} points" + (f", {inside}" if inside else "")


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
        falling = compare.diagnosis(study, cell).still_falling
        text = f"{short(study, cell.name)} {_mean_loss(cell)}"
        if falling and falling.low > compare.STILL_FALLING:
            text += f", still falling by {percent(falling.mean, 0)} over the last quarter"
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
    sentences = [f"{first.name}: {first.parameters:,} parameters, {study.part} error {error(first.mean(study.error))}."]
    for before, cell in pairwise(study.cells):
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
    found = next((one for one in compare.step_by_step(study) if one.second == cell.name), None)
    if found is None:
        return "no seed ended in both, so that nothing can be said"
    mean = found.mean
    what = f"{study.part} error {error(cell.mean(study.error))}, {points(mean.mean)} points{around(mean, points)}"
    if found.verdict == "undecided":
        return f"{what}: can't be told apart from {before.name} at {count(mean.count, 'seed')}"
    return f"{what}: {'better' if found.verdict == 'lower' else 'worse'}"


def _augmentation(study: Study) -> Words:
    none = study.cells[0]
    sentences = [f"Without augmentation the {study.part} error is {error(none.mean(study.error))}."]
    for verdict, text in (("lower", "lower it"), ("higher", "raise it"), ("undecided", "")):
        found = [one for one in compare.from_first(study) if one.verdict == verdict]
        if not found:
            continue
        what = listed([f"{one.second} ({_difference(one.mean)})" for one in found])
        if verdict == "undecided":
            sentences.append(f"{what} can't be told apart from none at {count(len(study.seeds), 'seed')}.")
        else:
            sentences.append(f"{what} {text if len(found) > 1 else text.replace(' ', 's ', 1)}.")
    return sentences + _power(study)


def _power(study: Study) -> Words:
    """Say with what chance a difference worth having would have been seen."""
    found = compare.power(study, WORTH_HAVING)
    if found is None:
        return []
    text = (
        f"A true difference of {100 * found.difference:.2f} points would have been seen with a chance of "
        f"{percent(found.power, 0)}: from seed to seed the differences scatter by {100 * found.deviation:.2f} points"
    )
    if found.power < compare.ENOUGH_POWER and found.seeds_needed:
        text += f"; {percent(compare.ENOUGH_POWER, 0)} takes {count(found.seeds_needed, 'seed')}"
    return [f"{text}."]


def _convergence(study: Study) -> Words:
    """Say how soon each cell has the train losses of the first; `compare.convergence` has those of the part too."""
    first = study.cells[0].name
    sentences = []
    for found in compare.convergence(study, "train_loss"):
        others = [f"{name} {_epochs(cell)}" for name, cell in found.cells.items() if name != first]
        sentences.append(
            f"The train loss {found.goal:.4f}, which {first} has in every seed after {count(found.epoch, 'epoch')}, is "
            f"reached by {listed(others)}."
        )
    return sentences


def _epochs(cell: Reached) -> str:
    if cell.epochs:
        return f"after {cell.epochs.mean:.1f}{around(cell.epochs, lambda value: f'{value:.1f}')}"
    return f"only in {cell.num_reached} of {cell.num_seeds} seeds" if cell.num_reached else "in no seed"


def _failures(study: Study) -> Words:
    sentences = []
    for cell in study.cells:
        name, seeds = short(study, cell.name), count(len(cell.runs), "seed")
        if cell.diverged:
            at = [run.diverged_at.step for run in cell.diverged if run.diverged_at]
            when = f", first at step {min(at):,}" if at else ""
            sentences.append(f"{name} diverged in {len(cell.diverged)} of {seeds}{when}.")
        if chance := compare.at_chance(study, cell):
            sentences.append(
                f"{name} learnt nothing in {len(chance)} of {seeds}: it ended with little more than a blind guess."
            )
        if far := compare.failed(study, cell):
            which = listed([f"seed {seed} ended at {percent(error)}" for seed, error in far.items()])
            sentences.append(
                f"{name} failed in {len(far)} of {seeds}: {which}, and the best of its seeds at "
                f"{percent(min(cell.values(study.error).values()))}. Intervals, which are made for seeds that scatter "
                "alike, say little of it."
            )
    return sentences


def _diagnoses(study: Study) -> Words:
    """Say what the gap between train and the part tells: of the preferred cell, and of each rung of a ladder."""
    best = compare.preferred(study)
    cells = study.cells if study.question == "ladder" else [best] if best else []
    return [text for cell in cells if (text := _diagnosis(study, cell))]


def _diagnosis(study: Study, cell: Cell) -> str:
    found, name, part = compare.diagnosis(study, cell), short(study, cell.name), study.part
    loss, error, running = found.gap_loss, found.gap_error, found.running_gap_error
    if found.verdict == "unknown" or loss is None or error is None or running is None:
        return ""
    gap = (
        f"{part} minus train: loss {loss.mean:+.4f}{around(loss, number)}, "
        f"error {points(error.mean)} points{around(error, points)}"
    )
    if found.rise:
        rose = found.rise.part_loss
        text = (
            f"{name} overfits: since epoch {found.rise.epoch} its {part} loss rose by {number(rose.mean)}"
            f"{around(rose, number)} while its train loss fell ({gap})."
        )
    elif found.verdict == "gap":
        text = f"{name} fits its training images better than others ({gap})"
        text += f", but its {part} loss isn't seen to rise for it." if compare.curves(cell, "train_loss") else "."
    else:
        text = f"{name} shows no overfitting ({gap}): if it lacks anything, then capacity or training."
    if running.mean < 0 < error.mean:
        augmented = ", on augmented images" if any(cell.recipe[name] for name in SWITCHES) else ""
        text += (
            f" Its {part} error lies below the running train error ({points(running.mean)} points) only because "
            f"that one is a mean over the epoch, taken in training mode while the weights still learn{augmented}."
        )
    return text


def _hundredths(fraction: float) -> str:
    return f"{100 * fraction:.2f}"
