import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pytest
from msgspec import structs

from lenette import data, identity, ledger, many, records, runs, stats
from lenette.errors import BudgetError, LenetteError, RecipeError, RunError
from lenette.evidence import sealed
from lenette.evidence.entry import Curve, Entry
from lenette.evidence.proof import Begun, Looks, Proof, read, read_done, sealed_up
from lenette.evidence.prove import default_path, prove
from lenette.evidence.rule import conclude, make_rule, verdict_words
from lenette.evidence.verify import verify
from lenette.evidence.words import proof_lines, summary_lines
from tests.evidence.conftest import TINY, plain

TIMES = (
    "begun",
    "finished",
    "digest",
    "created",
    "opened",
    "seconds",
    "train_seconds",
    "evaluate_seconds",
    "longest_seconds",
    "max_seconds",
)


def timeless(value):
    """Return a proof without what a clock decides."""
    if isinstance(value, dict):
        return {name: timeless(item) for name, item in value.items() if name not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def interrupting_at(done):
    def progress(state):
        if state.done == done:
            raise KeyboardInterrupt

    return progress


def test_a_proof_says_what_its_runs_came_to(proofs):
    proof = read_done(proofs / "course.json")
    made = {run.seed: run for run in runs.in_store(proofs / "runs") if run.recipe == TINY}
    assert sorted(made) == [run.seed for run in proof.runs] == [1000, 1001, 1002]
    for entry in proof.runs:
        run = made[entry.seed]
        assert entry.accuracy == run.test_accuracy == run.curve["test_accuracy"][-1]
        assert len(entry.wrong) == run.final["test"].num_errors
        assert {name: list(column) for name, column in entry.curve.columns().items()} == run.curve
        assert entry.weights == identity.weights(run.network().model.state_dict())
        assert (entry.key, entry.initial) == (run.about.key, run.about.question.network.initial)
    values = [run.test_accuracy for run in made.values()]
    decided, mean = stats.verdict(values, 0.85), stats.mean_interval(values)
    assert proof.verdict.verdict == decided.verdict == "proven"
    assert (proof.verdict.low, proof.verdict.high) == (decided.low, decided.high)
    names = ("mean", "deviation", "low", "high")
    assert {name: getattr(proof.summary, name) for name in names} == {name: asdict(mean)[name] for name in names}
    best = [max(run.curve["test_accuracy"]) for run in made.values()]
    assert proof.summary.best_epoch.mean == np.mean(best)
    assert proof.summary.best_epoch.above_last == pytest.approx(np.mean(best) - np.mean(values))
    assert proof.summary.train_seconds == sum(run.metrics[-1].train_seconds for run in made.values())
    assert (proof.network.counts.trainable, proof.summary.collapsed) == (79_510, [])
    assert "says nothing of other images" in " ".join(proof_lines(proof))


def test_the_file_is_read_as_it_was_written(proofs):
    for path in proofs.glob("*.json"):
        proof = read_done(path)
        assert records.plain(proof) == plain(path)
        assert sealed_up(proof) == proof
        assert "\n".join(proof_lines(proof)).count("This is not MNIST") == 1


def test_the_rule_is_written_before_the_first_run(tmp_path):
    seen = []

    def progress(state):
        if not seen:
            seen.append((read(tmp_path / "p.json"), list((tmp_path / "runs").glob("*/run.json"))))

    done = prove(TINY, 0.9, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1, progress=progress)
    begun, in_store = seen[0]
    assert in_store == []
    assert not isinstance(begun, Proof)
    assert {name: getattr(done, name) for name in Begun.__struct_fields__} == structs.asdict(begun)
    assert "proven where the lower one-sided 95 % bound" in " ".join(begun.rule.words)
    assert done.summary.before_the_rule == []


def test_runs_older_than_the_rule_are_named(tmp_path, monkeypatch):
    how = {"store": tmp_path / "runs", "processes": 1}
    prove(TINY, 0.9, 2, out=tmp_path / "first.json", **how)
    monkeypatch.setattr("lenette.evidence.prove._now", lambda: datetime(2999, 1, 1, tzinfo=UTC))
    later = prove(TINY, 0.8, 3, out=tmp_path / "second.json", **how)
    assert later.summary.before_the_rule[:2] == [1000, 1001]
    assert "had been made before the rule was written" in " ".join(proof_lines(later))
    found = verify(tmp_path / "second.json", store=tmp_path / "runs")
    assert (found.end, found.certificate.granted) == ("verified", False)


@pytest.mark.parametrize("protocol", ["course", "sealed"])
def test_a_proof_that_was_cut_off_ends_as_if_it_had_not_been(protocol, proofs, tmp_path):
    how = {"out": tmp_path / "p.json", "store": tmp_path / "runs", "processes": 1}
    recipe = TINY.but(protocol=protocol)
    for done in (0, 1, 2):
        with pytest.raises(KeyboardInterrupt):
            prove(recipe, 0.85, 3, **how, progress=interrupting_at(done))
        assert not isinstance(read(tmp_path / "p.json"), Proof)
        with pytest.raises(LenetteError, match="begun and not finished"):
            read_done(tmp_path / "p.json")
    prove(recipe, 0.85, 3, **how)
    ended, whole = plain(tmp_path / "p.json"), plain(proofs / f"{protocol}.json")
    for proof in (ended, whole):
        proof.pop("weights")
        proof["looks"].update(before=0, runs=0, recipes=0)
    assert timeless(ended) == timeless(whole)
    assert (tmp_path / "p.safetensors").read_bytes() == (proofs / f"{protocol}.safetensors").read_bytes()


def test_a_proof_killed_outright_goes_on(tmp_path):
    recipe = TINY.but(epochs=10)
    (tmp_path / "tiny.toml").write_text(recipe.to_toml())
    call = [
        sys.executable,
        "-c",
        "from lenette.cli import main; main()",
        "prove",
        "tiny.toml",
        "--accuracy",
        "85",
        "--seeds",
        "2",
    ]
    process = subprocess.Popen(
        [*call, "--processes", "1"], cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("runs/*/metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not isinstance(read(tmp_path / "proofs/tiny.json"), Proof)
    how = {"out": tmp_path / "proofs/tiny.json", "store": tmp_path / "runs", "processes": 1}
    ended = prove(recipe, 0.85, 2, **how)
    whole = prove(recipe, 0.85, 2, **how | {"out": tmp_path / "w/tiny.json", "store": tmp_path / "other"})
    assert timeless(records.plain(ended)) == timeless(records.plain(whole))


def test_a_proof_that_is_done_is_found(proofs, monkeypatch):
    monkeypatch.setattr(many, "run", lambda *_, **__: pytest.fail("trained again"))
    before = (proofs / "course.json").read_bytes()
    found = prove(TINY, 0.85, 3, out=proofs / "course.json", store=proofs / "runs")
    assert found == read_done(proofs / "course.json")
    assert (proofs / "course.json").read_bytes() == before


@pytest.mark.parametrize(
    ("accuracy", "seeds", "changes", "what"),
    [
        (0.86, 3, {}, "rule"),
        (0.85, 4, {}, "rule"),
        (0.85, 3, {"lr": 0.3}, "recipe"),
        (0.85, 3, {"max_bytes": 10**6}, "recipe"),
    ],
)
def test_a_rule_stands_once_it_is_written(accuracy, seeds, changes, what, own, proofs):
    before = (own / "course.json").read_bytes()
    with pytest.raises(RunError, match=f"holds another proof: its {what}.* differ.*--out"):
        prove(TINY.but(**changes), accuracy, seeds, out=own / "course.json", store=proofs / "runs")
    assert (own / "course.json").read_bytes() == before


def test_a_sealed_proof_trains_on_all_images_and_opens_the_test_at_the_end(proofs, tmp_path, monkeypatch):
    proof = read_done(proofs / "sealed.json")
    assert "fold = -1" in proof.recipe
    assert proof.data.num_images == len(data.load("optdigits", "train"))
    assert proof.looks.own == 3
    assert proof.summary.best_epoch is None
    assert all(run.curve.test_accuracy is None for run in proof.runs)
    opened = {run.seed: sealed.openings(run)[0].time for run in runs.in_store(proofs / "runs") if run.recipe.fold == -1}
    assert {run.seed: run.opened for run in proof.runs} == {s: datetime.fromisoformat(t) for s, t in opened.items()}

    load, run_all = data.load, many.run
    closed = [True]

    def guarded(name, part="train", *how):
        assert part != "test" or not closed[0]
        return load(name, part, *how)

    def then_open(*jobs, **how):
        made = run_all(*jobs, **how)
        closed[0] = False
        return made

    monkeypatch.setattr(data, "load", guarded)
    monkeypatch.setattr(many, "run", then_open)
    how = {"store": tmp_path / "runs", "processes": 1}
    prove(TINY.but(protocol="sealed"), 0.85, 2, out=tmp_path / "p.json", **how)
    again = prove(TINY.but(protocol="sealed"), 0.8, 2, out=tmp_path / "again.json", **how)
    assert again.looks.own == 2, "the same weights need no second opening"


def test_a_run_that_diverges_refutes(tmp_path):
    recipe = TINY.but(lr=1e18, weight_decay=1e18)
    proof = prove(recipe, 0.1, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    assert proof.verdict.verdict == "refuted"
    assert proof.summary.diverged == [1000, 1001]
    assert (proof.summary.mean, proof.weights) == (None, None)
    assert "refutes the claim" in " ".join(proof_lines(proof))
    assert verify(tmp_path / "p.json", store=tmp_path / "runs").end == "not verifiable here", "no weights show it"
    found = verify(tmp_path / "p.json", store="nowhere", retrain="all")
    assert (found.end, found.conclusion.verdict.verdict) == ("verified", "refuted")


def synthetic(begun, values, accuracy):
    """Return a header, and as much of its runs as conclusions are drawn from."""
    rule = make_rule(TINY, accuracy, len(values))
    made = [
        Entry(
            seed=seed,
            key="",
            status="diverged" if value is None else "done",
            created=begun.begun,
            environment=0,
            initial=None,
            weights=None,
            accuracy=value,
            loss=None,
            wrong=None,
            opened=None,
            curve=Curve(),
        )
        for seed, value in zip(rule.seeds, values, strict=True)
    ]
    return structs.replace(begun, rule=rule), made, TINY


@pytest.fixture
def begun(proofs):
    return read(proofs / "course.json")


def test_one_diverged_seed_among_good_ones_refutes(begun):
    found = conclude(*synthetic(begun, [0.995, 0.996, None, 0.995], 0.994))
    assert found.verdict.verdict == "refuted"
    assert found.summary.diverged == [1002]
    assert found.summary.mean == pytest.approx((0.995 + 0.996 + 0.995) / 3)


def test_a_false_claim_is_proven_at_most_as_often_as_the_level_says(begun):
    rng = np.random.default_rng(0)
    draws = rng.normal(0.994, 4e-4, (1500, 10))
    told = [conclude(*synthetic(begun, list(values), 0.994)).verdict.verdict for values in draws]
    assert told.count("proven") / 1500 == pytest.approx(0.05, abs=0.015)
    assert told.count("refuted") / 1500 == pytest.approx(0.05, abs=0.015)


def test_seeds_that_collapsed_leave_no_interval(begun):
    header, made, recipe = synthetic(begun, [0.99, 0.991, 0.8906, 0.992, 0.9926, 0.8909, 0.9932, 0.99], 0.992)
    found = conclude(header, made, recipe)
    assert found.summary.collapsed == [1002, 1005]
    words = " ".join([*verdict_words(header, found.summary, found.verdict), *summary_lines(found.summary)])
    assert "median 99.050 %, from 89.060 % to 99.320 %; 2 of 8 seeds collapsed (1002, 1005)" in words
    assert "95 % interval" not in words
    assert "100.0" not in words


def test_without_an_accuracy_it_is_only_measured(tmp_path):
    proof = prove(TINY, seeds=1, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    assert (proof.rule.accuracy, proof.verdict.verdict) == (None, "none")
    found = verify(tmp_path / "p.json")
    assert (found.end, found.certificate.granted) == ("verified", False)


def test_the_recipes_claim_is_what_is_proven_if_nothing_is_said(tmp_path):
    recipe = TINY.but(claim_test_accuracy=0.5)
    how = {"seeds": 2, "store": tmp_path / "r", "processes": 1}
    assert prove(recipe, out=tmp_path / "p.json", **how).rule.accuracy == 0.5
    of_the_best = recipe.but(claim_statistic="best")
    assert prove(of_the_best, out=tmp_path / "q.json", **how).rule.accuracy is None
    named = prove(of_the_best, 0.5, out=tmp_path / "r.json", **how)
    assert "says nothing of the document" in " ".join(proof_lines(named))


def test_large_weights_are_left_out(tmp_path):
    proof = prove(TINY, 0.85, 4, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    assert proof.weights is None
    assert not (tmp_path / "p.safetensors").exists()
    assert verify(tmp_path / "p.json", store=tmp_path / "runs").end == "verified"
    elsewhere = verify(tmp_path / "p.json", store=tmp_path / "nowhere")
    assert (elsewhere.end, elsewhere.conclusion, elsewhere.certificate) == ("not verifiable here", None, None)
    assert "--retrain all makes them again" in elsewhere.missing[0]


def test_presets(tmp_path):
    how = {"out": tmp_path / "p.json", "store": tmp_path / "runs", "processes": 1, "seeds": 2}
    for preset, limit in (("under_20k", "19,999"), ("under_10k", "9,999"), ("under_8k", "7,999")):
        with pytest.raises(BudgetError, match=f"79,510 against max_parameters = {limit}"):
            prove(TINY.but(max_parameters=0), preset=preset, **how)
    with pytest.raises(RecipeError, match="max_epochs = 15"):
        prove(TINY.but(epochs=16), preset="under_10k", **how)
    with pytest.raises(LenetteError, match="did you mean 'under_8k'"):
        prove(TINY, preset="under8k", **how)
    assert not (tmp_path / "p.json").exists()
    proof = prove(TINY.but(model="ladder_7k", epochs=1, max_parameters=7_600), preset="under_8k", **how)
    assert (proof.rule.accuracy, proof.verdict.verdict) == (0.994, "refuted")
    rows = {row.name: (row.limit, row.measured, row.met) for row in proof.budget}
    assert rows == {"max_parameters": (7_600, 7_596, True), "max_epochs": (15, 1, True)}
    found = verify(tmp_path / "p.json")
    assert (found.end, found.certificate.granted) == ("verified", False)


def test_only_a_verification_grants_a_certificate(proofs):
    proof = read_done(proofs / "course.json")
    assert "certificate: granted" not in proof_lines(proof)
    found = verify(proofs / "course.json")
    assert found.certificate.granted
    assert "certificate: granted" in proof_lines(proof, found)


@pytest.mark.parametrize(("accuracy", "seeds", "first"), [(99.4, 3, 0), (-0.1, 3, 0), (0.9, 1, 0), (0.9, 3, -1)])
def test_a_rule_that_decides_nothing_is_refused(accuracy, seeds, first, tmp_path):
    with pytest.raises(LenetteError, match=r"accuracy to prove|at least 2|none below 0"):
        prove(TINY, accuracy, seeds, first, out=tmp_path / "p.json", store=tmp_path / "runs")
    assert not (tmp_path / "p.json").exists()


def test_looks_of_other_recipes_before_are_counted(tmp_path):
    """Whoever chooses a recipe after having seen the test set shows it, whatever protocol the recipe says."""
    how = {"store": tmp_path / "runs", "processes": 1}
    first = prove(TINY, 0.85, 2, out=tmp_path / "first.json", **how)
    assert first.looks == Looks(own=2, before=0, runs=0, recipes=0)
    second = prove(TINY.but(protocol="sealed", lr=0.1), 0.85, 2, out=tmp_path / "second.json", **how)
    assert second.looks == Looks(own=2, before=2, runs=2, recipes=1)
    found = verify(tmp_path / "second.json")
    assert "by others before, in the same store: 2 (2 runs, 1 recipe)" in found.on_record[-1]
    assert [look.what for look in ledger.looks(tmp_path / "runs", second.test.digest)] == ["every epoch"] * 2 + [
        "opening"
    ] * 2


def test_names_of_files():
    assert str(default_path(TINY)) == "proofs/tiny.json"
    assert str(default_path(TINY, "under_8k")) == "proofs/tiny-under_8k.json"
