"""lenette new: a folder with a network, a recipe and a notebook, to start from."""

import re
import shlex
from pathlib import Path

import click

from lenette.errors import LenetteError

NETWORK = '''"""My network: change it, then `lenette summary net.py:net` shows its layers."""

from torch import nn


def net(num_classes=10, in_channels=1, image_size=28):
    return nn.Sequential(
        nn.Conv2d(in_channels, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, num_classes),
    )
'''
RECIPE = """# What to train: `lenette train --help` explains every field.
model = "net.py:net"
dataset = "mnist"
epochs = 10
batch_size = 128
lr = 0.5
"""
NOTEBOOK = (
    "# {name}\n\nThe network is in `net.py`, what to train it with in `{name}.toml`.",
    "import lenette\n\nprint(lenette.format_summary(lenette.summary(lenette.model('net.py:net'), (1, 28, 28))))",
    "run = lenette.train('{name}.toml', progress=lenette.print_lines)",
    "lenette.figures.curves(run)",
    "lenette.figures.confusion(run)",
    "lenette.figures.worst(run)",
)


@click.command()
@click.argument("name")
def new(name: str) -> None:
    """Make the folder NAME with a network, a recipe and a notebook, to change and to train."""
    from lenette.files import write_json, write_text

    folder = Path(name)
    if not re.fullmatch(r"\w[\w.-]*", folder.name):
        raise LenetteError(f"'{name}': a name of letters, digits, _, - and ., such as homework")
    if folder.exists():
        raise LenetteError(f"{folder} exists already, and is left as it is: take another name")
    write_text(folder / "net.py", NETWORK)
    write_text(folder / f"{folder.name}.toml", RECIPE)
    write_json(folder / f"{folder.name}.ipynb", _notebook(folder.name))
    click.echo(f"{folder}: net.py, {folder.name}.toml, {folder.name}.ipynb. Train it with:")
    click.echo(f"  lenette train {shlex.quote(str(folder / f'{folder.name}.toml'))}")


def _notebook(name: str) -> dict[str, object]:
    title, *code = (text.format(name=name) for text in NOTEBOOK)
    cells: list[dict[str, object]] = [{"cell_type": "markdown", "id": "cell-0", "metadata": {}, "source": title}]
    for number, source in enumerate(code, 1):
        empty: dict[str, object] = {"execution_count": None, "metadata": {}, "outputs": []}
        cells.append({"cell_type": "code", "id": f"cell-{number}", "source": source, **empty})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


COMMANDS = [new]
