import json
from pathlib import Path

import pytest

from lenette import recipes
from lenette.errors import LenetteError
from lenette.evidence import claims as module
from lenette.evidence.claims import claims, documented, row
from lenette.evidence.schema import read
from lenette.evidence.words import BEGIN, END, claim_lines, claim_verdict, claims_markdown, interval, with_table
from lenette.stats import position
from tests.evidence.conftest import TINY

ROOT = Path(__file__).parents[2]
CLAIMING = TINY.but(claim_test_accuracy=0.9, claim_train_accuracy=0.5, claim_statistic="best", document="Z")


def test_ten_recipes_come_from_documents():
    assert len(documented()) == 10
    assert [recipe.document[0] for recipe in documented()] == list("AABCDDDDDE")


def test_what_is_not_measured_says_so(tmp_path):
    rows = claims(tmp_path)
    assert [found["name"] for found in rows] == [recipe.name for recipe in documented()]
    assert all("not measured yet" in found["why_not"] for found in rows)
    table = claims_markdown(rows)
    assert table.count("not measured yet") == 10
    assert "| `transition_19k` | B, part 2 | 19,192 | 20 | - | not measured yet |  | 99.45 (last) |" in table
    assert sum("not measured yet" in line for line in claim_lines(rows)) == 10


def test_like_is_held_against_like(own):
    proof = read(own / "course.json")
    found = row(CLAIMING, own / "course.json")
    curves = [run["curve"] for run in proof["runs"]]
    test, train = found["claims"]
    best = [max(curve["test_accuracy"]) for curve in curves]
    running = [max(curve["train_accuracy_running"]) for curve in curves]
    assert (test["quantity"], train["quantity"]) == ("test_accuracy", "train_accuracy_running")
    assert test["measured"] == pytest.approx(sum(best) / 3)
    assert (train["minimum"], train["maximum"]) == (min(running), max(running))
    assert test["position"]["above"] == position(0.9, best).above
    last = row(CLAIMING.but(claim_statistic="last"), own / "course.json")["claims"][1]
    assert last["maximum"] == max(curve["train_accuracy_running"][-1] for curve in curves)
    assert (found["last"]["mean"], found["best_epoch"]) == (proof["summary"]["mean"], proof["summary"]["best_epoch"])
    assert row(TINY, own / "course.json")["claims"] == []


def test_a_figure_taken_on_training_images_is_held_against_training_images(own, monkeypatch):
    monkeypatch.setattr(module, "TAKEN_ON_TRAIN", {"tiny"})
    claim = row(CLAIMING.but(claim_statistic="last"), own / "course.json")["claims"][0]
    ours = [run["curve"]["train_accuracy"][-1] for run in read(own / "course.json")["runs"]]
    assert (claim["quantity"], claim["maximum"]) == ("train_accuracy", max(ours))
    assert {"tiny"} | set(recipes.names()) >= module.TAKEN_ON_TRAIN


@pytest.mark.parametrize(
    ("claimed", "said", "cell"),
    [(0.99, "higher than one more run", "too high"), (0.9, "as one more run", "fits"), (0.5, "lower than", "too low")],
)
def test_where_a_claim_lies(claimed, said, cell):
    values = [0.89, 0.9, 0.91]
    claim = {"position": vars(position(claimed, values)), "claimed": claimed, "statistic": "best", "part": "test"}
    assert said in claim_verdict(claim)
    claim |= {"quantity": "test_accuracy", "minimum": 0.89, "maximum": 0.91}
    last = {"mean": 0.9, "low": 0.8, "high": 1.0}
    found = {
        "name": "x",
        "document": "X",
        "epochs": 1,
        "parameters": 1,
        "num_seeds": 3,
        "last": last,
        "best_epoch": None,
        "claims": [claim],
        "why_not": "",
    }
    assert f"{100 * claimed:.2f} (best) | 89.00 to 91.00: {cell} |" in claims_markdown([found])


def test_no_interval_goes_beyond_what_an_accuracy_can_be():
    assert interval(0.94, 1.02) == "94.000 to 100.000 %"
    assert interval(-0.1, 0.5, 1) == "0.0 to 50.0 %"


def test_a_proof_of_another_recipe_counts_for_nothing(own):
    assert "another recipe" in row(CLAIMING.but(lr=0.3), own / "course.json")["why_not"]


def test_run_makes_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "documented", lambda: [CLAIMING])
    said = []
    how = {"store": tmp_path / "runs", "processes": 1}
    missing = {**row(CLAIMING, tmp_path / "none.json"), "name": "none"}
    (found,) = claims(tmp_path / "results", run=True, seeds=2, say=said.append, **how)
    assert (found["num_seeds"], found["why_not"], said) == (2, "", ["tiny"])
    assert read(tmp_path / "results/tiny.json")["rule"]["accuracy"] == 0.9
    json.dumps(found, allow_nan=False)
    text = "\n".join(claim_lines([found]))
    assert "claimed test accuracy 90.00 % (best epoch)" in text
    assert claims_markdown([missing, found]).splitlines()[2].startswith("| `none` |")
    assert "| - | not measured yet |  | 90.00 (best) |" in claims_markdown([missing, found]).splitlines()[2]
    monkeypatch.setattr(module, "prove", lambda *_, **__: pytest.fail("a proof that is done was made again"))
    assert claims(tmp_path / "results") == [found]
    assert claims(tmp_path / "results", run=True, engine="native", threads=2) == [found]


def test_every_shipped_proof_is_verified():
    """Without the data or the weights that were too large to keep, all that can be checked is."""
    from lenette.evidence.verify import verify

    paths = sorted(path for path in (ROOT / "results").rglob("*.json") if '"lenette proof"' in path.read_text()[:100])
    for path in paths:
        result = verify(path, store="nowhere")
        assert not result["refused"], result["checks"]


def test_the_readmes_table_is_generated_from_the_results(monkeypatch):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if BEGIN not in text:
        pytest.skip("the README has no table of claims")
    monkeypatch.chdir(ROOT)
    assert text == with_table(text, claims_markdown(claims())), "stale: run `lenette claims --update README.md`"


def test_the_table_stands_between_its_marks():
    text = f"a\n{BEGIN}\nold\n{END}\nb\n"
    assert with_table(text, "| new |") == f"a\n{BEGIN}\n\n| new |\n\n{END}\nb\n"
    assert with_table(with_table(text, "| new |"), "") == f"a\n{BEGIN}\n{END}\nb\n"
    for broken in ("", END + BEGIN, BEGIN):
        with pytest.raises(LenetteError, match="claims:begin"):
            with_table(broken, "")
