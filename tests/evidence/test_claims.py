import pytest

from lenette import recipes
from lenette.errors import LenetteError
from lenette.evidence import claims as module
from lenette.evidence.claims import Claim, Row, claims, documented, row
from lenette.evidence.proof import read_done
from lenette.evidence.table import BEGIN, END, claim_lines, claim_verdict, claims_markdown, with_table
from lenette.stats import position, spread
from tests.evidence.conftest import ROOT, TINY

CLAIMING = TINY.but(claim_test_accuracy=0.9, claim_train_accuracy=0.5, claim_statistic="best", document="Z")


def test_ten_recipes_come_from_documents():
    assert len(documented()) == 10
    assert [recipe.document[0] for recipe in documented()] == list("AABCDDDDDE")


def test_what_is_not_measured_says_so(tmp_path):
    rows = claims(tmp_path)
    assert [found.name for found in rows] == [recipe.name for recipe in documented()]
    assert all("not measured yet" in found.why_not for found in rows)
    table = claims_markdown(rows)
    assert table.count("not measured yet") == 10
    assert "| `transition_19k` | B, part 2 | 19,192 | 20 | - | not measured yet |  | 99.45 (last) |" in table
    assert sum("not measured yet" in line for line in claim_lines(rows)) == 10


def test_like_is_held_against_like(own):
    proof = read_done(own / "course.json")
    found = row(CLAIMING, own / "course.json")
    curves = [run.curve for run in proof.runs]
    test, train = found.claims
    best = [max(curve.test_accuracy) for curve in curves]
    running = [max(curve.train_accuracy_running) for curve in curves]
    assert (test.quantity, train.quantity) == ("test_accuracy", "train_accuracy_running")
    assert test.measured == pytest.approx(sum(best) / 3)
    assert (train.minimum, train.maximum) == (min(running), max(running))
    assert test.position.above == position(0.9, best).above
    last = row(CLAIMING.but(claim_statistic="last"), own / "course.json").claims[1]
    assert last.maximum == max(curve.train_accuracy_running[-1] for curve in curves)
    assert found.summary == proof.summary
    assert row(TINY, own / "course.json").claims == ()


def test_a_figure_taken_on_training_images_is_held_against_training_images(own, monkeypatch):
    monkeypatch.setattr(module, "TAKEN_ON_TRAIN", {"tiny"})
    claim = row(CLAIMING.but(claim_statistic="last"), own / "course.json").claims[0]
    ours = [run.curve.train_accuracy[-1] for run in read_done(own / "course.json").runs]
    assert (claim.quantity, claim.maximum) == ("train_accuracy", max(ours))
    assert {"tiny"} | set(recipes.names()) >= module.TAKEN_ON_TRAIN


def claim_among(claimed, values):
    found = spread(values)
    return Claim(
        part="test",
        quantity="test_accuracy",
        statistic="best",
        claimed=claimed,
        measured=sum(values) / len(values),
        median=found.median,
        minimum=found.minimum,
        maximum=found.maximum,
        collapsed=len(found.collapsed),
        position=position(claimed, values),
    )


def row_of(summary, *found):
    return Row(
        name="x",
        document="X",
        title="",
        claim_note="",
        parameters=1,
        epochs=1,
        claimed_test=0.9,
        claimed_train=0.0,
        statistic="best",
        proof="x.json",
        why_not="",
        summary=summary,
        claims=found,
    )


@pytest.mark.parametrize(
    ("claimed", "said"),
    [(0.99, "would not (too high)"), (0.9, "could (not ruled out)"), (0.5, "would not (too low)")],
)
def test_where_a_claim_lies(claimed, said, own):
    claim = claim_among(claimed, [0.89, 0.9, 0.91])
    assert said in claim_verdict(claim)
    table = claims_markdown([row_of(read_done(own / "course.json").summary, claim)])
    cell = said.partition("(")[2].strip(")")
    assert f"{100 * claimed:.2f} (best) | 89.00 to 91.00: {cell} |" in table


def test_the_table_says_how_many_claims_were_held_against_an_interval(own):
    found = row_of(read_done(own / "course.json").summary, *[claim_among(0.9, [0.89, 0.9, 0.91])] * 7)
    table = claims_markdown([found, found])
    assert "Each of 14 claims is held" in table.splitlines()[-1]
    assert "ruled out by chance, here some 0.7." in table.splitlines()[-1]
    assert "Each of 14 claims is held" in claim_lines([found, found])[-1]


def test_seeds_that_collapsed_give_a_claim_no_interval():
    claim = claim_among(0.9922, [0.99, 0.991, 0.8906, 0.992, 0.9926, 0.8909, 0.9932, 0.99])
    assert claim_verdict(claim) == "the claim lies above 6, below 2 of 8 seeds"
    summary = read_done(ROOT / "results/claims/ladder_12k.json").summary
    table = claims_markdown([row_of(summary, claim)])
    assert "89.06 to 99.32, median 99.05: above 6 of 8 |" in table
    assert "2 of 10 seeds collapsed" in table
    assert "100.00" not in table


def test_a_proof_of_another_recipe_counts_for_nothing(own):
    assert "another recipe" in row(CLAIMING.but(lr=0.3), own / "course.json").why_not


def test_run_makes_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "documented", lambda: [CLAIMING])
    said = []
    how = {"store": tmp_path / "runs", "processes": 1}
    missing = row(CLAIMING.but(name="none"), tmp_path / "none.json")
    (found,) = claims(tmp_path / "results", run=True, seeds=2, say=said.append, **how)
    assert (found.summary.num_seeds, found.why_not, said) == (2, "", ["tiny"])
    assert read_done(tmp_path / "results/tiny.json").rule.accuracy is None, "no best epoch's figure is proven"
    text = "\n".join(claim_lines([found]))
    assert "claimed test accuracy 90.00 % (best epoch)" in text
    assert claims_markdown([missing, found]).splitlines()[2].startswith("| `none` |")
    assert "| - | not measured yet |  | 90.00 (best) |" in claims_markdown([missing, found]).splitlines()[2]
    monkeypatch.setattr(module, "prove", lambda *_, **__: pytest.fail("a proof that is done was made again"))
    assert claims(tmp_path / "results") == [found]
    assert claims(tmp_path / "results", run=True, engine="native", threads=2) == [found]


def test_the_documents_table_is_generated_from_the_results(monkeypatch):
    text = (ROOT / "docs" / "CLAIMS.md").read_text(encoding="utf-8")
    monkeypatch.chdir(ROOT)
    assert text == with_table(text, claims_markdown(claims())), "stale: run `lenette claims --update docs/CLAIMS.md`"


def test_the_table_stands_between_its_marks():
    text = f"a\n{BEGIN}\nold\n{END}\nb\n"
    assert with_table(text, "| new |") == f"a\n{BEGIN}\n\n| new |\n\n{END}\nb\n"
    assert with_table(with_table(text, "| new |"), "") == f"a\n{BEGIN}\n{END}\nb\n"
    for broken in ("", END + BEGIN, BEGIN):
        with pytest.raises(LenetteError, match="claims:begin"):
            with_table(broken, "")
