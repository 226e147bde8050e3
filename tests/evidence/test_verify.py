import copy
import functools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lenette import data as datasets
from lenette.errors import DataError, LenetteError, ModelError
from lenette.evidence.consistency import _unequal
from lenette.evidence.proof import prove
from lenette.evidence.rule import conclude, make_rule, rule_in_words
from lenette.evidence.schema import read, recipe_of
from lenette.evidence.verify import verify
from lenette.evidence.words import verify_lines
from tests.evidence.conftest import TINY, write

# What stands on the record alone (a run made again shows its curve's losses); and of the wrong images, two may differ.
ON_RECORD = {
    *("environments", "begun", "finished", "created", "opened", "openings", "train_seconds", "evaluate_seconds"),
    *("train_loss", "train_loss_running", "test_loss", "wrong"),
}


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
        return verify(path, **how)["refused"]
    except LenetteError:
        return True


@pytest.fixture
def loaded_once(monkeypatch):
    """Read the data once for many checks."""
    monkeypatch.setattr(datasets, "load", functools.cache(datasets.load))


@pytest.mark.parametrize("name", ["course", "sealed", "faster"])
def test_an_honest_proof_is_verified(name, proofs):
    result = verify(proofs / f"{name}.json", store="nowhere")
    assert [row["check"] for row in result["checks"] if row["faults"]] == []
    assert (result["refused"], result["unchecked"]) == (False, [])
    lines = verify_lines(result)
    assert lines[-1].endswith("is verified; its verdict: proven")
    assert sum("rests on the record alone" in line for line in lines) == 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_is_refused(data, proofs, tmp_path, loaded_once):
    proof = read(proofs / data.draw(st.sampled_from(["course.json", "sealed.json"])))
    path = data.draw(st.sampled_from(sorted(leaves(proof), key=str)))
    false = forged(proof, path, another(at(proof, path)))
    (tmp_path / "forged.json").write_text(json.dumps(false))
    for weights in proofs.glob("*.safetensors"):
        (tmp_path / weights.name).write_bytes(weights.read_bytes())
    assert is_refused(tmp_path / "forged.json"), path


@pytest.mark.parametrize(("name", "every"), [("course", 1), ("sealed", 4)])
def test_a_forger_who_mends_the_digest_is_refused_too(name, every, own, loaded_once):
    """Every single figure but those that stand on the record alone."""
    proof = read(own / f"{name}.json")
    unseen = {("digest",), ("weights", "file")}
    if "threads" not in proof["engine"]["build"]:  # the engine's bits don't hang on them
        unseen.add(("engine", "threads"))
    for path in list(leaves(proof))[::every]:
        if ON_RECORD & set(path) or path in unseen:
            continue
        write(own / "forged.json", forged(proof, path, another(at(proof, path))))
        assert is_refused(own / "forged.json"), path


def concluded(proof):
    """Draw the conclusions anew, as a careful forger would."""
    return {**proof, **conclude(proof, recipe_of(proof))}


def improved(proof):
    """A forger turns wrong images into right ones, in the curve too."""
    proof = copy.deepcopy(proof)
    for run in proof["runs"]:
        run["wrong"] = run["wrong"][5:]
        run["accuracy"] = (300 - len(run["wrong"])) / 300
        run["curve"]["test_accuracy"][-1] = run["accuracy"]
    return concluded(proof)


def exchanged(proof):
    """A forger keeps the count of wrong images and names others."""
    proof = copy.deepcopy(proof)
    wrong = proof["runs"][0]["wrong"]
    others = [index for index in range(300) if index not in wrong][: len(wrong) - 2]
    proof["runs"][0]["wrong"] = sorted(others + wrong[:2])
    return proof


def swapped(proof):
    """A forger shows one good seed twice."""
    proof = copy.deepcopy(proof)
    proof["runs"][0] = {**proof["runs"][1], "seed": 1000}
    return concluded(proof)


def dropped(proof):
    """A forger leaves the worst seed out, of the rule too."""
    proof = copy.deepcopy(proof)
    proof["runs"].pop(0)
    proof["rule"]["seeds"].pop(0)
    proof["rule"]["words"] = rule_in_words(proof["rule"], recipe_of(proof))
    return concluded(proof)


def longer(proof):
    """A forger trained three epochs and says two."""
    proof = copy.deepcopy(proof)
    proof["recipe"]["toml"] = proof["recipe"]["toml"].replace("epochs = 2", "epochs = 3")
    return proof


def granted(proof):
    """A forger lowers the count of parameters under a tighter budget."""
    proof = copy.deepcopy(proof)
    proof["recipe"]["toml"] = proof["recipe"]["toml"].replace("80000", "20000")
    proof["parameters"] = 19_000
    return concluded(proof)


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (improved, "images are not the same"),
        (exchanged, "images are not the same"),
        (swapped, "its key is not that of this recipe, seed"),
        (dropped, "the weights have 954,120 bytes, not 2 times 318,040"),
        (longer, "the recipe's digest is not that of the recipe"),
        (granted, "the network has 79,510 parameters, not 19,000"),
    ],
)
def test_a_careful_forgery_is_refused_in_words(forge, said, own):
    write(own / "forged.json", forge(read(own / "course.json")))
    result = verify(own / "forged.json")
    assert result["refused"]
    assert said in " ".join(fault for row in result["checks"] for fault in row["faults"])
    assert verify_lines(result)[-1].endswith("is REFUSED")


def test_a_verdict_that_does_not_follow_is_refused(own):
    proof = read(own / "course.json")
    harder = copy.deepcopy(proof)
    harder["rule"] = make_rule(TINY, 0.99, 3)
    write(own / "forged.json", harder)
    (faults,) = [row["faults"] for row in verify(own / "forged.json")["checks"] if row["faults"]]
    assert any("verdict.verdict is 'proven', and should be 'refuted'" in fault for fault in faults)


def test_weights_that_were_changed_missing_or_damaged_are_refused(own):
    path = own / "course.safetensors"
    states = load_file(path)
    save_file({key: value + 1e-3 if value.is_floating_point() else value for key, value in states.items()}, path)
    result = verify(own / "course.json")
    assert "is not the file of weights that the proof was written with" in str(result["checks"])
    path.write_bytes(b"damaged")
    assert "can't read the weights" in str(verify(own / "course.json")["checks"])
    path.unlink()
    assert verify(own / "course.json")["refused"]


def test_weights_of_another_shape_are_refused(own):
    from hashlib import sha256

    from lenette.evidence.weights import digest as digest_of

    proof = read(own / "course.json")
    states = {seed: {"weight": torch.zeros(3, 3)} for seed in (1000, 1001, 1002)}
    save_file({f"{seed}/weight": state["weight"] for seed, state in states.items()}, own / "course.safetensors")
    proof["weights"]["digest"] = sha256((own / "course.safetensors").read_bytes()).hexdigest()
    for run in proof["runs"]:
        run["weights"] = digest_of(states[run["seed"]])
    write(own / "forged.json", proof)
    assert "the weights do not fit the network" in str(verify(own / "forged.json")["checks"])


def test_a_proof_is_verified_wherever_it_lies(own):
    (own / "course.json").rename(own / "renamed.json")
    assert not verify(own / "renamed.json")["refused"]


@pytest.mark.parametrize("name", ["course", "sealed"])
def test_a_run_made_again_has_the_same_bits(name, proofs):
    result = verify(proofs / f"{name}.json", retrain=1001)
    assert not result["refused"]
    again = result["retrained"]
    assert [again[f"same_{name}"] for name in ("build", "weights", "curve")] == [True] * 3
    assert "the same weights and the same curve, bit by bit" in " ".join(verify_lines(result))


def test_a_forged_curve_does_not_survive_retraining(own):
    proof = read(own / "course.json")
    proof["runs"][1]["curve"]["train_loss_running"][0] *= 0.999
    write(own / "forged.json", proof)
    assert not verify(own / "forged.json")["refused"]
    assert not verify(own / "forged.json", retrain=1000)["refused"]
    result = verify(own / "forged.json", retrain=1001)
    assert result["refused"]
    assert "give another curve here than recorded" in " ".join(verify_lines(result))


@pytest.mark.parametrize(
    ("factor", "words"), [(1, "another build of the engine: the same weights and the same curve"), (2, "bits differ")]
)
def test_another_build_may_give_other_bits(factor, words, own, monkeypatch):
    capability = "lenette.engines.reference.torch.backends.cpu.get_cpu_capability"
    monkeypatch.setattr(capability, lambda: "another")
    monkeypatch.setattr("lenette.engines.native.compiler.processor", lambda: "another")
    proof = read(own / "course.json")
    proof["runs"][0]["curve"]["train_loss_running"][0] *= factor
    write(own / "course.json", proof)
    result = verify(own / "course.json", retrain=1000)
    assert (result["refused"], result["retrained"]["same_build"]) == (False, False)
    assert words in " ".join(verify_lines(result))


def test_a_seed_that_is_not_there(proofs):
    with pytest.raises(LenetteError, match="no run of seed 7; it has 1000, 1001, 1002"):
        verify(proofs / "course.json", retrain=7)


def test_data_that_are_not_here_leave_the_accuracy_unchecked(own, monkeypatch):
    def missing(*_):
        raise DataError("nowhere")

    monkeypatch.setattr(datasets, "load", missing)
    result = verify(own / "course.json")
    assert not result["refused"]
    assert "nowhere" in result["unchecked"][0]
    assert "not all of it could be recomputed" in verify_lines(result)[-1]


def test_code_of_a_proofs_author_runs_only_where_it_may(tmp_path):
    source = tmp_path / "own.py"
    source.write_text(
        "from torch import nn\n\n\n"
        "def network(num_classes=10, in_channels=1, image_size=28):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))\n"
    )
    recipe = TINY.but(model=f"{source}:network", epochs=1)
    prove(recipe, 0.1, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    with pytest.raises(ModelError, match=r"author's own code.*--run-code"):
        verify(tmp_path / "p.json")
    assert not verify(tmp_path / "p.json", run_code=True)["refused"]
    source.write_text(source.read_text() + "# changed\n")
    assert "is not the one that was proven" in str(verify(tmp_path / "p.json", run_code=True)["checks"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "can't read the proof"),
        ('{"kind": "lenette proof", "version": NaN}', "NaN is no JSON"),
        ("[]", "is no proof"),
        ('{"kind": "lenette proof", "version": 2}', "of version 2; this lenette reads 1"),
        ('{"kind": "lenette proof", "version": 1, "status": "done"}', "not a whole proof"),
    ],
)
def test_what_is_no_proof(text, said, tmp_path):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(LenetteError, match=said):
        verify(tmp_path / "p.json")


def test_rounding_is_no_difference():
    assert list(_unequal({"a": [0.1 + 0.2, 1]}, {"a": [0.3, 1]}, "x")) == []
    assert list(_unequal({"a": 0.31}, {"a": 0.3}, "x")) == ["x.a is 0.31, and should be 0.3"]
    assert len(list(_unequal({"a": True}, {"a": 1}, "x"))) == 1
