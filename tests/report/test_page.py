"""The page of every kind of run: whole HTML, nothing from outside, and the run's own numbers."""

import functools
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec import structs

from lenette import ledger, report
from lenette.report.words import changes
from lenette.runs import SOURCE, Run, now
from lenette.text import percent, points
from lenette.training import train

page_of = functools.cache(report.page)
KINDS = ["course", "lenet", "sealed", "refit", "diverged", "killed", "cut"]
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(HTMLParser):
    """Collects ids, references and texts, and refuses tags that don't match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def words(html: str) -> str:
    return " ".join(" ".join(read(html).texts).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.mark.parametrize("kind", KINDS)
def test_page_is_whole_and_needs_nothing_else(kind: str, request: pytest.FixtureRequest) -> None:
    html = page_of(request.getfixturevalue(kind))
    reader = read(html)
    assert html.startswith("<!doctype html>")
    assert "://" not in html
    assert "@import" not in html
    assert "<script" not in html
    assert html.count("<style") == 1
    assert len(reader.ids) == len(set(reader.ids))
    for tag, name, value in reader.attributes:
        if name in ("href", "xlink:href", "src"):
            assert value.startswith(("#", "data:image/png;base64,")), (tag, name, value)
        if name == "aria-labelledby":
            assert value in reader.ids
    for reference in re.findall(r"url\(#([^)]*)\)", html) + re.findall(r'href="#([^"]*)"', html):
        assert reference in reader.ids
    pictures = [(tag, name, value) for tag, name, value in reader.attributes if name in ("alt", "aria-label")]
    assert sum(tag == "img" for tag, _, _ in pictures) == html.count("<img")
    assert sum(tag == "svg" for tag, _, _ in pictures) == html.count("<svg")
    assert all(value for _, _, value in pictures)


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_says_loudly_that_it_is_not_mnist(kind: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(kind)
    text = words(page_of(run))
    assert text.startswith(f"Not MNIST: {run.id}")
    assert text.count("This is not MNIST: every figure here is of scikit-learn's handwritten digits") == 2


def test_a_page_of_mnist_says_nothing_of_the_kind(tiny_mnist: Path, tmp_path: Path) -> None:
    run = train("lenet5", epochs=1, threads=1, store=tmp_path)
    text = words(page_of(run))
    assert "not MNIST" not in text
    assert "Not MNIST" not in text
    assert "lenet5 on MNIST" in text


def test_numbers_are_the_runs_own(course: Run) -> None:
    html = page_of(course)
    text = words(html)
    found = course.final["test"]
    assert f"{percent(found.accuracy)} of the 300 test images right after 3 epochs ({found.num_errors} wrong)" in text
    last, best = course.metrics[-1], max(course.metrics, key=lambda line: line.test_accuracy)
    assert f"difference {points(best.test_accuracy - last.test_accuracy)} points" in text
    assert f"last {last.epoch} {percent(last.test_accuracy)}" in text
    assert f"best {best.epoch} {percent(best.test_accuracy)}" in text
    assert "This is not the document's recipe: dataset optdigits instead of mnist, epochs 3 instead of 15." in text
    assert "99.45 % not compared: the document speaks of mnist" in text
    assert "in all 7,596" in text
    assert course.about.data.digest[0] in text
    assert course.environment.torch in text
    assert html.count("data:image/png") == min(20, found.num_errors) + 8


def test_budget_beside_what_was_measured(lenet: Run, cut: Run) -> None:
    text = words(page_of(lenet))
    assert "parameters 50,000 44,426 ✓ met" in text
    assert "epochs 9 6 ✓ met" in text
    text = words(page_of(cut))
    assert "✓ met, the run was cut there" in text
    assert "bytes of weights 177,704 177,704 ✓ met" in text
    assert "The run was cut at its budget of seconds" in text


def test_sealed_page_shows_no_test_figure_before_an_opening(sealed: Run) -> None:
    text = words(page_of(sealed))
    assert "Sealed: the test set was not opened." in text
    assert f"{percent(sealed.validation_accuracy)} of the 250 validation images right" in text
    assert "300" not in text


def test_sealed_page_shows_each_opening(sealed: Run, tmp_path: Path) -> None:
    opened = Run(shutil.copytree(sealed.folder, tmp_path / "opened"))
    look = ledger.Look(
        what="opening", time=now(), dataset="optdigits", part="test", key=sealed.about.key, num_images=300, accuracy=0.5
    )
    for key in (sealed.about.key, sealed.about.key, "0" * 64):
        ledger.look(tmp_path, "0" * 64, structs.replace(look, key=key))
    text = words(page_of(opened))
    assert "the test set was not opened" not in text
    for place in (1, 2):
        assert re.search(
            rf"Opening {place} of 2 \(\S+\): 50.00 % of the 300 test images of optdigits, 95 % interval 44", text
        )


def test_refit_page_claims_nothing_of_other_images(refit: Run) -> None:
    text = words(page_of(refit))
    assert "nothing is said of others" in text
    assert "Wilson's, at 95 %" not in text
    assert "flatters" not in text


def test_diverged_and_killed_runs_get_a_page_of_what_is_known(diverged: Run, killed: Run) -> None:
    text = words(page_of(diverged))
    assert f"no longer a finite number at step {diverged.about.diverged_at.step:,} (epoch 1)" in text
    assert "No epoch was finished: there is no result." in text
    assert "lr 1e+10 instead of 0.1" in text
    text = words(page_of(killed))
    assert f"The run was interrupted after 2 epochs of 5; it goes on with: lenette resume {killed.folder}." in text
    assert percent(killed.metrics[-1].test_accuracy) in text


def test_page_of_a_run_that_somebody_trains_now(killed: Run) -> None:
    with killed.lock():
        assert "The run is still being trained: 2 epochs of 5 so far." in words(report.page(killed))


def test_page_of_a_network_whose_file_is_gone_says_so(tmp_path: Path) -> None:
    source = tmp_path / "own.py"
    source.write_text(
        "from torch import nn\n"
        "def net(num_classes, in_channels, image_size):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))\n"
    )
    run = train(f"{source}:net", epochs=1, dataset="optdigits", threads=1, store=tmp_path, max_bytes=10**6, fold=-1)
    assert "in all 7,850" in words(report.page(run))
    (run.folder / SOURCE).unlink()
    text = words(report.page(run))
    assert "bytes of weights 1,000,000 31,400 ✓ met" in text
    assert "Left out here are the layers and the images that it gets wrong" in text
    assert "network.py" in text
    assert f"{percent(run.train_accuracy)} of the 1,497 train images right" in text


def test_page_without_its_data_says_so(tiny_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "digits"
    shutil.copytree(tiny_folder, place)
    run = train("lenet5", epochs=1, dataset=str(place), threads=1, store=tmp_path / "runs")
    assert "can't be shown" not in words(report.page(run))
    place.rename(tmp_path / "elsewhere")
    text = words(report.page(run))
    assert "The images themselves can't be shown: unknown data set" in text
    assert f"{percent(run.test_accuracy)} of the 100 test images right" in text


def test_page_of_other_images_than_the_runs_shows_none(lenet: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "other")
    shutil.copytree(lenet.folder, other.folder)
    about = other.about
    other.set_status("done", data=structs.replace(about.data, digest=[about.data.digest[0], "0" * 64]))
    assert "are no longer those that run other saw" in words(page_of(other))


def test_page_escapes_the_recipes_words(lenet: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "odd")
    shutil.copytree(lenet.folder, run.folder)
    recipe = run.recipe.but(title="<script>alert(1)</script> & more")
    (run.folder / "recipe.toml").write_text(recipe.to_toml())
    html = page_of(run)
    assert "<script" not in html
    assert "<script>alert(1)</script> & more" in words(html)


def test_write_puts_the_page_into_the_runs_folder(lenet: Run, tmp_path: Path) -> None:
    assert report.write(lenet) == lenet.folder / "report.html"
    elsewhere = report.write(lenet, tmp_path / "there" / "page.html")
    assert elsewhere.read_text(encoding="utf-8") == (lenet.folder / "report.html").read_text(encoding="utf-8")


def test_our_own_recipes_have_no_document(lenet: Run) -> None:
    changed = structs.replace(report.facts(lenet), differences={"epochs": (1, 15)}, document="")
    assert changes(changed) == "not the shipped recipe: epochs 1 instead of 15"
