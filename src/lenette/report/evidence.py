"""The pages of proofs and comparisons: one HTML file each, that needs nothing else."""

from pathlib import Path

from lenette import data, files, jobs
from lenette.errors import LenetteError
from lenette.evidence import words
from lenette.evidence.compare import Comparison
from lenette.evidence.proof import Proof, read_done, recipe_of
from lenette.evidence.verify import Verification
from lenette.report.facts import dataset
from lenette.report.figures import evidence as figures
from lenette.report.html import render
from lenette.report.page import data_uri, inline
from lenette.report.words import not_mnist
from lenette.text import percent, points


def proof_page(proof: Proof, verification: Verification) -> str:
    """Return the page of a proof, with what `verify` found."""
    recipe = recipe_of(proof)
    rows = [
        {
            "seed": run.seed,
            "accuracy": "diverged" if run.accuracy is None else percent(run.accuracy),
            "wrong": "" if run.wrong is None else len(run.wrong),
            "best epoch": percent(max(run.curve.test_accuracy)) if run.curve.test_accuracy else "",
            "seconds": f"{run.curve.train_seconds[-1]:,.1f}" if run.curve.train_seconds else "",
            "collapsed": "yes" if run.seed in proof.summary.collapsed else "",
            "weights": (run.weights or "")[:12],
        }
        for run in proof.runs
    ]
    if not proof.summary.collapsed:
        for row in rows:
            del row["collapsed"]
    name = proof.name or recipe.model
    drawn = [inline(figures.seeds(proof), "seeds", f"Test accuracy of each seed of {name}")]
    if any(run.curve.epoch for run in proof.runs):
        drawn.append(inline(figures.curves(proof), "curves", f"Error of each seed of {name} against the epoch"))
    lines = [line for line in words.proof_lines(proof, verification) if not line.startswith("***")]
    return render(
        "evidence.html",
        kind=f"proof, {verification.end}",
        title=f"{name}: {_outcome(proof, verification)}",
        alarm=not_mnist(dataset(recipe.dataset)),
        lines=[line for line in lines if not line.startswith(words.RECORD)],
        pictures=drawn,
        rows=rows,
        sections={
            "The rule, written down before the first run": proof.rule.words,
            "What rests on the record alone": verification.on_record,
        },
        source=proof.recipe,
        tiles=[],
    )


def _outcome(proof: Proof, verification: Verification) -> str:
    if verification.conclusion is None:
        return verification.end
    return "measured" if proof.rule.accuracy is None else verification.conclusion.verdict.verdict


def compare_page(found: Comparison, images: data.Dataset | None = None) -> str:
    """Return the page of a comparison; given the images of both, it shows those that changed sides."""
    rows = [
        {
            "seed": pair.seed,
            "A": percent(pair.first),
            "B": percent(pair.second),
            "B - A": points(pair.difference, 3),
            "right in A only": pair.only_first,
            "in B only": pair.only_second,
            "McNemar's p": f"{pair.p_value:.3g}",
        }
        for pair in found.pairs
    ]
    tiles = []
    if images is not None:
        for row in found.changed:
            label = images.classes[int(images.labels[row.image])]
            told = f"image {row.image}: A right in {row.first}, B in {row.second} of {len(rows)}"
            tiles.append({"source": data_uri(images.images[row.image]), "label": label, "words": told})
    label = f"Differences in accuracy between {found.first.label} and {found.second.label}"
    return render(
        "evidence.html",
        kind="comparison",
        title=f"{found.first.label} against {found.second.label}",
        alarm=not_mnist(dataset(found.dataset)),
        lines=words.compare_lines(found),
        pictures=[inline(figures.differences(found), "differences", label)],
        rows=rows,
        sections={},
        source="",
        tiles=tiles,
    )


def evaluated_images(first: str | Path, found: Comparison, folder: str | Path | None = None) -> data.Dataset | None:
    """Return the test images that a comparison of two proofs speaks of, or None where they are not here."""
    if found.kind != "proofs":
        return None
    proof = read_done(first)
    try:
        images = jobs.part(recipe_of(proof), "test", folder)
    except LenetteError:
        return None
    return images if images.digest == proof.test.digest else None


def write(path: Path, page: str) -> Path:
    """Write a page, and return where it is."""
    files.write_text(path, page)
    return path
