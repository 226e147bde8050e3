"""lenette runs, show, report, evaluate, predict."""

from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lenette.cli.common import data_option, echo_json, json_option, run_code_option, store_option, table
from lenette.errors import LenetteError
from lenette.progress import line
from lenette.records import plain
from lenette.text import number

if TYPE_CHECKING:  # it loads PyTorch
    from lenette.runs import Run


@click.command()
@store_option
@json_option
def runs(store: Path, as_json: bool) -> None:
    """List the runs, the oldest first, and those that are damaged."""
    from lenette.runs import in_store

    rows, faults = [], []
    for run in in_store(store):
        try:
            rows.append(_row(run, as_json))
        except LenetteError as error:
            faults.append({"run": run.id, "status": "damaged", "fault": str(error)})
    if as_json:
        echo_json(rows + faults)
        return
    if rows or not faults:
        click.echo(table(rows) or f"no runs in {store}: make one with `lenette train ladder_7k_step`")
    for each in faults:
        click.echo(f"{each['run']}  damaged: {each['fault']}", err=True)


def _row(run: "Run", as_json: bool) -> dict[str, Any]:
    last = next(reversed(run.metrics), None)
    part = run.part or "train"
    accuracy = getattr(last, f"{part}_accuracy", None)
    return {
        "run": run.id,
        "data": run.recipe.dataset,
        "status": run.status,
        "epochs": f"{last.epoch if last else 0}/{run.recipe.epochs}",
        "accuracy": accuracy if as_json else "" if accuracy is None else f"{accuracy:.2%} ({part})",
        "seconds": round(last.train_seconds if last else 0.0, 1),
        "engine": run.about.engine,
        "created": run.about.created,
    }


@click.command()
@click.argument("run")
@store_option
@json_option
def show(run: str, store: Path, as_json: bool) -> None:
    """Show RUN (its name, or a unique beginning of it): every epoch, and what it came to."""
    from lenette import report
    from lenette.runs import find

    found = find(run, store)
    if as_json:
        echo_json({**plain(report.facts(found)), "metrics": found.metrics})
        return
    for epoch in found.metrics:
        click.echo(line(epoch, found.recipe.epochs))
    click.echo("\n".join(report.lines(found)))


@click.command()
@click.argument("run")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="where to write it (else into the run's folder)"
)
@run_code_option
@store_option
def report(run: str, out: Path | None, run_code: bool, store: Path) -> None:
    """Write the page of RUN: one HTML file that needs nothing else."""
    from lenette import report
    from lenette.runs import find

    found = find(run, store, run_code)
    if missing := report.left_out(found):
        click.echo(f"left out: the layers and the images that it gets wrong, since {missing}", err=True)
    click.echo(report.write(found, out))


@click.command()
@click.argument("run")
@click.option("--part", help="train, validation, test or what else the data set has (else what the run evaluates)")
@click.option("--dataset", help="another data set with the same classes and image size")
@click.option("--open-test", is_flag=True, help="open the sealed test set; the opening is written down")
@click.option("--integer", "on_integers", is_flag=True, help="evaluate the integer network, which is what is shipped")
@run_code_option
@data_option
@store_option
@json_option
def evaluate(
    run: str,
    part: str | None,
    dataset: str | None,
    open_test: bool,
    on_integers: bool,
    run_code: bool,
    folder: Path | None,
    store: Path,
    as_json: bool,
) -> None:
    """Evaluate the weights of RUN on a part of a data set."""
    from lenette.evidence import sealed
    from lenette.runs import find

    found = find(run, store, run_code)
    result = sealed.evaluate_part(found, part, dataset, folder, open_test, on_integers)
    if as_json:
        echo_json(result)
        return
    click.echo(
        f"{result.dataset} {result.part}: {result.accuracy:.2%} ({result.num_errors:,} errors of "
        f"{result.num_images:,}; 95 % interval {result.low:.2%} to {result.high:.2%}), loss {number(result.loss)}"
    )
    for name, accuracy in zip(found.about.data.classes, result.per_class_accuracy, strict=True):
        click.echo(f"  {name}: " + ("no images" if accuracy is None else f"{accuracy:.2%}"))
    if result.looks:
        click.echo(result.looks)


@click.command()
@click.argument("run")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--split", is_flag=True, help="several digits in a picture: an answer for each, in reading order")
@click.option("--show", is_flag=True, help="draw what the network saw")
@click.option(
    "--save", type=click.Path(path_type=Path, file_okay=False), help="folder for PNGs of what the network saw"
)
@run_code_option
@store_option
@json_option
def predict(
    run: str,
    images: tuple[Path, ...],
    split: bool,
    show: bool,
    save: Path | None,
    run_code: bool,
    store: Path,
    as_json: bool,
) -> None:
    """Say which class each of IMAGES (pictures, or folders of them) shows, with RUN's network.

    A picture is made ready as the training images were: for digits like MNIST's the ink is cut out, brought to a box
    of 20x20 and centred; for a folder of one's own the whole picture is taken. One that can't be read is named, and the
    others are answered.
    """
    import torch

    from lenette import prepare
    from lenette.errors import DataError
    from lenette.runs import find

    found = find(run, store, run_code)
    network, preparation = found.network(), found.preparation
    answers: list[dict[str, Any]] = []
    faults = 0
    for path in _pictures(images):
        try:
            look = prepare.split if split else lambda *how: [prepare.look(*how)]
            seen = look(path, preparation, network.shape)
        except DataError as error:
            faults += 1
            answers.append({"image": str(path), "fault": str(error)})
            click.echo(f"Error: {error}", err=True)
            continue
        for one in seen:
            row = network.probabilities(torch.from_numpy(one.image.copy())[None])[0].tolist()
            ranked = sorted(zip(network.classes, row, strict=True), key=lambda pair: -pair[1])
            shares = dict(zip(network.classes, row, strict=True))
            answers.append({"image": str(path), "class": ranked[0][0], "probabilities": shares, "notes": one.notes})
            if save is not None:
                answers[-1]["seen"] = str(_save_png(one.image, save, path.stem))
            if not as_json:
                click.echo(f"{path}: " + "  ".join(f"{name} {share:.1%}" for name, share in ranked[:3]))
                for note in one.notes:
                    click.echo(f"  {note}")
                if show:
                    click.echo(_sketch(one.image))
    if as_json:
        echo_json(answers)
    if faults:
        raise click.exceptions.Exit(1)


def _pictures(named: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the pictures that were named, and those in the folders that were."""
    for path in named:
        inside = sorted(one for one in path.iterdir() if one.is_file() and one.name[0] != ".") if path.is_dir() else []
        yield from inside or [path]


def _save_png(image: Any, folder: Path, stem: str) -> Path:
    """Save uint8 [C, H, W] under a name that no other picture there has."""
    from PIL import Image

    from lenette.files import replacing

    names = chain([f"{stem}-seen.png"], (f"{stem}-seen-{number}.png" for number in count(2)))
    path = next(folder / name for name in names if not (folder / name).exists())
    with replacing(path) as temporary:
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(temporary, format="png")
    return path


def _sketch(image: Any) -> str:
    """Draw uint8 [C, H, W] with characters, two columns a pixel since they are twice as high as wide."""
    image = image.mean(axis=0).astype("uint8")
    shades = " .:-=+*#%@"
    return "\n".join(
        "".join(shades[pixel * len(shades) // 256] * 2 for pixel in row).rstrip() for row in image.tolist()
    )


COMMANDS = [runs, show, report, evaluate, predict]
