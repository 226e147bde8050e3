"""The page of one run: a single HTML file that needs nothing else."""

import base64
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lenette import files, models, text
from lenette.errors import LenetteError
from lenette.report import figures, words
from lenette.report.facts import Facts, facts
from lenette.report.figures.images import evaluated_images, most_doubtful, worst_mistakes
from lenette.report.html import render
from lenette.report.style import BLUE, GREY, INK, RULE, VERMILLION, to_svg
from lenette.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_WORST, NUM_DOUBTFUL = 20, 8
NO_IMAGES: dict[str, Any] = {"why_not": "", "worst": [], "doubtful": []}
# The page's own variables take the place of these inks, so that a figure follows light and dark.
INKS = {INK: "ink", GREY: "muted", RULE: "rule", BLUE: "blue", VERMILLION: "vermillion"}


def page(run: Run) -> str:
    """Return the run's report as one HTML file without any outside reference."""
    known, missing = facts(run), left_out(run)
    filters = {name: getattr(text, name) for name in ("percent", "points", "number", "duration", "count")}
    return render(
        "report.html",
        filters={**filters, "error": _error, "bytes": _bytes, "side": _side},
        known=known,
        words=words,
        percent_interval=text.percent_interval,
        left_out=missing,
        pictures=_pictures(run, known),
        images=_images(run) if known.result and not missing else NO_IMAGES,
        layers=None if missing else models.summary(run.untrained_model(), run.about.data.shape),
        recipe=run.recipe.values("what", "training", "augmentation"),
    )


def write(run: Run, path: Path | None = None) -> Path:
    """Write the page to `path`, or as report.html into the run's folder, and return where it is."""
    path = path or run.folder / "report.html"
    files.write_text(path, page(run))
    return path


def left_out(run: Run) -> str:
    """Return why the run's network can't be built, so that its layers and pictures have to be left out, or ""."""
    try:
        run.untrained_model()
    except LenetteError as error:
        return str(error)
    return ""


def _pictures(run: Run, known: Facts) -> dict[str, Any]:
    """Return the figures that the run has, as inline SVG by name."""
    label = f"{known.model} on {known.dataset.description}"
    drawn: dict[str, Any] = {}
    if known.last:
        drawn["error"] = inline(figures.error(run), "error", f"Line chart of the error against the epoch, {label}")
        drawn["loss"] = inline(figures.loss(run), "loss", f"Line chart of the loss against the epoch, {label}")
    drawn["rate"] = inline(figures.learning_rate(run), "rate", "Line chart of the learning rate against the epoch")
    if found := known.result:
        mistakes = f"Confusion matrix: {found.num_errors:,} mistakes in {found.num_images:,} images"
        drawn["confusion"] = inline(figures.confusion(run), "confusion", mistakes)
        drawn["classes"] = inline(figures.per_class(run), "classes", "Error of each class with its interval")
        error = f"Reliability diagram; expected calibration error {text.percent(found.calibration_error)}"
        drawn["calibration"] = inline(figures.calibration(run), "calibration", error)
    return drawn


def inline(figure: "Figure", name: str, label: str) -> Any:
    """Return a figure as <svg> for a page: with a label for those who can't see it, ids of its own, the page's inks."""
    from markupsafe import Markup, escape

    svg = re.sub(r"<style.*?</style>", "", to_svg(figure), flags=re.DOTALL)  # it would rule the whole page
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    for ink, variable in INKS.items():
        svg = svg.replace(ink, f"var(--{variable}, {ink})")
    svg = re.sub(r"'DejaVu Sans'", "inherit", svg)
    head, rest = svg.split(">", 1)
    box = re.findall(r'viewBox="([^"]*)"', head)[0]
    width = 1.45 * float(box.split()[2])  # pixels; a little larger than its inches
    style = f"stroke-linejoin:round;max-width:{width:.0f}px"
    return Markup(f'<svg role="img" aria-label="{escape(label)}" viewBox="{box}" style="{style}">{rest}')


def _images(run: Run) -> dict[str, Any]:
    """Return the worst and the most doubtful images as tiles, or why there are none."""
    try:
        dataset = evaluated_images(run)
        probabilities = run.network().probabilities(dataset.images)
    except LenetteError as error:
        return {**NO_IMAGES, "why_not": str(error)}

    def tile(index: int) -> dict[str, Any]:
        probability, predicted = probabilities[index].max(dim=0)
        true = int(dataset.labels[index])
        return {
            "source": data_uri(dataset.images[index]),
            "index": index,
            "true": dataset.classes[true],
            "predicted": dataset.classes[int(predicted)],
            "probability": probability.item(),
            "second": dataset.classes[int(probabilities[index].topk(2).indices[1])],
            "second_probability": probabilities[index].topk(2).values[1].item(),
        }

    worst = worst_mistakes(probabilities, dataset.labels)[:NUM_WORST].tolist()
    doubtful = most_doubtful(probabilities)[:NUM_DOUBTFUL].tolist()
    return {"why_not": "", "worst": [tile(index) for index in worst], "doubtful": [tile(index) for index in doubtful]}


def data_uri(image: torch.Tensor) -> str:
    """Return an image uint8 [C, H, W] as the data URI of a PNG, one of a single channel as ink on paper."""
    from PIL import Image

    pixels = (255 - image[0]).numpy() if len(image) == 1 else image[:3].permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _error(accuracy: float | None) -> str:
    return text.percent(None if accuracy is None else 1 - accuracy)


def _bytes(count: int) -> str:
    return f"{count / 2**20:.2f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def _side(shape: list[int] | int | None) -> str:
    if shape is None:
        return "–"
    return "×".join(map(str, shape)) if isinstance(shape, list) else str(shape)
