"""Figures against the epoch: loss, error, learning rate, and many seeds at once."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lenette.errors import RunError
from lenette.plan import Plan
from lenette.report.style import BLUE, GREY, INK, SERIES, new, styled
from lenette.runs import Run
from lenette.text import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RUNNING = "train, running mean while learning"


@styled
def curves(run: Run) -> "Figure":
    """Draw loss and error against the epoch, side by side."""
    figure, (left, right) = new(9.6, 3.4, columns=2)
    _loss(left, run)
    _error(right, run)
    return figure


@styled
def loss(run: Run) -> "Figure":
    """Draw the loss of the training and the evaluated images against the epoch."""
    figure, axes = new()
    _loss(axes, run)
    return figure


@styled
def error(run: Run) -> "Figure":
    """Draw the error of the training and the evaluated images against the epoch, in per cent on a logarithmic scale."""
    figure, axes = new()
    _error(axes, run)
    return figure


@styled
def learning_rate(run: Run) -> "Figure":
    """Draw the learning rate of every step of the plan, and where the run ended if that was before the plan's end."""
    figure, axes = new(height=2.6)
    data, recipe = run.about.data, run.recipe
    plan = Plan(recipe, run.seed, data.num_images, (data.shape[1], data.shape[2]))
    rates = plan.rates()
    epochs = [step / plan.steps_per_epoch for step in range(plan.num_steps)]
    axes.plot(epochs, rates, color=BLUE, solid_joinstyle="miter")
    at, lines = run.about.diverged_at, run.metrics
    last = at.step if at else lines[-1].step if lines else 0
    if last < plan.num_steps:
        axes.axvline(last / plan.steps_per_epoch, color=INK, linestyle=":", linewidth=1.2)
        axes.annotate(
            "diverged" if at else "so far" if run.status == "running" else "stopped here",
            (last / plan.steps_per_epoch, 0.5),
            (4, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
        )
    axes.set(xlim=(0, recipe.epochs), ylim=(0, rates.max().item() * 1.08 or 1), xlabel="epoch", ylabel="learning rate")
    _whole_epochs(axes)
    axes.set_title(f"Learning rate of each of {plan.num_steps:,} steps")
    return figure


@styled
def error_band(runs: Sequence[Run] | Mapping[str, Sequence[Run]], quantity: str = "accuracy") -> "Figure":
    """Draw error (or, for quantity "loss", loss) against the epoch, for many seeds: their mean, lowest and highest.

    Args:
        runs: runs that differ in their seed, or several such lists by name. Epochs that not all runs of a list reached
            are left out, and so are runs that finished none.

    Raises:
        RunError: none of a list's runs finished an epoch in which it evaluated images.
    """
    figure, axes = new(6.4, 3.8)
    groups = runs if isinstance(runs, Mapping) else {"": runs}
    for style, (label, group) in zip(SERIES, groups.items(), strict=False):
        tables = [table for run in group if (table := _values(run, f"{run.part}_{quantity}"))]
        if not tables:
            raise RunError(f"{label or 'error_band'}: no run has finished an epoch in which it evaluated images")
        shortest = min(len(table) for table in tables)
        epochs = [epoch for epoch, _ in tables[0][:shortest]]
        columns = [[table[row][1] for table in tables] for row in range(shortest)]
        if quantity == "accuracy":
            columns = [[100 * (1 - value) for value in column] for column in columns]
            columns = [[max(value, _half_an_image(group[0])) for value in column] for column in columns]
        means = [sum(column) / len(column) for column in columns]
        name = f"{label}: " if label else ""
        axes.fill_between(
            epochs, [min(c) for c in columns], [max(c) for c in columns], color=style["color"], alpha=0.18, linewidth=0
        )
        axes.plot(epochs, means, label=f"{name}mean of {count(len(tables), 'seed')}; band: lowest to highest", **style)
    part = next(iter(groups.values()))[0].part
    if quantity == "accuracy":
        _percent_axis(axes)
        axes.set_ylabel(f"{part} error (%)")
    else:
        axes.set_ylabel(f"{part} loss")
    axes.set_title(f"{part} {'error' if quantity == 'accuracy' else quantity} over seeds".capitalize())
    _epoch_axis(axes)
    return figure


def _loss(axes: "Axes", run: Run) -> None:
    for label, name, style in _series(run, "loss"):
        table = _values(run, name)
        axes.plot(*zip(*table, strict=True), label=label, **style)
    axes.set(ylabel="cross-entropy (nats)", ylim=(0, None))
    axes.set_title("Loss")
    _epoch_axis(axes)


def _error(axes: "Axes", run: Run) -> None:
    for label, name, style in _series(run, "accuracy"):
        table = [(epoch, max(100 * (1 - value), _half_an_image(run))) for epoch, value in _values(run, name)]
        axes.plot(*zip(*table, strict=True), label=label, **style)
    axes.set_ylabel("error (%)")
    axes.set_title("Error, logarithmic")
    _percent_axis(axes)
    _epoch_axis(axes)


def _half_an_image(run: Run) -> float:
    """Return the error in per cent at which no error at all is drawn, since a logarithmic scale has no zero."""
    return 50 / run.about.data.num_images


def _series(run: Run, quantity: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (label, name, style) of the curves that the run has; RunError where it has none."""
    evaluated, running, plain = SERIES[0], {**SERIES[1], "marker": None}, {**SERIES[2], "color": GREY}
    if not run.metrics:
        raise RunError(f"run {run.id} has no finished epoch to draw ({run.status})")
    candidates = [
        (f"{run.part}", f"{run.part}_{quantity}", evaluated),
        (RUNNING, f"train_{quantity}_running", running),
        ("train, evaluated", f"train_{quantity}", plain),
    ]
    return [row for row in candidates if _values(run, row[1])]


def _values(run: Run, name: str) -> list[tuple[float, float]]:
    """Return (epoch, value) where there is a value; a run that was cut ends within an epoch."""
    steps_per_epoch = run.about.num_steps / run.recipe.epochs
    values = [(line.step / steps_per_epoch, getattr(line, name, None)) for line in run.metrics]
    return [(epoch, value) for epoch, value in values if value is not None]


def _epoch_axis(axes: "Axes") -> None:
    axes.set_xlabel("epoch")
    _whole_epochs(axes)
    axes.legend()


def _whole_epochs(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _percent_axis(axes: "Axes") -> None:
    """Make the axis logarithmic, with ticks that people read: 0.5, 1, 2, 5, 10."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
