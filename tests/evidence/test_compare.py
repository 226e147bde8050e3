import numpy as np
import pytest

from lenette import data, runs, stats, training
from lenette.errors import LenetteError
from lenette.evidence import sealed
from lenette.evidence.compare import compare
from lenette.evidence.proof import read_done
from lenette.evidence.prove import prove
from lenette.evidence.words import compare_lines
from tests.evidence.conftest import TINY, plain, write


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A store with two runs of a course recipe, one of a sealed one, and one that holds nothing out."""
    store = tmp_path_factory.mktemp("store")
    how = {"store": store, "threads": 1}
    return store, {
        "slow": training.train(TINY, 5, **how),
        "fast": training.train(TINY, 6, lr=0.2, **how),
        "sealed": training.train(TINY, 5, protocol="sealed", **how),
        "closed": training.train(TINY, 5, protocol="sealed", fold=-1, **how),
    }


def test_two_proofs_are_paired_by_seed(proofs):
    result = compare(proofs / "course.json", proofs / "faster.json")
    one, two = (read_done(proofs / f"{name}.json").runs for name in ("course", "faster"))
    first, second = ([run.accuracy for run in side] for side in (one, two))
    assert result.kind == "proofs"
    assert result.recipe == {"lr": [0.05, 0.2]}
    assert [row.seed for row in result.pairs] == ["1000", "1001", "1002"]
    expected = stats.paired_difference(second, first)
    assert (result.difference.mean, result.difference.low) == (expected.mean, expected.low)
    assert result.difference.mean == pytest.approx(np.mean(second) - np.mean(first))
    for row, mine, theirs in zip(result.pairs, one, two, strict=True):
        missed, other = set(mine.wrong), set(theirs.wrong)
        assert (row.only_first, row.only_second) == (len(other - missed), len(missed - other))
    image = result.changed[0]
    assert image.first == sum(image.image not in run.wrong for run in one)
    assert image.second == sum(image.image not in run.wrong for run in two)
    ways = [abs(row.first - row.second) for row in result.changed]
    assert ways == sorted(ways, reverse=True)
    assert ways[-1] > 0
    text = "\n".join(compare_lines(result))
    assert "the recipes (A and B) differ in: lr 0.05 and 0.2" in text
    assert ("B is better" in text) == (expected.low > 0)


def test_two_runs_are_one_pair(pair):
    store, made = pair
    result = compare(made["slow"].id, made["fast"].id, store=store)
    images = data.load("optdigits", "test")
    right = [
        (run.logits(images.images).argmax(dim=1) == images.labels).tolist() for run in (made["slow"], made["fast"])
    ]
    (row,) = result.pairs
    expected = stats.mcnemar(*right)
    assert (row.only_first, row.only_second, row.p_value) == (
        expected.only_first,
        expected.only_second,
        expected.p_value,
    )
    assert (row.seed, row.first, row.second) == (
        "5 and 6",
        made["slow"].test_accuracy,
        made["fast"].test_accuracy,
    )
    assert (result.part, result.difference.low) == ("test", -np.inf)
    text = "\n".join(compare_lines(result))
    assert "one pair says nothing about other seeds" in text
    assert f"{expected.only_second} in B alone" in text


def test_a_sealed_run_is_compared_on_what_it_held_out(pair, proofs):
    store, made = pair
    result = compare(made["sealed"].id, made["sealed"].id, store=store)
    assert (result.part, result.num_images) == ("validation", len(data.load("optdigits", "train")) // 6 + 1)
    assert result.difference.mean == 0
    assert "the recipes are the same" in compare_lines(result)
    with pytest.raises(LenetteError, match="evaluated on different images"):
        compare(made["sealed"].id, made["slow"].id, store=store)


def test_a_run_that_held_out_nothing_needs_an_opening(pair):
    store, made = pair
    with pytest.raises(LenetteError, match=r"its sealed test was not opened.*--open-test"):
        compare(made["closed"].id, made["slow"].id, store=store)
    opened = sealed.open_test(made["closed"])
    result = compare(made["closed"].id, made["slow"].id, store=store)
    assert result.first.accuracy == pytest.approx(opened.accuracy)


def test_what_cannot_be_compared(pair, own):
    store, made = pair
    with pytest.raises(LenetteError, match="two proofs or two runs, not one of each"):
        compare(own / "course.json", made["slow"].id, store=store)
    with pytest.raises(LenetteError, match="no run 'nothing'"):
        compare("nothing", made["slow"].id, store=store)
    other = plain(own / "course.json")
    other["test"]["digest"] = "0" * 64
    write(own / "other.json", other)
    with pytest.raises(LenetteError, match="evaluated on different images"):
        compare(own / "course.json", own / "other.json")


def test_seeds_of_one_side_alone_are_left_out(own, tmp_path):
    prove(TINY, 0.85, 3, 1001, out=own / "later.json", store=tmp_path / "runs", processes=1)
    result = compare(own / "course.json", own / "later.json")
    assert [row.seed for row in result.pairs] == ["1001", "1002"]
    assert result.left_out == [1000, 1003]
    assert "left out, since only one has a result for it: seed 1000, 1003" in compare_lines(result)
    prove(TINY, 0.85, 2, 3000, out=own / "apart.json", store=tmp_path / "runs", processes=1)
    with pytest.raises(LenetteError, match="no seed in common"):
        compare(own / "course.json", own / "apart.json")


def test_a_run_whose_images_changed_is_refused(pair, monkeypatch):
    store, made = pair
    changed = data.load("optdigits", "test").subset(data.load("optdigits", "test").labels.argsort(), "test")
    monkeypatch.setattr("lenette.evidence.compare.datasets", lambda *_: (None, changed))
    with pytest.raises(LenetteError, match="on other test images than those that are here now"):
        compare(made["slow"].id, made["fast"].id, store=store)
    assert runs.find(made["slow"].id, store).test_accuracy > 0.5


def test_a_proof_of_absurd_bounds_allocates_nothing(own):
    """The test of two networks needs no more than the images that tell them apart."""
    for name in ("course", "faster"):
        proof = plain(own / f"{name}.json")
        proof["test"]["num_images"] = 100_000_000
        write(own / f"{name}.json", proof)
    assert compare(own / "course.json", own / "faster.json").num_images == 100_000_000
    proof["test"]["num_images"] = 4_000_000_000
    write(own / "faster.json", proof)
    with pytest.raises(LenetteError, match=r"`test.num_images`"):
        compare(own / "course.json", own / "faster.json")
