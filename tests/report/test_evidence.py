import re

import pytest

from lenette import data
from lenette.evidence.compare import compare
from lenette.evidence.proof import read_done
from lenette.evidence.prove import prove
from lenette.evidence.verify import verify
from lenette.report.evidence import compare_page, evaluated_images, proof_page, write
from tests.evidence.conftest import TINY

FOLDERS = {"course": TINY, "sealed": TINY.but(protocol="sealed"), "faster": TINY.but(lr=0.2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("proofs")
    for name, recipe in FOLDERS.items():
        prove(recipe, 0.85, 2, out=folder / f"{name}.json", store=folder / "runs", processes=1)
    return folder


def require_whole(page):
    assert page.startswith("<!doctype html>")
    assert not re.search(r'(src|href)="(?!data:|#)', page), "a page needs nothing else"
    assert "{{" not in page


@pytest.mark.parametrize("name", ["course", "sealed"])
def test_the_page_of_a_proof_holds_its_words_and_every_seed(name, folder):
    proof = read_done(folder / f"{name}.json")
    page = proof_page(proof, verify(folder / f"{name}.json"))
    require_whole(page)
    assert "This is not MNIST" in page
    assert "Verdict: proven." in page
    assert "Certificate: granted" in page
    assert "What rests on the record alone" in page
    assert page.count("<svg") == 2
    for run in proof.runs:
        assert f'<td class="n">{100 * run.accuracy:.2f}\N{NO-BREAK SPACE}%</td>' in page
        assert run.weights[:12] in page


def test_the_page_of_a_comparison_shows_the_images_that_changed_sides(folder, tmp_path):
    paths = [folder / f"{name}.json" for name in ("course", "faster")]
    result = compare(*paths)
    images = evaluated_images(paths[0], result)
    assert images is not None
    assert images.digest == data.load("optdigits", "test").digest
    page = compare_page(result, images)
    require_whole(page)
    assert page.count("<img") == len(result.changed) > 0
    assert "<img" not in compare_page(result)
    assert write(tmp_path / "page.html", page).read_text(encoding="utf-8") == page


def test_a_proof_whose_runs_diverged_has_a_page(tmp_path):
    recipe = TINY.but(lr=1e18, weight_decay=1e18)
    proof = prove(recipe, 0.1, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    page = proof_page(proof, verify(tmp_path / "p.json", retrain="all"))
    require_whole(page)
    assert page.count("diverged</td>") == 2
    assert ">tiny: refuted<" in page
    assert ">tiny: not verifiable here<" in proof_page(proof, verify(tmp_path / "p.json"))
