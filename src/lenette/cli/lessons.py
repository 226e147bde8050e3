"""lenette backprop."""

from dataclasses import replace
from pathlib import Path

import click


@click.command()
@click.option("--lr", type=float, multiple=True, help="learning rate; give it again for more (else 0.1 to 2.0)")
@click.option("--variant", type=click.Choice(["course", "textbook"]), default="course", show_default=True)
@click.option("--inputs", nargs=2, type=float, help="i1 i2")
@click.option("--targets", nargs=2, type=float, help="t1 t2")
@click.option("--weights", nargs=8, type=float, help="w1 ... w8")
@click.option("--biases", nargs=2, type=float, help="b1 (hidden layer) b2 (output layer)")
@click.option(
    "--figure", type=click.Path(path_type=Path, dir_okay=False), help="write the errors' figure: .svg or .png"
)
def backprop(
    lr: tuple[float, ...],
    variant: str,
    inputs: tuple[float, ...] | None,
    targets: tuple[float, ...] | None,
    weights: tuple[float, ...] | None,
    biases: tuple[float, ...] | None,
    figure: Path | None,
) -> None:
    """Backpropagation by hand, every number with its formula, beside autograd: two inputs, two neurons, two outputs.

    Then the same chain rule on sigmoid_mlp and a batch of scikit-learn's digits.
    """
    from lenette.data import load
    from lenette.lessons import backprop, backprop_mlp
    from lenette.models import build
    from lenette.plan import Plan
    from lenette.recipes import Recipe

    given = {"inputs": inputs, "targets": targets, "weights": weights, "biases": biases}
    network = replace(backprop.VARIANTS[variant], **{name: value for name, value in given.items() if value})
    rates = lr or backprop.LEARNING_RATES
    click.echo(backprop.walkthrough(network, rates))
    digits = load("optdigits")
    plan = Plan(Recipe(model="sigmoid_mlp"), 0, len(digits))
    model = plan.initial(lambda: build("sigmoid_mlp"))
    click.echo(backprop_mlp.walkthrough(model, digits.images[:64] / 255, digits.labels[:64]))
    if figure is not None:
        from lenette.report.figures import save

        click.echo(save(backprop.error_figure(network, rates), figure))


COMMANDS = [backprop]
