"""The pages of proofs and comparisons: one HTML file each, that needs nothing else."""

from pathlib import Path
from typing import Any

from lenette import data, files
from lenette.errors import LenetteError
from lenette.evidence import words
from lenette.evidence.rule import percent
from lenette.evidence.schema import Proof, read_done, recipe_of
from lenette.report.facts import dataset
from lenette.report.figures import evidence as figures
from lenette.report.html import render
from lenette.report.page import data_uri, inline
from lenette.report.words import not_mnist


def proof_page(proof: Proof) -> str:
    """Return the page of a proof."""
    recipe = recipe_of(proof)
    rows = [
        {
            "seed": run["seed"],
            "accuracy": "diverged" if run["accuracy"] is None else percent(run["accuracy"], 2),
            "wrong": "" if run["wrong"] is None else len(run["wrong"]),
            "best epoch": percent(max(run["curve"]["test_accuracy"]), 2) if run["curve"].get("test_accuracy") else "",
            "seconds": f"{run['curve']['train_seconds'][-1]:,.1f}" if run["curve"] else "",
            "weights": (run["weights"] or "")[:12],
        }
        for run in proof["runs"]
    ]
    name = proof["name"] or recipe.model
    drawn = {"seeds": inline(figures.seeds(proof), "seeds", f"Test accuracy of each seed of {name}")}
    if any(run["curve"] for run in proof["runs"]):
        drawn["curves"] = inline(figures.curves(proof), "curves", f"Error of each seed of {name} against the epoch")
    return render(
        "evidence.html",
        kind="proof",
        title=f"{name}: {proof['verdict']['verdict']}" if proof["rule"]["accuracy"] else f"{name}: measured",
        alarm=not_mnist(dataset(recipe.dataset)),
        lines=[line for line in words.proof_lines(proof) if not line.startswith("***")],
        pictures=list(drawn.values()),
        rows=rows,
        sections={"The rule, written down before the first run": proof["rule"]["words"]},
        source=proof["recipe"]["toml"],
        tiles=[],
    )


def compare_page(result: dict[str, Any], images: data.Dataset | None = None) -> str:
    """Return the page of a comparison; given the images of both, it shows those that changed sides."""
    rows = [
        {
            "seed": pair["seed"],
            "A": percent(pair["first"], 2),
            "B": percent(pair["second"], 2),
            "B - A": words.points(pair["difference"]),
            "right in A only": pair["only_first"],
            "in B only": pair["only_second"],
            "McNemar's p": f"{pair['p_value']:.3g}",
        }
        for pair in result["pairs"]
    ]
    tiles = []
    if images is not None:
        for row in result["changed"]:
            label = images.classes[int(images.labels[row["image"]])]
            told = f"image {row['image']}: A right in {row['first']}, B in {row['second']} of {len(rows)}"
            tiles.append({"source": data_uri(images.images[row["image"]]), "label": label, "words": told})
    label = f"Differences in accuracy between {result['first']['label']} and {result['second']['label']}"
    return render(
        "evidence.html",
        kind="comparison",
        title=f"{result['first']['label']} against {result['second']['label']}",
        alarm=not_mnist(dataset(result["dataset"])),
        lines=words.compare_lines(result),
        pictures=[inline(figures.differences(result), "differences", label)],
        rows=rows,
        sections={},
        source="",
        tiles=tiles,
    )


def evaluated_images(
    first: str | Path, result: dict[str, Any], folder: str | Path | None = None
) -> data.Dataset | None:
    """Return the test images that a comparison of two proofs speaks of, or None where they are not here."""
    if result["kind"] != "proofs":
        return None
    proof = read_done(first)
    try:
        images = data.load(recipe_of(proof).dataset, "test", folder)
    except LenetteError:
        return None
    return images if images.digest == proof["test"]["digest"] else None


def write(path: Path, page: str) -> Path:
    """Write a page, and return where it is."""
    files.write_text(path, page)
    return path
