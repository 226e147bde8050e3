"""lenette show, report, evaluate, predict."""

from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lenette.cli.common import data_option, echo_json, json_option, run_code_option, store_option
from lenette.errors import LenetteError
from lenette.progress import line
from lenette.records import plain
from lenette.text import number

if TYPE_CHECKING:  # they load PyTorch
    from lenette.inference import Network
    from lenette.prepare.answers import Answer

TABLES = (".csv", ".csv.gz", ".npz", ".npy", ".parquet")


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
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    help="folder for PNGs of what the network saw, or for submission.csv",
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
    """Say which class each of IMAGES (pictures, folders of them, or tables) shows, with RUN's network.

    A picture is made ready as the training images were: for digits like MNIST's the ink is cut out, brought to a box
    of 20x20 and centred; for a folder of one's own the whole picture is taken. One that can't be read is named, and the
    others are answered. Of a table (.csv, .npz, .npy, .parquet), such as Kaggle's test.csv, the answers are written
    to submission.csv.
    """
    from lenette.prepare.answers import Answer, pictures
    from lenette.prepare.answers import answers as of_picture
    from lenette.runs import find

    found = find(run, store, run_code)
    network, preparation = found.network(), found.preparation
    answers: list[dict[str, Any]] = []
    for path in pictures(images):
        if path.name.lower().endswith(TABLES):
            try:
                answers += _of_table(path, network, save or Path(), as_json)
            except LenetteError as error:
                answers.append(_plain(Answer(str(path), fault=str(error))))
                click.echo(f"Error: {error}", err=True)
            continue
        for one in of_picture(network, preparation, path, split):
            answers.append(_plain(one))
            if one.seen is None:
                click.echo(f"Error: {one.fault}", err=True)
                continue
            if save is not None:
                answers[-1]["seen"] = str(_save_png(one.seen.image, save, path.stem))
            if not as_json:
                _tell(answers[-1])
                if show:
                    click.echo(_sketch(one.seen.image))
    if as_json:
        echo_json(answers)
    if any("fault" in answer for answer in answers):
        raise click.exceptions.Exit(1)


def _plain(answer: "Answer") -> dict[str, Any]:
    """Return an answer as JSON holds it."""
    told = {"image": answer.image, "class": answer.name, "probabilities": answer.probabilities or {}}
    if answer.fault:
        return {**told, "notes": [], "fault": answer.fault}
    return {**told, "unsure": answer.unsure, "notes": list(answer.notes)}


def _tell(answer: dict[str, Any]) -> None:
    best = sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])[:3]
    click.echo(f"{answer['image']}: " + "  ".join(f"{name} {share:.1%}" for name, share in best))
    for note in answer["notes"]:
        click.echo(f"  {note}")


def _of_table(path: Path, network: "Network", folder: Path, as_json: bool) -> list[dict[str, Any]]:
    """Answer the images of a table, and write Kaggle's submission.csv of them into a folder."""
    import torch

    from lenette import data, files

    rows = data.to_predict(path, network.shape)
    shares, best = network.probabilities(torch.from_numpy(rows.images)).max(dim=1)
    classes = [network.classes[label] for label in best.tolist()]
    target = _free(folder, "submission", ".csv")
    files.write_text(target, data.submission(rows, classes))
    if not as_json:
        click.echo(f"{path}: {len(classes):,} images; their classes are in {target}")
    return [
        {"image": f"{path}, image {number}", "class": name, "probabilities": {name: share}, "notes": []}
        for number, (name, share) in enumerate(zip(classes, shares.tolist(), strict=True), 1)
    ]


def _save_png(image: Any, folder: Path, stem: str) -> Path:
    """Save uint8 [C, H, W] under a name that no other picture there has."""
    from PIL import Image

    from lenette.files import replacing

    path = _free(folder, f"{stem}-seen", ".png")
    with replacing(path) as temporary:
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(temporary, format="png")
    return path


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """Return a path that nothing has yet."""
    names = chain([f"{stem}{suffix}"], (f"{stem}-{number}{suffix}" for number in count(2)))
    return next(folder / name for name in names if not (folder / name).exists())


def _sketch(image: Any) -> str:
    """Draw uint8 [C, H, W] with characters, two columns a pixel since they are twice as high as wide."""
    image = image.mean(axis=0).astype("uint8")
    shades = " .:-=+*#%@"
    return "\n".join(
        "".join(shades[pixel * len(shades) // 256] * 2 for pixel in row).rstrip() for row in image.tolist()
    )


COMMANDS = [show, report, evaluate, predict]
