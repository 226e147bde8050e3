"""Figures hold what they say, in one style that is the same every time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from lenette import data, models, recipes
from lenette.data import Dataset
from lenette.engines import reference
from lenette.errors import LenetteError, ModelError, RunError
from lenette.metrics import evaluate
from lenette.plan import Plan
from lenette.report import figures
from lenette.report.figures.images import augmented, most_doubtful, worst_mistakes
from lenette.report.figures.network import class_activations
from lenette.runs import Run
from lenette.training import train

DIGITS = data.load("optdigits", "test")


def texts(figure: Figure) -> list[str]:
    """Return the titles of the axes, then the texts within them."""
    titles = [axes.get_title(loc=place) for axes in figure.axes for place in ("left", "center")]
    return [title for title in titles if title] + [text.get_text() for axes in figure.axes for text in axes.texts]


def lines(figure: Figure) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_ydata()) for axes in figure.axes for line in axes.get_lines()}


def test_curves_are_the_runs(course: Run) -> None:
    drawn = lines(figures.loss(course))
    np.testing.assert_allclose(drawn["test"], course.curve["test_loss"])
    np.testing.assert_allclose(drawn["train, running mean while learning"], course.curve["train_loss_running"])
    np.testing.assert_allclose(drawn["train, evaluated"], course.curve["train_loss"][-1:])
    drawn = lines(figures.error(course))
    np.testing.assert_allclose(drawn["test"], 100 - 100 * np.array(course.curve["test_accuracy"]))
    figure = figures.curves(course)
    assert len(figure.axes) == 2
    assert figure.axes[1].get_yscale() == "log"


def test_sealed_curves_speak_of_validation(sealed: Run) -> None:
    assert set(lines(figures.error(sealed))) == {
        "validation", "train, running mean while learning", "train, evaluated",
    }  # fmt: skip


def test_learning_rate_is_the_plans(course: Run, diverged: Run) -> None:
    plan = Plan(course.recipe, 0, course.about.data.num_images)
    axes = figures.learning_rate(course).axes[0]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), plan.rates())
    assert len(axes.get_lines()) == 1
    assert "diverged" in texts(figures.learning_rate(diverged))


def test_confusion_shows_every_count(lenet: Run) -> None:
    result = lenet.final["test"]
    counts = sorted(str(value) for row in result.confusion for value in row if value)
    figure = figures.confusion(lenet)
    assert sorted(text.get_text() for text in figure.axes[0].texts) == counts
    assert f"{result.num_errors:,} mistakes in 300 test images" in texts(figure)


def test_judgements_of_plain_tensors_and_many_or_missing_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 46, (300,), generator=generator)  # class 46 has no images
    result = evaluate(torch.randn(300, 47, generator=generator), labels)
    assert texts(figures.confusion(result)) == [f"{result.num_errors} mistakes in 300 images"]
    points = [line for line in figures.per_class(result).axes[0].get_lines() if line.get_marker() == "o"]
    assert len(points) == len(labels.unique())
    assert texts(figures.calibration(result)) == [f"Calibration error {100 * result.calibration_error:.2f} %"]


def test_per_class_errors_and_calibration_are_the_runs(lenet: Run) -> None:
    result = lenet.final["test"]
    drawn = [
        float(line.get_xdata()[0]) for line in figures.per_class(lenet).axes[0].get_lines() if line.get_marker() == "o"
    ]
    np.testing.assert_allclose(drawn, [100 * (1 - value) for value in result.per_class_accuracy], rtol=1e-5)
    axes = figures.calibration(lenet).axes[0]
    drawn = [float(line.get_ydata()[0]) for line in axes.get_lines() if line.get_marker() == "o"]
    assert drawn == [bin.accuracy for bin in result.calibration]


def test_worst_and_doubtful_are_in_order() -> None:
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.45, 0.35], [0.05, 0.0, 0.95]])
    labels = torch.tensor([1, 0, 2, 0])
    assert worst_mistakes(probabilities, labels).tolist() == [3, 0, 2]
    assert most_doubtful(probabilities).tolist() == [2, 1, 0, 3]


def test_worst_shows_the_surest_mistake_first(lenet: Run) -> None:
    probabilities = lenet.network().probabilities(DIGITS.images)
    index = int(worst_mistakes(probabilities, DIGITS.labels)[0])
    probability, predicted = probabilities[index].max(dim=0)
    figure = figures.worst(lenet, number=7)
    assert texts(figure)[0] == f"{int(DIGITS.labels[index])} > {int(predicted)}\n{100 * probability:.1f} %"
    np.testing.assert_allclose(figure.axes[0].get_images()[0].get_array(), 1 - DIGITS.images[index, 0] / 255)
    assert sum(bool(axes.get_images()) for axes in figure.axes) == 7
    assert sum(bool(axes.get_images()) for axes in figures.doubtful(lenet, DIGITS, number=3).axes) == 3


def test_a_run_that_evaluates_nothing_has_no_images_to_show(refit: Run) -> None:
    with pytest.raises(RunError, match="evaluates no images"):
        figures.worst(refit)


def test_samples_are_augmented_as_the_engine_does() -> None:
    dataset = data.load("optdigits")
    recipe = recipes.load("ladder_7k_step").but(epochs=2, brightness=0.3, contrast=0.2, erase_size=6, translation=2.0)
    plan = Plan(recipe, 3, len(dataset))
    engine = reference.Engine(models.build("lenet5"), plan, dataset)
    engine.step = plan.steps_per_epoch  # the first batch of the second epoch
    seen, labels = engine.batch()
    indices = plan.order(1)[: recipe.batch_size]
    changed = augmented(plan, dataset.images, 1, indices)
    torch.testing.assert_close((changed - dataset.mean[0]) / dataset.std[0], seen, rtol=0, atol=1e-6)
    assert labels.tolist() == dataset.labels[indices].tolist()
    assert len(figures.samples(dataset, recipe, number=5).axes) == 15
    assert len(figures.samples(dataset, number=5).axes) == 5


def test_colour_images_are_shown_as_they_are() -> None:
    images = torch.randint(0, 256, (4, 3, 9, 9), dtype=torch.uint8)
    dataset = Dataset("colours", "train", images, torch.tensor([0, 1, 0, 1]), ("$a", "b$"), (0.5,) * 3, (0.3,) * 3)
    figure = figures.samples(dataset)
    np.testing.assert_allclose(figure.axes[1].get_images()[0].get_array(), images[1].permute(1, 2, 0) / 255)
    assert "$a" in figures.to_svg(figure)


def test_error_band_is_mean_lowest_and_highest(store: Path, lenet: Run) -> None:
    runs = [train("lenet5", seed=seed, epochs=2, dataset="optdigits", threads=1, store=store) for seed in (0, 1)]
    errors = 100 - 100 * np.array([run.curve["test_accuracy"] for run in runs])
    axes = figures.error_band(runs).axes[0]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), errors.mean(axis=0))
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([band.min(), band.max()], [errors.min(), errors.max()])
    two = figures.error_band({"two epochs": runs, "six epochs": [lenet]}, "loss").axes[0]
    np.testing.assert_allclose(two.get_lines()[1].get_ydata(), lenet.curve["test_loss"])
    styles = {(line.get_linestyle(), line.get_marker()) for line in two.get_lines()}
    assert len(styles) == 2


def test_runs_without_an_epoch_are_left_out_or_refused(diverged: Run, lenet: Run, refit: Run) -> None:
    axes = figures.error_band([diverged, lenet]).axes[0]
    assert axes.get_lines()[0].get_label().startswith("mean of 1 seed;")
    for runs in ([diverged], [refit]):
        with pytest.raises(RunError, match="no run has finished an epoch in which it evaluated images"):
            figures.error_band(runs)
    with pytest.raises(RunError, match=r"no finished epoch to draw \(diverged\)"):
        figures.loss(diverged)


def test_filters_are_the_first_layers_weights(lenet: Run, store: Path) -> None:
    weights = lenet.network().model.get_parameter("conv1.weight").detach()[:, 0]
    drawn = [axes.get_images()[0].get_array() for axes in figures.filters(lenet).axes if axes.get_images()]
    np.testing.assert_allclose(np.stack(drawn), -weights)
    mlp = train("sigmoid_mlp", epochs=1, dataset="optdigits", threads=1, store=store)
    drawn = [axes.get_images()[0].get_array() for axes in figures.filters(mlp).axes if axes.get_images()]
    np.testing.assert_allclose(drawn[7], -mlp.network().model.get_parameter("fc1.weight").detach()[7].reshape(28, 28))
    for draw in (figures.grad_cam, figures.feature_maps):
        with pytest.raises(ModelError, match="no convolutions"):
            draw(mlp, DIGITS.images[0])


def test_feature_maps_are_the_activations(lenet: Run) -> None:
    image = DIGITS.images[0]
    about = lenet.about.data
    normalised = (image[None].float() / 255 - about.mean[0]) / about.std[0]
    layers = lenet.network().model
    assert isinstance(layers, nn.Sequential)
    with torch.no_grad():
        first = layers[:2](normalised)[0]
    figure = figures.feature_maps(lenet, image)
    drawn = [axes.get_images()[0].get_array() for axes in figure.axes if axes.get_images()]
    assert len(drawn) == 1 + 6 + 16
    np.testing.assert_allclose(np.stack(drawn[1:7]), first)
    assert len(figures.feature_maps(lenet, image, ["conv2"]).axes) == 17
    with pytest.raises(ModelError, match=r"layer 'fc1' has no maps; these have: conv1, relu1"):
        figures.feature_maps(lenet, image, ["fc1"])


def test_grad_cam_of_averaged_class_maps_is_the_class_map(course: Run) -> None:
    """Where the logits are the last maps' averages, the gradient picks out the class's own map."""
    image = DIGITS.images[3]
    about = course.about.data
    layers = course.network().model
    assert isinstance(layers, nn.Sequential)
    with torch.no_grad():
        maps = layers[:-2]((image[None].float() / 255 - about.mean[0]) / about.std[0])
    expected = nn.functional.interpolate(maps.relu() / 25, (28, 28), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(class_activations(course, image), expected)
    figure = figures.grad_cam(course, image)
    likeliest = int(course.network().probabilities(image[None])[0].argmax())
    assert texts(figure)[1].startswith(f"{likeliest}: ")
    assert sum(bool(axes.get_images()) for axes in figure.axes) == 11


def test_svg_is_the_same_every_time_and_its_text_is_text(lenet: Run) -> None:
    first, second = (figures.to_svg(figures.confusion(lenet)) for _ in range(2))
    assert first == second
    assert first.startswith("<svg")
    assert ">predicted</text>" in first
    assert "<metadata>" not in first
    assert len(figures.to_svg(figures.loss(lenet))) < 20_000


def test_save_by_suffix(lenet: Run, tmp_path: Path) -> None:
    figure = figures.loss(lenet)
    figures.to_svg(figure)  # matplotlib before 3.11 settles the layout's last digits in the second drawing
    assert figures.save(figure, tmp_path / "a" / "loss.svg").read_text() == figures.to_svg(figure)
    with Image.open(figures.save(figure, tmp_path / "loss.png")) as image:
        assert image.size == (960, 620)
    with pytest.raises(LenetteError, match=r"\.svg or \.png, not as 'loss\.gif'"):
        figures.save(figure, tmp_path / "loss.gif")


def test_report_is_imported_without_matplotlib() -> None:
    import subprocess
    import sys

    code = (
        "import sys, lenette.report; sys.exit(sum(name in sys.modules for name in ('matplotlib', 'jinja2', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
