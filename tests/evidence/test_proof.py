import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest

from lenette import data, many, runs, stats
from lenette.errors import BudgetError, LenetteError, RecipeError, RunError
from lenette.evidence import sealed, weights
from lenette.evidence.proof import default_path, prove
from lenette.evidence.rule import conclude, make_rule
from lenette.evidence.schema import HEADER, SCHEMA, digest, misfit, read, read_done
from lenette.evidence.verify import verify
from lenette.evidence.words import proof_lines
from tests.evidence.conftest import TINY

TIMES = (
    "begun",
    "finished",
    "digest",
    "created",
    "opened",
    "seconds",
    "train_seconds",
    "evaluate_seconds",
    "max_seconds",
)


def timeless(value):
    """Return a proof without what a clock decides."""
    if isinstance(value, dict):
        return {name: timeless(item) for name, item in value.items() if name not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def interrupting_at(done):
    def progress(state):
        if state["done"] == done:
            raise KeyboardInterrupt

    return progress


def test_a_proof_says_what_its_runs_came_to(proofs):
    proof = read_done(proofs / "course.json")
    made = {run.seed: run for run in runs.in_store(proofs / "runs") if run.recipe == TINY}
    assert sorted(made) == [run["seed"] for run in proof["runs"]] == [1000, 1001, 1002]
    for entry in proof["runs"]:
        run = made[entry["seed"]]
        assert entry["accuracy"] == run.test_accuracy == run.curve["test_accuracy"][-1]
        assert len(entry["wrong"]) == run.final["test"]["num_errors"]
        assert entry["curve"] == run.curve
        assert entry["weights"] == weights.digest(run.model().state_dict())
    values = [run.test_accuracy for run in made.values()]
    decided, mean = stats.verdict(values, 0.85), stats.mean_interval(values)
    assert proof["verdict"]["verdict"] == decided.verdict == "proven"
    assert (proof["verdict"]["low"], proof["verdict"]["high"]) == (decided.low, decided.high)
    assert {name: proof["summary"][name] for name in ("mean", "deviation", "low", "high")} == {
        name: value for name, value in asdict(mean).items() if name in ("mean", "deviation", "low", "high")
    }
    best = [max(run.curve["test_accuracy"]) for run in made.values()]
    assert proof["summary"]["best_epoch"]["mean"] == np.mean(best)
    assert proof["summary"]["best_epoch"]["optimism"] == pytest.approx(np.mean(best) - np.mean(values))
    assert proof["summary"]["seconds"]["train"] == sum(run.metrics[-1]["train_seconds"] for run in made.values())
    assert proof["parameters"] == 79_510
    assert "says nothing of other images" in proof["verdict"]["words"][-1]


def test_the_file_is_strict_json_of_the_documented_form(proofs):
    for path in proofs.glob("*.json"):
        proof = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert misfit(proof, SCHEMA) == ""
        assert proof["digest"] == digest(proof)
        assert "\n".join(proof_lines(proof)).count("This is not MNIST") == 1


def test_the_rule_is_written_before_the_first_run(tmp_path):
    seen = []

    def progress(state):
        if not seen:
            seen.append((read(tmp_path / "p.json"), list((tmp_path / "runs").glob("*/run.json"))))

    done = prove(TINY, 0.9, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1, progress=progress)
    begun, in_store = seen[0]
    assert in_store == []
    assert (begun["status"], misfit(begun, HEADER)) == ("begun", "")
    assert {name: done[name] for name in HEADER if name != "status"} == {
        name: value for name, value in begun.items() if name != "status"
    }
    assert "proven where the lower one-sided 95 % bound" in " ".join(begun["rule"]["words"])
    assert done["summary"]["before_the_rule"] == []


def test_runs_older_than_the_rule_are_named(tmp_path, monkeypatch):
    how = {"store": tmp_path / "runs", "processes": 1}
    prove(TINY, 0.9, 2, out=tmp_path / "first.json", **how)
    monkeypatch.setattr("lenette.evidence.proof._now", lambda: "2999-01-01T00:00:00+00:00")
    later = prove(TINY, 0.8, 3, out=tmp_path / "second.json", **how)
    assert later["summary"]["before_the_rule"][:2] == [1000, 1001]
    assert "had been made before the rule was written" in later["verdict"]["words"][-1]


@pytest.mark.parametrize("protocol", ["course", "sealed"])
def test_a_proof_that_was_cut_off_ends_as_if_it_had_not_been(protocol, proofs, tmp_path):
    how = {"out": tmp_path / "p.json", "store": tmp_path / "runs", "processes": 1}
    recipe = TINY.but(protocol=protocol)
    for done in (0, 1, 2):
        with pytest.raises(KeyboardInterrupt):
            prove(recipe, 0.85, 3, **how, progress=interrupting_at(done))
        assert read(tmp_path / "p.json")["status"] == "begun"
        with pytest.raises(LenetteError, match="begun and not finished"):
            read_done(tmp_path / "p.json")
    ended, whole = prove(recipe, 0.85, 3, **how), read(proofs / f"{protocol}.json")
    for proof in (ended, whole):
        proof["weights"].pop("file")
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
    assert read(tmp_path / "proofs/tiny.json")["status"] == "begun"
    how = {"out": tmp_path / "proofs/tiny.json", "store": tmp_path / "runs", "processes": 1}
    ended = prove(recipe, 0.85, 2, **how)
    whole = prove(recipe, 0.85, 2, **how | {"out": tmp_path / "w/tiny.json", "store": tmp_path / "other"})
    assert timeless(ended) == timeless(whole)


def test_a_proof_that_is_done_is_found(proofs, monkeypatch):
    monkeypatch.setattr(many, "run", lambda *_, **__: pytest.fail("trained again"))
    before = (proofs / "course.json").read_bytes()
    found = prove(TINY, 0.85, 3, out=proofs / "course.json", store=proofs / "runs")
    assert found == read(proofs / "course.json")
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
    with pytest.raises(RunError, match=f"holds another proof: its {what} differ.*--out"):
        prove(TINY.but(**changes), accuracy, seeds, out=own / "course.json", store=proofs / "runs")
    assert (own / "course.json").read_bytes() == before


def test_a_sealed_proof_trains_on_all_images_and_opens_the_test_at_the_end(proofs, tmp_path, monkeypatch):
    proof = read(proofs / "sealed.json")
    assert "fold = -1" in proof["recipe"]["toml"]
    assert proof["data"]["num_images"] == len(data.load("optdigits", "train"))
    assert proof["test"]["openings"] == 3
    assert proof["summary"]["best_epoch"] is None
    assert all("test_accuracy" not in run["curve"] for run in proof["runs"])
    openings = {run.seed: sealed.openings(run) for run in runs.in_store(proofs / "runs") if run.recipe.fold == -1}
    assert {run["seed"]: run["opened"] for run in proof["runs"]} == {s: o[0]["time"] for s, o in openings.items()}

    load, run_all = data.load, many.run
    closed = [True]

    def guarded(name, part="train", folder=None):
        assert part != "test" or not closed[0]
        return load(name, part, folder)

    def then_open(*jobs, **how):
        made = run_all(*jobs, **how)
        closed[0] = False
        return made

    monkeypatch.setattr(data, "load", guarded)
    monkeypatch.setattr(many, "run", then_open)
    how = {"store": tmp_path / "runs", "processes": 1}
    prove(TINY.but(protocol="sealed"), 0.85, 2, out=tmp_path / "p.json", **how)
    again = prove(TINY.but(protocol="sealed"), 0.8, 2, out=tmp_path / "again.json", **how)
    assert again["test"]["openings"] == 2, "the same weights need no second opening"


def test_a_run_that_diverges_refutes(tmp_path):
    recipe = TINY.but(lr=1e18, weight_decay=1e18)
    proof = prove(recipe, 0.1, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    assert proof["verdict"]["verdict"] == "refuted"
    assert proof["summary"]["diverged"] == [1000, 1001]
    assert proof["summary"]["mean"] is None
    assert proof["weights"]["file"] is None
    assert "refutes the claim" in " ".join(proof_lines(proof))
    assert not verify(tmp_path / "p.json", store=tmp_path / "runs")["refused"]


def synthetic(values, accuracy):
    """Return as much of a proof as conclusions are drawn from."""
    rule = make_rule(TINY, accuracy, len(values))
    made = [
        {
            "seed": seed,
            "accuracy": value,
            "status": "done" if value is not None else "diverged",
            "created": "1",
            "curve": {},
        }
        for seed, value in zip(rule["seeds"], values, strict=True)
    ]
    return {"rule": rule, "runs": made, "begun": "0", "parameters": 1, "bytes": 4}


def test_one_diverged_seed_among_good_ones_refutes():
    concluded = conclude(synthetic([0.995, 0.996, None, 0.995], 0.994), TINY)
    assert concluded["verdict"]["verdict"] == "refuted"
    assert concluded["summary"]["diverged"] == [1002]
    assert concluded["summary"]["mean"] == pytest.approx((0.995 + 0.996 + 0.995) / 3)
    assert concluded["certificate"]["granted"] is False


def test_a_false_claim_is_proven_at_most_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.994, 4e-4, (1500, 10))
    told = [conclude(synthetic(list(values), 0.994), TINY)["verdict"]["verdict"] for values in draws]
    assert told.count("proven") / 1500 == pytest.approx(0.05, abs=0.015)
    assert told.count("refuted") / 1500 == pytest.approx(0.05, abs=0.015)


def test_without_an_accuracy_it_is_only_measured(tmp_path):
    proof = prove(TINY, seeds=1, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    assert (proof["rule"]["accuracy"], proof["verdict"]["verdict"]) == (None, "none")
    assert proof["certificate"]["granted"] is False
    assert not verify(tmp_path / "p.json")["refused"]


def test_the_recipes_claim_is_what_is_proven_if_nothing_is_said(tmp_path):
    recipe = TINY.but(claim_test_accuracy=0.5)
    assert prove(recipe, seeds=2, out=tmp_path / "p.json", store=tmp_path / "r", processes=1)["rule"]["accuracy"] == 0.5


def test_large_weights_are_left_out(tmp_path):
    proof = prove(TINY, 0.85, 4, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    assert proof["weights"] == {"file": None, "digest": None, "bytes": 4 * proof["bytes"]}
    assert not (tmp_path / "p.safetensors").exists()
    assert verify(tmp_path / "p.json", store=tmp_path / "runs")["unchecked"] == []
    elsewhere = verify(tmp_path / "p.json", store=tmp_path / "nowhere")
    assert not elsewhere["refused"]
    assert "too large to be kept beside the proof" in elsewhere["unchecked"][0]


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
    assert proof["rule"]["accuracy"] == 0.994
    assert (proof["verdict"]["verdict"], proof["certificate"]["granted"]) == ("refuted", False)
    rows = {row["name"]: (row["limit"], row["measured"], row["met"]) for row in proof["certificate"]["budget"]}
    assert rows == {"max_parameters": (7_600, 7_596, True), "max_epochs": (15, 1, True)}
    assert not verify(tmp_path / "p.json")["refused"]


def test_a_certificate_is_granted_where_both_are_kept(proofs):
    proof = read(proofs / "course.json")
    assert proof["certificate"]["granted"] is True
    assert proof_lines(proof)[-1] == "certificate: granted"


@pytest.mark.parametrize(("accuracy", "seeds"), [(99.4, 3), (-0.1, 3), (0.9, 1)])
def test_a_rule_that_decides_nothing_is_refused(accuracy, seeds, tmp_path):
    with pytest.raises(LenetteError, match=r"accuracy to prove|at least 2"):
        prove(TINY, accuracy, seeds, out=tmp_path / "p.json", store=tmp_path / "runs")
    assert not (tmp_path / "p.json").exists()


def test_names_of_files():
    assert str(default_path(TINY)) == "proofs/tiny.json"
    assert str(default_path(TINY, "under_8k")) == "proofs/tiny-under_8k.json"
