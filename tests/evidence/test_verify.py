import copy
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lenette import data as datasets
from lenette import records
from lenette.errors import DataError, LenetteError
from lenette.evidence.again import LEVEL
from lenette.evidence.prove import prove
from lenette.evidence.rule import unequal
from lenette.evidence.verify import verify
from lenette.evidence.words import verify_lines
from tests.evidence.conftest import ROOT, TINY, plain, write
from tests.evidence.test_forgeries import mended

# What stands on the record alone (a run made again shows its curve's losses).
ON_RECORD = {
    *("environments", "begun", "finished", "created", "opened", "looks", "train_seconds", "evaluate_seconds"),
    *("train_loss", "train_loss_running", "test_loss"),
}
SHIPPED = sorted(path for path in (ROOT / "results").rglob("*.json") if '"lenette proof"' in path.read_text()[:100])


def leaves(value, path=()):
    """Yield the path of every plain value."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path


def at(value, path):
    for key in path:
        value = value[key]
    return value


def forged(proof, path, value):
    proof = copy.deepcopy(proof)
    at(proof, path[:-1])[path[-1]] = value
    return proof


def another(value):
    """Return another value of the same type, such as a forger might like."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.01 + 0.001
    return "0" if value is None else value[:-1] + ("x" if value.endswith("y") else "y")


def is_refused(path: Path, **how) -> bool:
    try:
        return verify(path, **how).end == "refused"
    except LenetteError:
        return True


@pytest.mark.parametrize("name", ["course", "sealed", "faster"])
def test_an_honest_proof_is_verified(name, proofs):
    said = []
    result = verify(proofs / f"{name}.json", store="nowhere", say=said.append)
    assert [row.check for row in result.checks if row.faults] == []
    assert (result.end, result.missing, result.told) == ("verified", [], [])
    lines = verify_lines(result)
    assert lines[-1].endswith("is verified; its verdict: proven")
    assert "certificate: granted" in lines
    assert sum("rests on the record alone" in line for line in lines) == 7
    assert [line.split(":")[0] for line in said] == ["seed 1000", "seed 1001", "seed 1002"]
    assert json.loads(records.line(result))["conclusion"]["verdict"]["verdict"] == "proven"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_is_refused(data, proofs, tmp_path, loaded_once):
    proof = plain(proofs / data.draw(st.sampled_from(["course.json", "sealed.json"])))
    path = data.draw(st.sampled_from(sorted(leaves(proof), key=str)))
    false = forged(proof, path, another(at(proof, path)))
    (tmp_path / "forged.json").write_text(json.dumps(false))
    for weights in proofs.glob("*.safetensors"):
        (tmp_path / weights.name).write_bytes(weights.read_bytes())
    assert is_refused(tmp_path / "forged.json"), path


@pytest.mark.parametrize(("name", "every"), [("course", 1), ("sealed", 4)])
def test_a_forger_who_mends_the_digest_is_refused_too(name, every, own, loaded_once):
    """Every single figure but those that stand on the record alone."""
    proof = plain(own / f"{name}.json")
    unseen = {("digest",), ("weights",)}
    if "threads" not in proof["engine"]["build"]:  # the engine's bits don't hang on them
        unseen.add(("engine", "threads"))
    for path in list(leaves(proof))[::every]:
        if ON_RECORD & set(path) or path in unseen or (path[0] == "summary" and "seconds" in path[-1]):
            continue
        write(own / "forged.json", forged(proof, path, another(at(proof, path))))
        assert is_refused(own / "forged.json"), path


def test_a_proof_is_verified_wherever_it_lies(own):
    (own / "course.json").rename(own / "renamed.json")
    assert verify(own / "renamed.json").end == "verified"


@pytest.mark.parametrize("name", ["course", "sealed"])
def test_a_run_made_again_has_the_same_bits(name, proofs):
    result = verify(proofs / f"{name}.json", retrain=[1001])
    assert result.end == "verified"
    (again,) = result.again
    assert (again.same_build, again.same_weights, again.same_curve) == (True, True, True)
    assert "the same weights and the same curve, bit by bit" in " ".join(verify_lines(result))


def test_seeds_trained_again_stand_for_weights_that_were_not_kept(own):
    (own / "course.safetensors").unlink()
    some = verify(own / "course.json", store="nowhere", retrain=[1000, 1002])
    assert (some.end, len(some.again)) == ("not verifiable here", 2)
    assert "the weights of 1 seed (1001)" in some.missing[0]
    assert "--retrain 1001 makes them again" in some.missing[0]
    every = verify(own / "course.json", store="nowhere", retrain="all")
    assert (every.end, every.certificate.granted) == ("verified", True)


def test_weights_are_found_in_any_run_that_has_their_digest(own, proofs, tmp_path):
    """By their digest, not by their key, which other versions of lenette make otherwise."""
    (own / "course.safetensors").unlink()
    store = tmp_path / "store"
    for place, run in enumerate(sorted((proofs / "runs").glob("tiny-*"))):
        folder = shutil.copytree(run, store / f"other-{place}")
        (folder / "run.json").write_text((folder / "run.json").read_text().replace('"key": "', '"key": "0'))
    assert verify(own / "course.json", store=store).end == "verified"
    for path in store.glob("*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:-8])
    assert verify(own / "course.json", store=store).end == "not verifiable here"


def test_a_forged_curve_does_not_survive_retraining(own):
    proof = plain(own / "course.json")
    proof["runs"][1]["curve"]["train_loss_running"][0] *= 0.999
    write(own / "forged.json", proof)
    assert verify(own / "forged.json").end == "verified"
    assert verify(own / "forged.json", retrain=[1000]).end == "verified"
    result = verify(own / "forged.json", retrain=[1001])
    assert result.end == "refused"
    assert "give another curve here than recorded" in " ".join(verify_lines(result))


def test_another_recipe_does_not_survive_retraining(own):
    """Weights of one recipe under the text, the numbers and the keys of another."""
    proof = plain(own / "course.json")
    proof["recipe"] = proof["recipe"].replace("epochs = 2", "epochs = 2\nlabel_smoothing = 0.1")
    proof["numbers"]["label_smoothing"] = 0.1
    mended(proof)
    write(own / "forged.json", proof)
    found = verify(own / "forged.json", store="nowhere")
    assert "that the weights were made by this recipe" in " ".join(found.on_record)
    assert verify(own / "forged.json", retrain=[1000]).end == "refused"


@pytest.fixture
def elsewhere(monkeypatch):
    """Another machine, whose builds are others."""
    monkeypatch.setattr("lenette.engines.reference.torch.backends.cpu.get_cpu_capability", lambda: "another")
    monkeypatch.setattr("lenette.engines.native.compiler.processor", lambda: "another")


@pytest.mark.parametrize(
    ("factor", "words"), [(1, "another build of the engine: the same weights and the same curve"), (2, "bits differ")]
)
def test_another_build_may_give_other_bits(factor, words, own, elsewhere):
    proof = plain(own / "course.json")
    proof["runs"][0]["curve"]["train_loss_running"][0] *= factor
    write(own / "course.json", proof)
    result = verify(own / "course.json", retrain=[1000])
    assert (result.end, result.again[0].same_build) == ("verified", False)
    assert words in " ".join(verify_lines(result))


@pytest.mark.parametrize(("wrong", "end"), [(30, "not verifiable here"), (10, "refused")])
def test_other_bits_of_another_build_are_compared_as_distributions(wrong, end, own, elsewhere):
    """Without weights, figures that nothing here makes: a seed trained again tells whether they can be."""
    (own / "course.safetensors").unlink()
    proof = plain(own / "course.json")
    for place, run in enumerate(proof["runs"]):
        run["weights"] = "ab" * 32
        run["wrong"] = run["wrong"][: wrong + place % 2]
        run["accuracy"] = run["curve"]["test_accuracy"][-1] = (300 - len(run["wrong"])) / 300
    mended(proof)
    write(own / "course.json", proof)
    result = verify(own / "course.json", retrain=[1000], store="nowhere")
    assert result.end == end
    assert result.again[0].inside == (end != "refused")
    told = "a comparison of distributions" if end != "refused" else f"lies at {LEVEL:.1%}"
    assert told in " ".join(verify_lines(result))
    assert "is verified" not in " ".join(verify_lines(result))


def test_a_seed_that_is_not_there(proofs):
    with pytest.raises(LenetteError, match="no run of seed 7; it has 1000, 1001, 1002"):
        verify(proofs / "course.json", retrain=[7])


def test_data_that_are_not_here_leave_nothing_granted(own, monkeypatch):
    def missing(*_):
        raise DataError("nowhere")

    monkeypatch.setattr(datasets, "load", missing)
    result = verify(own / "course.json")
    assert (result.end, result.missing) == ("not verifiable here", ["nowhere"])
    assert (result.conclusion, result.certificate) == (None, None)
    lines = verify_lines(result)
    assert "NOT VERIFIABLE HERE: nothing is granted" in lines[-1]
    assert "proven" not in " ".join(lines)


def test_another_folder_of_images_is_not_the_one(tiny_folder, tmp_path):
    prove(TINY.but(dataset=str(tiny_folder)), 0.1, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    proof = plain(tmp_path / "p.json")
    proof["data"]["digest"] = "ab" * 32
    mended(proof)
    write(tmp_path / "p.json", proof)
    found = verify(tmp_path / "p.json")
    assert found.end == "not verifiable here"
    assert "--data names the folder" in found.missing[0]


def test_code_of_a_proofs_author_runs_only_where_it_may(tmp_path, monkeypatch):
    source = tmp_path / "own.py"
    source.write_text(
        "from torch import nn\n\n\n"
        "def network(num_classes=10, in_channels=1, image_size=28):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))\n"
    )
    recipe = TINY.but(model=f"{source}:network", epochs=1)
    made = prove(recipe, 0.1, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    assert (made.network.source, str(tmp_path) in made.recipe) == (source.read_text(), False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another user"))
    monkeypatch.setattr("lenette.models.trust._agreed", set())
    source.unlink()
    found = verify(tmp_path / "p.json")
    assert found.end == "not verifiable here"
    assert "--run-code" in found.missing[0]
    assert verify(tmp_path / "p.json", run_code=True, retrain=[1000]).end == "verified"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_proof_fits_together(path):
    found = verify(path, store="nowhere", folder="nowhere")
    assert found.end == "not verifiable here", found.checks


# A minute each; `make test-proofs` takes them all.
ON_MNIST = SHIPPED if os.environ.get("LENETTE_ALL_PROOFS") == "1" else [p for p in SHIPPED if p.stem == "under_8k"]


@pytest.mark.parametrize("path", ON_MNIST, ids=lambda path: path.stem)
def test_a_shipped_proof_is_verified_on_mnist(path, mnist_folder):
    found = verify(path, store="nowhere", folder=mnist_folder)
    kept = path.with_suffix(".safetensors").exists()
    assert (found.end, found.told) == ("verified" if kept else "not verifiable here", []), found.checks


def test_rounding_is_no_difference():
    assert list(unequal({"a": [0.1 + 0.2, 1]}, {"a": [0.3, 1]}, "x")) == []
    assert list(unequal({"a": 0.31}, {"a": 0.3}, "x")) == ["x.a is 0.31, and should be 0.3"]
    assert len(list(unequal({"a": True}, {"a": 1}, "x"))) == 1
