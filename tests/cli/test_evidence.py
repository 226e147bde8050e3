import json
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from lenette.cli import main
from tests.evidence.conftest import TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two recipes and their proofs."""
    folder = tmp_path_factory.mktemp("work")
    before = os.getcwd()
    os.chdir(folder)
    for name, recipe in (("tiny", TINY), ("faster", TINY.but(lr=0.2, name="faster"))):
        (folder / f"{name}.toml").write_text(recipe.to_toml())
        result = call("prove", f"{name}.toml", "--accuracy", "85", "--seeds", "2", "--processes", "1")
        assert result.exit_code == 0, result.output
    (folder / "said.txt").write_text(result.output)
    os.chdir(before)
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def call(*words):
    return CliRunner().invoke(main, words)


def test_prove_prints_its_verdict(folder):
    said = (folder / "said.txt").read_text()
    assert "2 of 2 runs" in said
    assert "Claim: at least 85 % in the mean over seeds. Verdict: proven." in said
    assert "certificate: granted" in said
    assert said.endswith("proof: proofs/faster.json, verified\n")
    assert sorted(path.name for path in folder.glob("proofs/*")) == [
        *("faster.json", "faster.safetensors", "tiny.json", "tiny.safetensors")
    ]


def test_a_proof_that_is_done_is_printed_again_as_json():
    result = call("prove", "tiny.toml", "--accuracy", "85", "--seeds", "2", "--json")
    assert json.loads(result.stdout)["verdict"]["verdict"] == "proven"


def test_prove_refuses_what_would_decide_nothing():
    assert "0.994 is no percentage such as 99.4" in call("prove", "tiny.toml", "--accuracy", "0.994").output
    assert call("prove", "tiny.toml", "--accuracy", "101").exit_code == 2
    result = call("prove", "tiny.toml", "--accuracy", "86", "--seeds", "2")
    assert (result.exit_code, "holds another proof" in result.output) == (1, True)


def test_prove_says_that_nothing_is_claimed():
    result = call("prove", "tiny.toml", "--seeds", "1", "--out", "proofs/tiny.json")
    assert "so that it is only measured: --accuracy names one" in result.stderr


def test_verify_exits_with_1_where_a_proof_is_refused(folder):
    result = call("verify", "proofs/tiny.json", "--retrain", "1001", "--second-test", "optdigits:test")
    assert result.exit_code == 0, result.output
    assert "proofs/tiny.json is verified; its verdict: proven" in result.output
    assert "the same weights and the same curve" in result.output
    assert "optdigits test, 300 images" in result.output
    forged = (folder / "proofs/tiny.json").read_text().replace('"proven"', '"refuted"')
    (folder / "forged.json").write_text(forged)
    result = call("verify", "forged.json")
    assert (result.exit_code, "REFUSED" in result.output) == (1, True)
    result = call("verify", "forged.json", "--json")
    assert (result.exit_code, json.loads(result.stdout)["end"]) == (1, "refused")


def test_verify_exits_with_3_where_nothing_can_be_recomputed(folder, tmp_path):
    shutil.copy(folder / "proofs/tiny.json", tmp_path)
    result = call("verify", str(tmp_path / "tiny.json"), "--store", "nowhere", "--page", str(tmp_path / "page.html"))
    assert (result.exit_code, "NOT VERIFIABLE HERE: nothing is granted" in result.stdout) == (3, True)
    assert "proven" not in result.stdout
    assert not (tmp_path / "page.html").exists()
    assert "no page: the proof is not verifiable here" in result.stderr
    again = call("verify", str(tmp_path / "tiny.json"), "--store", "nowhere", "--retrain", "1000", "--retrain", "1001")
    assert (again.exit_code, "certificate: granted" in again.stdout) == (0, True)
    assert "seed 1001 is trained again" in again.stderr
    assert call("verify", str(tmp_path / "tiny.json"), "--store", "nowhere", "--retrain", "all").exit_code == 0
    result = call("verify", str(tmp_path / "tiny.json"), "--retrain", "some")
    assert (result.exit_code, "a seed, such as 1000, or all" in result.output) == (2, True)


def test_compare_prints_sentences_and_a_row_a_seed():
    lines = call("compare", "proofs/tiny.json", "proofs/faster.json").output.splitlines()
    assert lines[0] == "A: tiny, 79,510 trainable parameters"
    assert [line.split()[0] for line in lines[-3:]] == ["seed", "1000", "1001"]
    assert json.loads(call("compare", "proofs/tiny.json", "proofs/faster.json", "--json").output)["kind"] == "proofs"
    assert "there is no proof proofs/none.json" in call("compare", "proofs/tiny.json", "proofs/none.json").output


def test_claims_prints_and_updates_the_table(folder):
    assert call("claims", "--results", "nowhere").output.count("not measured yet") == 10
    assert len(json.loads(call("claims", "--results", "nowhere", "--json").output)) == 10
    assert call("claims", "--results", "nowhere", "--markdown").output.count("not measured yet") == 10
    page = folder / "page.md"
    page.write_text("<!-- claims:begin -->\nold\n<!-- claims:end -->\n")
    assert call("claims", "--results", "nowhere", "--update", str(page)).exit_code == 0
    assert "old" not in page.read_text()
    assert page.read_text().count("not measured yet") == 10


def test_ctrl_c_says_that_nothing_is_lost(folder, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lenette.many.run", interrupted)
    result = call("prove", "tiny.toml", "--accuracy", "85", "--seeds", "2", "--out", "other.json")
    assert (result.exit_code, "The same command goes on" in result.output) == (130, True)


def test_help_is_quick():
    code = "import sys; from lenette.cli import main; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
