"""What forgers tried: each is refused, or found not verifiable here, however well the rest of the file was mended."""

import contextlib
import copy
import hashlib
import json
import shutil
import time
import tracemalloc
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lenette import identity, records
from lenette.errors import BudgetError, LenetteError
from lenette.evidence import entry as entries
from lenette.evidence.proof import Proof, read_done, recipe_of
from lenette.evidence.prove import prove
from lenette.evidence.rule import conclude, make_rule, rule_words, verdict_words
from lenette.evidence.verify import _is_tie, verify
from tests.evidence.conftest import ROOT, TINY, plain, write

CASES = []


def forgery(said, end="refused", base="course", mend=True):
    """Register a function (proof, folder) that changes a proof in place, and its files; `said` is in the refusal.

    With `mend` the forger draws keys and conclusions anew, and the refusal is of that.
    """

    def register(function):
        CASES.append(pytest.param(function, said, end, base, mend, id=function.__name__))
        return function

    return register


def mended(proof):
    """Draw the conclusions and the keys anew, as a careful forger would."""
    typed = records.convert(proof, Proof, "forged")
    recipe = recipe_of(typed)
    for run, made in zip(proof["runs"], typed.runs, strict=True):
        run["key"] = entries._key(typed, recipe, made)
    typed = records.convert(proof, Proof, "forged")
    proof |= records.plain(conclude(typed, typed.runs, recipe))


def wrong_is(run, wrong, num_images=300):
    run["wrong"], run["accuracy"] = wrong, (num_images - len(wrong)) / num_images
    if run["curve"]["test_accuracy"]:
        run["curve"]["test_accuracy"][-1] = run["accuracy"]


def renamed(proof, **fields):
    """Change fields of the recipe, in its text and in its numbers."""
    typed = records.convert(proof, Proof, "forged")
    recipe = recipe_of(typed).but(**fields)
    proof["recipe"], proof["numbers"] = recipe.to_toml(), records.plain(identity.numbers(recipe))
    return recipe


def other_weights(folder, change):
    path = folder / "course.safetensors"
    states = load_file(path)
    change(states)
    save_file(states, path)


def digests_mended(proof, folder):
    states = {}
    for key, value in load_file(folder / "course.safetensors").items():
        seed, _, name = key.partition("/")
        states.setdefault(int(seed), {})[name] = value
    for run in proof["runs"]:
        run["weights"] = identity.weights(states[run["seed"]])


@forgery("the weights of 30 seeds", "not verifiable here")
def invented_seeds_without_weights(proof, folder):
    seeds = list(range(1000, 1030))
    proof["rule"] |= {"seeds": seeds, "words": rule_words(0.85, seeds, TINY)}
    run = proof["runs"][0]
    proof["runs"] = [copy.deepcopy(run) | {"seed": seed, "weights": "ab" * 32, "initial": "cd" * 32} for seed in seeds]
    for place, run in enumerate(proof["runs"]):
        wrong_is(run, [place, 299] if place % 2 else [place])
    proof["weights"] = None


@forgery("they differ in")
def two_wrong_images_removed_from_every_seed(proof, folder):
    for run in proof["runs"]:
        wrong_is(run, run["wrong"][2:])


@forgery("they differ in 1 image")
def one_wrong_image_removed_from_one_seed(proof, folder):
    wrong_is(proof["runs"][0], proof["runs"][0]["wrong"][1:])


@forgery("they differ in")
def the_same_number_of_other_images(proof, folder):
    wrong = proof["runs"][0]["wrong"]
    wrong_is(proof["runs"][0], sorted([*wrong[1:], next(place for place in range(300) if place not in wrong)]))


@forgery("make 88.6667%, not 99.0000%")
def an_accuracy_without_its_images(proof, folder):
    proof["runs"][0]["accuracy"] = 0.99


@forgery("no ascending places")
def a_wrong_image_counted_twice_and_out_of_order(proof, folder):
    proof["runs"][0]["wrong"][:2] = reversed(proof["runs"][0]["wrong"][:2])


@forgery("no ascending places among 300")
def a_wrong_image_that_is_not_there(proof, folder):
    proof["runs"][0]["wrong"][-1] = 300


@forgery("its key is not that", mend=False)
def one_good_seed_shown_twice(proof, folder):
    proof["runs"][0] = {**copy.deepcopy(proof["runs"][2]), "seed": 1000}


@forgery("the weights of seed 1000, 1002 are not those")
def one_good_seed_shown_twice_under_its_key(proof, folder):
    proof["runs"][0] = {**copy.deepcopy(proof["runs"][2]), "seed": 1000}
    proof["runs"][2] = {**copy.deepcopy(proof["runs"][1]), "seed": 1002}


@forgery("the weights of seed 1001, 1002 are not those")
def the_worst_seed_dropped(proof, folder):
    proof["rule"]["seeds"] = [1000, 1001]
    proof["rule"]["words"] = rule_words(0.85, [1000, 1001], TINY)
    proof["runs"] = [proof["runs"][0], {**proof["runs"][2], "seed": 1001}]


@forgery("the rule's seeds do not follow each other")
def a_seed_in_the_middle_dropped(proof, folder):
    proof["rule"] |= {"seeds": [1000, 1002], "words": rule_words(0.85, [1000, 1002], TINY)}
    del proof["runs"][1]


@forgery("the rule names the seeds 1000, 1001, 1002, the runs are of 1000, 1001")
def a_seed_dropped_from_the_runs_alone(proof, folder):
    del proof["runs"][2]


@forgery("the runs are of 1001, 1000, 1002")
def seeds_exchanged(proof, folder):
    proof["runs"][:2] = reversed(proof["runs"][:2])


@forgery("test loss of")
def a_better_loss(proof, folder):
    run = proof["runs"][0]
    run["loss"] = run["curve"]["test_loss"][-1] = run["loss"] * 0.9


@forgery("its last epoch has a test loss of")
def a_better_loss_than_its_curve(proof, folder):
    proof["runs"][0]["loss"] *= 0.9


@forgery("is no share of 300 images")
def an_accuracy_of_the_curve_that_is_no_share(proof, folder):
    proof["runs"][0]["curve"]["test_accuracy"][0] += 1e-4


@forgery("should be", mend=False)
def a_best_epoch_that_no_curve_has(proof, folder):
    proof["summary"]["best_epoch"]["mean"] += 0.01


@forgery("learning rates are not those")
def another_learning_rate_in_the_curve(proof, folder):
    proof["runs"][0]["curve"]["lr"][0] *= 1.5


@forgery("its curve has 2 epochs, the recipe 1")
def fewer_epochs_in_the_recipe(proof, folder):
    renamed(proof, epochs=1)


@forgery("its epochs or steps are not those of the recipe")
def larger_batches_in_the_recipe(proof, folder):
    renamed(proof, batch_size=128)


@forgery("recipe's numbers, which decide its runs' keys, are not those of its text")
def a_recipe_whose_text_says_otherwise(proof, folder):
    proof["recipe"] = proof["recipe"].replace("epochs = 2", "epochs = 2\nlabel_smoothing = 0.1")


@forgery("its key is not that", mend=False)
def a_recipe_whose_keys_were_left(proof, folder):
    renamed(proof, rotation=10.0)


@forgery("its runs are of versions")
def another_version_of_the_fields(proof, folder):
    proof["versions"]["fields"] = 7


@forgery("its runs are of versions")
def another_version_of_the_plan(proof, folder):
    proof["versions"]["plan"] = 7


@forgery("no TOML")
def a_recipe_that_is_no_toml(proof, folder):
    proof["recipe"] += "]"


@forgery("no TOML")
def a_number_of_5000_digits_in_the_recipe(proof, folder):
    proof["recipe"] = proof["recipe"].replace("epochs = 2", f"epochs = {'9' * 5000}")


@forgery("field 'epochs'")
def absurd_epochs(proof, folder):
    proof["recipe"] = proof["recipe"].replace("epochs = 2", f"epochs = {10**12}")


@forgery("budget[0].met is True, and should be False", mend=False)
def a_tighter_budget_that_is_not_kept(proof, folder):
    proof["recipe"] = proof["recipe"].replace("80000", "20000")


@forgery("the network has 79,510 numbers that are trainable, not 19,000")
def a_tighter_budget_and_fewer_parameters(proof, folder):
    proof["recipe"] = proof["recipe"].replace("80000", "20000")
    proof["network"]["counts"]["trainable"] = 19_000


@forgery("bytes of weights, not 1,000")
def fewer_bytes(proof, folder):
    proof["recipe"] += "max_bytes = 2000\n"
    proof["network"]["bytes"] = 1000


@forgery("budget", mend=False)
def a_budget_left_out(proof, folder):
    proof["budget"] = []


@forgery("budget[0].met", mend=False)
def a_limit_said_to_be_exceeded(proof, folder):
    proof["budget"][0]["met"] = False


@forgery("is built otherwise here")
def another_structure(proof, folder):
    proof["network"]["structure"] = "ab" * 32


@forgery("has a source, or is not, and has none")
def a_shipped_network_with_a_source(proof, folder):
    proof["network"] |= {"source": "import os", "digest": identity.source_digest("import os")}


@forgery("was begun at")
def runs_made_before_the_rule_with_their_times_edited(proof, folder):
    start = datetime.fromisoformat(proof["begun"])
    proof["finished"] = (start + timedelta(seconds=3)).isoformat()
    for run in proof["runs"]:  # found in the store, where they had taken ten minutes
        run["curve"]["train_seconds"] = [300.0, 600.0]
        run["created"] = (start + timedelta(seconds=1)).isoformat()


@forgery("finished before it was begun")
def a_proof_finished_before_it_was_begun(proof, folder):
    proof["begun"] = (datetime.fromisoformat(proof["finished"]) + timedelta(days=1)).isoformat()


@forgery("was begun at")
def a_run_begun_after_the_proof_was_finished(proof, folder):
    proof["runs"][0]["created"] = "2999-01-01T00:00:00Z"


@forgery("seconds run backwards")
def a_clock_that_runs_backwards(proof, folder):
    proof["runs"][0]["curve"]["train_seconds"][0] = 1e6


@forgery("are not those whose digest is recorded")
def weights_of_other_seeds_exchanged(proof, folder):
    def exchange(states):
        for name in [key.partition("/")[2] for key in states if key.startswith("1000/")]:
            states[f"1000/{name}"], states[f"1001/{name}"] = (
                states[f"1001/{name}"].clone(),
                states[f"1000/{name}"].clone(),
            )

    other_weights(folder, exchange)


@forgery("they differ in")
def weights_exchanged_with_their_digests(proof, folder):
    weights_of_other_seeds_exchanged(proof, folder)
    digests_mended(proof, folder)


@forgery("can't read the weights")
def weights_cut_short(proof, folder):
    path = folder / "course.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


@forgery("can't read the weights")
def weights_that_are_no_weights(proof, folder):
    (folder / "course.safetensors").write_bytes(b"\xff" * 64)


@forgery("weights of seed 1003 are not those")
def weights_of_one_more_seed(proof, folder):
    other_weights(folder, lambda states: states.update({"1003/x": torch.zeros(3)}))


@forgery("is not the weight of a seed")
def weights_of_no_seed(proof, folder):
    other_weights(folder, lambda states: states.update({"x": torch.zeros(3)}))


@forgery("do not fit the network")
def weights_with_one_more_tensor(proof, folder):
    other_weights(folder, lambda states: states.update({f"{seed}/x": torch.zeros(3) for seed in (1000, 1001, 1002)}))
    digests_mended(proof, folder)


@forgery("do not fit the network")
def weights_of_another_type(proof, folder):
    other_weights(folder, lambda states: states.update({key: value.double() for key, value in states.items()}))
    digests_mended(proof, folder)


@forgery("do not fit the network")
def weights_of_another_shape(proof, folder):
    other_weights(folder, lambda states: states.update({key: value[:1] for key, value in states.items()}))
    digests_mended(proof, folder)


@forgery("not finite")
def weights_that_are_not_numbers(proof, folder):
    other_weights(folder, lambda states: states.update({key: value * torch.nan for key, value in states.items()}))
    digests_mended(proof, folder)


@forgery("they differ in")
def weights_that_give_every_class_the_same_logit(proof, folder):
    """Every image is a tie, so that a forger might call any right."""
    other_weights(folder, lambda states: states.update({key: value * 0 for key, value in states.items()}))
    digests_mended(proof, folder)


@forgery("the weights of 3 seeds", "not verifiable here")
def weights_of_another_proof_named(proof, folder):
    proof["weights"] = "none.safetensors"


@forgery("are not those whose digest is recorded")
def the_weights_file_of_another_proof(proof, folder):
    proof["weights"] = "faster.safetensors"


@forgery("`weights`")
def weights_in_another_folder(proof, folder):
    proof["weights"] = "../course.safetensors"


@forgery("the training images of optdigits are others here")
def other_training_images(proof, folder):
    proof["data"]["digest"] = "ab" * 32


@forgery("the test images of optdigits are others here")
def other_test_images(proof, folder):
    proof["test"]["digest"] = "ab" * 32


@forgery("the test images are the training images")
def a_test_on_the_training_images(proof, folder):
    proof["test"]["digest"] = proof["data"]["digest"]


@forgery("classes of optdigits are others here")
def classes_renamed(proof, folder):
    proof["data"]["classes"][:2] = ["1", "0"]


@forgery("two classes have one name")
def two_classes_of_one_name(proof, folder):
    proof["data"]["classes"][0] = "1"


@forgery("means of optdigits are others here")
def another_preparation(proof, folder):
    proof["data"]["mean"] = [0.5]


@forgery("number of test images")
def more_test_images(proof, folder):
    proof["test"]["num_images"] = 3000
    for run in proof["runs"]:
        wrong_is(run, run["wrong"], 3000)
        run["curve"]["test_accuracy"] = [run["accuracy"]] * 2


@forgery("`test.num_images`")
def absurdly_many_test_images(proof, folder):
    proof["test"]["num_images"] = 4_000_000_000


@forgery("`data.num_images`")
def absurdly_many_training_images(proof, folder):
    proof["data"]["num_images"] = 4_000_000_000


@forgery("`data.shape")
def images_of_no_size(proof, folder):
    proof["data"]["shape"][1] = 0


@forgery("image size")
def images_of_a_size_that_takes_the_memory(proof, folder):
    proof["data"]["shape"] = [1, 100_000, 100_000]


@forgery("`rule.seeds[0]`")
def a_negative_seed(proof, folder):
    proof["rule"]["seeds"][0] = -1


@forgery("`rule.seeds[0]`")
def a_seed_of_5000_digits(proof, folder):
    proof["rule"]["seeds"][0] = 10**4000


@forgery("do not follow each other")
def a_seed_named_twice(proof, folder):
    proof["rule"]["seeds"][1] = 1000


@forgery("the rule's level is 0.51")
def a_level_that_proves_anything(proof, folder):
    proof["rule"]["level"] = 0.51


@forgery("the rule's words do not say")
def other_words_of_the_rule(proof, folder):
    proof["rule"]["words"][0] = "The best epoch counts."


@forgery("the rule's words do not say")
def a_lower_goal(proof, folder):
    proof["rule"]["accuracy"] = 0.5


@forgery("the rule decides nothing")
def a_goal_of_nothing(proof, folder):
    proof["rule"] |= {"accuracy": 0.0}


@forgery("verdict.verdict is 'proven', and should be 'refuted'", mend=False)
def a_verdict_that_does_not_follow(proof, folder):
    proof["rule"] = records.plain(make_rule(TINY, 0.99, 3))


@forgery("verdict.low", mend=False)
def a_better_bound(proof, folder):
    proof["verdict"]["low"] += 1e-6


@forgery("summary.before_the_rule", mend=False)
def a_run_made_before_the_rule_not_named(proof, folder):
    proof["runs"][0]["created"] = "2000-01-01T00:00:00Z"


@forgery("summary.collapsed", mend=False)
def a_seed_said_to_have_collapsed(proof, folder):
    proof["summary"]["collapsed"] = [1000]


@forgery("unknown field `certificate`")
def a_certificate_in_the_file(proof, folder):
    proof["certificate"] = {"granted": True}


@forgery("unknown field")
def an_unknown_field_in_a_run(proof, folder):
    proof["runs"][0]["note"] = "trust me"


@forgery("a sealed test is opened for each run that ended, and no other")
def openings_of_a_test_that_is_not_sealed(proof, folder):
    proof["runs"][0]["opened"] = proof["finished"]


@forgery("a sealed test is opened for each run that ended, and no other", base="sealed")
def an_opening_left_out(proof, folder):
    proof["runs"][0]["opened"] = None


@forgery("was begun at", base="sealed")
def an_opening_after_the_end(proof, folder):
    proof["runs"][0]["opened"] = "2999-01-01T00:00:00Z"


@forgery("with fold 0 held out", base="sealed")
def a_fold_held_out(proof, folder):
    renamed(proof, fold=0)


@forgery("every epoch, and no other does", base="sealed")
def a_sealed_proof_that_looked_every_epoch(proof, folder):
    for run in proof["runs"]:
        run["curve"] |= {"test_accuracy": [run["accuracy"]] * 2, "test_loss": [run["loss"]] * 2}


@forgery("the weights of 1 seed", "not verifiable here")
def a_bad_seed_said_to_have_diverged(proof, folder):
    run = proof["runs"][0]
    run |= {"status": "diverged", **dict.fromkeys(("accuracy", "loss", "wrong", "weights"))}
    run["curve"] = {name: column[:1] for name, column in run["curve"].items() if column is not None}
    other_weights(folder, lambda states: [states.pop(key) for key in list(states) if key.startswith("1000/")])


@forgery("it diverged, and yet has a result")
def a_run_that_diverged_with_a_result(proof, folder):
    proof["runs"][0]["status"] = "diverged"


@forgery("and yet has no result")
def a_run_without_a_result(proof, folder):
    proof["runs"][0] |= {"accuracy": None, "wrong": None}


@forgery("its status is 'cut'")
def a_run_cut_by_no_clock(proof, folder):
    proof["runs"][0]["status"] = "cut"


@forgery("name, device or threads are not those of its build")
def another_engine(proof, folder):
    proof["engine"]["name"] = "reference" if proof["engine"]["name"] == "native" else "native"


@forgery("its environment is number 5 of 1")
def another_environment(proof, folder):
    proof["runs"][0]["environment"] = 5


@forgery("may be left out by version 1 alone", mend=False)
def parts_of_the_key_left_out(proof, folder):
    proof["versions"] = proof["numbers"] = None


@forgery("is damaged")
def a_proof_that_calls_itself_version_1(proof, folder):
    proof["version"] = 1


@forgery("of version 3")
def a_proof_of_a_later_version(proof, folder):
    proof["version"] = 3


@forgery("begun and not finished", mend=False)
def a_proof_that_was_only_begun(proof, folder):
    header = ("kind", "version", "name", "begun", "rule", "recipe", "versions", "numbers", "data", "engine", "network")
    kept = {name: proof[name] for name in header}
    proof.clear()
    proof.update({**kept, "status": "begun"})


def refusal(path: Path, **how) -> tuple[str, str]:
    """Return the end, and all that is said of it."""
    try:
        found = verify(path, **how)
    except LenetteError as error:
        return "refused", str(error)
    assert found.end == "verified" or (found.certificate is None and found.conclusion is None)
    return found.end, " ".join([*found.missing, *(fault for row in found.checks for fault in row.faults)])


@pytest.mark.parametrize(("forge", "said", "end", "base", "mend"), CASES)
def test_a_forgery_grants_nothing(forge, said, end, base, mend, own, loaded_once):
    path = own / f"{base}.json"
    proof = plain(path)
    forge(proof, own)
    write(path, proof)
    found = refusal(path, store="nowhere")
    assert found[0] in ("refused", "not verifiable here"), found
    if mend:
        with contextlib.suppress(LenetteError):  # beyond the form there is nothing to mend
            mended(proof)
        write(path, proof)
        found = refusal(path, store="nowhere")
    assert (found[0], said in found[1]) == (end, True), found


def test_nothing_is_allocated_by_a_number_in_a_file(own):
    proof = plain(own / "course.json")
    absurdly_many_test_images(proof, own)
    write(own / "course.json", proof)
    tracemalloc.start()
    start = time.monotonic()
    assert refusal(own / "course.json")[0] == "refused"
    assert time.monotonic() - start < 1
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"kind": "lenette proof", "version": NaN}',
        b'{"kind": "lenette proof", "version": 2}',
        b'{"kind": "lenette proof", "version": ' + b"9" * 5000 + b"}",
        b'{"kind": "lenette proof", "version": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"kind": "lenette proof", "version": 1, "status": "done"}',
        b'{"kind": "lenette proof", "version": 1, "status": "begun"}',
    ],
)
def test_what_is_no_proof(text, tmp_path):
    (tmp_path / "p.json").write_bytes(text)
    assert refusal(tmp_path / "p.json")[0] == "refused"


def test_a_file_too_large_to_be_one_is_not_read(tmp_path):
    with (tmp_path / "p.json").open("wb") as file:
        file.truncate(65 << 20)
    assert "has more than 64 MiB" in refusal(tmp_path / "p.json")[1]


def test_a_digest_that_was_not_mended(own):
    text = (own / "course.json").read_text().replace("optdigits protocol", "x")
    (own / "course.json").write_text(text.replace('"threads": 1', '"threads": 2'))
    assert "the file was changed after it was written" in refusal(own / "course.json")[1]


NETWORKS = {
    "frozen": "self.extra = nn.Parameter(torch.ones(500, 100), requires_grad=False)",
    "buffers": 'self.register_buffer("extra", torch.ones(500, 100))',
    "unregistered": "self.extra = [torch.ones(500, 100)]",
    "unsaved": 'self.register_buffer("extra", torch.ones(500, 100), persistent=False)',
}


@pytest.fixture(params=NETWORKS)
def hiding(request, tmp_path):
    """A recipe of a network that hides 50,000 numbers beside the 7,850 that it trains."""
    source = tmp_path / "own.py"
    source.write_text(
        "import torch\nfrom torch import nn\n\n\n"
        "class Network(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.last = nn.Linear(784, 10)\n"
        f"        {NETWORKS[request.param]}\n\n"
        "    def forward(self, images):\n"
        "        return self.last(images.flatten(1))\n\n\n"
        "def network(num_classes=10, in_channels=1, image_size=28):\n"
        "    return Network()\n"
    )
    return TINY.but(model=f"{source}:network", epochs=1, max_parameters=0)


def test_no_number_that_inference_reads_is_hidden_from_the_budget(hiding, tmp_path, loaded_once):
    how = {"out": tmp_path / "p.json", "store": tmp_path / "runs", "processes": 1}
    with pytest.raises(BudgetError, match=r"exceeds the budget: 57,850 .*7,850"):
        prove(hiding.but(max_parameters=7_999), 0.5, 2, **how)
    assert not (tmp_path / "p.json").exists()
    made = prove(hiding, 0.5, 2, **how)
    counts = made.network.counts
    assert (counts.trainable, counts.parameters) == (7_850, 57_850)
    proof = plain(tmp_path / "p.json")
    proof["recipe"] += "max_parameters = 7999\n"
    mended(proof)
    write(tmp_path / "p.json", proof)
    found = verify(tmp_path / "p.json", run_code=True)
    assert (found.end, found.certificate.granted) == ("verified", False)
    assert "max_parameters = 7,999 is exceeded" in found.certificate.why_not
    proof["network"]["counts"] |= {"frozen": 0, "buffers": 0}
    mended(proof)
    write(tmp_path / "p.json", proof)
    assert "the network has 50,000 numbers that are" in refusal(tmp_path / "p.json", run_code=True)[1]


def test_the_source_of_a_network_cannot_be_exchanged(tmp_path, loaded_once):
    source = tmp_path / "own.py"
    source.write_text(
        "from torch import nn\n\n\n"
        "def network(num_classes=10, in_channels=1, image_size=28):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))\n"
    )
    recipe = TINY.but(model=f"{source}:network", epochs=1)
    prove(recipe, 0.1, 2, out=tmp_path / "p.json", store=tmp_path / "runs", processes=1)
    source.unlink()
    assert verify(tmp_path / "p.json", run_code=True).end == "verified"
    proof = plain(tmp_path / "p.json")
    proof["network"]["source"] = proof["network"]["source"].replace("ReLU", "Sigmoid")
    write(tmp_path / "p.json", proof)
    assert "source of the network is not the one" in refusal(tmp_path / "p.json", run_code=True)[1]
    proof["network"]["digest"] = identity.source_digest(proof["network"]["source"])
    mended(proof)
    write(tmp_path / "p.json", proof)
    assert "built otherwise here" in refusal(tmp_path / "p.json", run_code=True)[1]


def test_runs_made_before_the_rule_get_no_certificate(own):
    proof = plain(own / "course.json")
    for run in proof["runs"]:
        run["created"] = "2026-01-01T00:00:00Z"
    mended(proof)
    write(own / "course.json", proof)
    found = verify(own / "course.json")
    assert (found.end, found.certificate.granted) == ("verified", False)
    assert found.certificate.why_not == ["the runs of seed 1000, 1001, 1002 were made before the rule was written"]


@pytest.fixture
def nearly_tied(monkeypatch):
    """Every image is taken for a tie: what a tolerance may do is tried on images that differ in truth."""
    monkeypatch.setattr("lenette.evidence.verify.TIE", 1e6)


def test_what_nearly_ties_may_differ_and_is_told(own, nearly_tied):
    proof = plain(own / "course.json")
    wrong_is(proof["runs"][0], proof["runs"][0]["wrong"][1:])
    mended(proof)
    write(own / "course.json", proof)
    found = verify(own / "course.json")
    assert found.end == "verified"
    assert "counted otherwise here than recorded" in found.told[0]
    assert found.conclusion.summary.mean < proof["summary"]["mean"], "the conclusion is that of the recomputed figures"


def test_at_most_two_images_may_nearly_tie(own, nearly_tied):
    proof = plain(own / "course.json")
    wrong_is(proof["runs"][0], proof["runs"][0]["wrong"][3:])
    mended(proof)
    write(own / "course.json", proof)
    assert "they differ in 3 images" in refusal(own / "course.json")[1]


def test_no_tolerance_decides(own, nearly_tied):
    """Two wrong images less of every seed turn an undecided proof into a proven one: not even ties allow that."""
    proof = plain(own / "course.json")
    goal = proof["verdict"]["low"] + 1e-4
    proof["rule"] = records.plain(make_rule(TINY, goal, 3))
    mended(proof)
    write(own / "course.json", proof)
    assert verify(own / "course.json").conclusion.verdict.verdict == "undecided"
    for run in proof["runs"]:
        wrong_is(run, run["wrong"][2:])
    mended(proof)
    assert proof["verdict"]["verdict"] == "proven"
    write(own / "course.json", proof)
    end, said = refusal(own / "course.json")
    assert (end, "a tolerance would decide" in said) == ("refused", True)


def test_a_tie_is_relative_to_the_logits():
    for scale in (1e-3, 1.0, 1e3):
        for gap, tied in ((0.0, True), (4e-6, True), (2e-5, False)):
            logits = scale * torch.tensor([0.5, 1.0, 1.0 - gap], dtype=torch.float64)
            assert _is_tie(logits, 2) is tied
            assert _is_tie(logits, 1) is tied
    assert not _is_tie(torch.tensor([0.0, 1.0, 1.0]), 0), "two other classes that tie decide nothing"


# Version 1: the files that are committed, and the same forger.


def written1(path, proof):
    rest = {name: value for name, value in proof.items() if name != "digest"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**rest, "digest": digest}))


def concluded1(proof, path):
    """Draw the conclusions of a version 1 file anew."""
    written1(path, proof)
    typed = read_done(path)
    found = conclude(typed, typed.runs, recipe_of(typed))
    summary, words = records.plain(found.summary), verdict_words(typed, found.summary, found.verdict)
    for name in proof["summary"]:
        if name not in ("seconds", "best_epoch"):
            proof["summary"][name] = summary[name]
    proof["verdict"] |= {**records.plain(found.verdict), "words": words}
    proven = found.verdict.verdict == "proven" and all(limit.met for limit in found.budget)
    proof["certificate"] = {"granted": proven, "budget": records.plain(found.budget)} if found.budget else None


def invented1(proof):
    for run in proof["runs"]:
        run["wrong"], run["accuracy"] = [7, 11], 0.9998


def removed1(proof):
    for run in proof["runs"]:
        run["wrong"] = run["wrong"][2:]
        run["accuracy"] = (10_000 - len(run["wrong"])) / 10_000


FORGERIES_1 = {
    "words": (lambda proof: proof["verdict"]["words"].append("Granted."), "verdict.words is"),
    "granted": (
        lambda proof: proof["certificate"].update(granted=True),
        "certificate.granted is True, and should be False",
    ),
    "no certificate": (lambda proof: proof.update(certificate=None), "budget"),
    "key": (lambda proof: proof["runs"][0].update(key="ab" * 32), "its key is not that"),
    "seed": (lambda proof: proof["runs"][0].update(seed=2000), "its key is not that"),
    "recipe": (lambda proof: proof["recipe"].update(toml=proof["recipe"]["toml"].replace("15", "14")), "digest"),
    "digest": (lambda proof: proof["recipe"].update(digest="ab" * 32), "the recipe's digest is not"),
    "level": (lambda proof: proof["rule"].update(level=0.51), "the rule's level"),
    "verdict": (lambda proof: proof["verdict"].update(verdict="proven"), "verdict.verdict is 'proven'"),
    "summary": (lambda proof: proof["summary"].update(mean=0.999), "summary.mean is 0.999"),
    "minimum": (lambda proof: proof["summary"].update(minimum=0.999), "summary.minimum is 0.999"),
    "build": (lambda proof: proof["environments"][0]["build"].update(flags="-O0"), "by another build"),
    "bytes": (lambda proof: proof["weights"].update(bytes=1), "weights of all runs have 1 bytes"),
    "file": (lambda proof: proof["weights"].update(digest="ab" * 32), "is not the file of weights"),
    "path": (lambda proof: proof["weights"].update(file="/etc/passwd"), "`weights.file`"),
    "opened": (lambda proof: proof["runs"][0].update(opened=None), "a sealed test is opened"),
    "images": (lambda proof: proof["test"].update(num_images=4_000_000_000), "`test.num_images`"),
    "structure": (lambda proof: proof.update(network={"structure": "ab" * 32}), "unknown field `network`"),
    "version": (lambda proof: proof.update(version=2), "is damaged"),
}


@pytest.fixture
def old(tmp_path) -> Path:
    """A committed proof of version 1, to be spoilt."""
    for suffix in ("json", "safetensors"):
        shutil.copy(ROOT / f"results/certificates/under_8k.{suffix}", tmp_path)
    return tmp_path / "under_8k.json"


@pytest.mark.parametrize("name", FORGERIES_1)
def test_version_1_is_no_easier_way_in(name, old):
    forge, said = FORGERIES_1[name]
    proof = plain(old)
    forge(proof)
    written1(old, proof)
    end, words = refusal(old, store="nowhere")
    assert (end, said in words) == ("refused", True), words


def test_a_file_of_version_1_that_was_changed(old):
    old.write_text(old.read_text().replace('"cores": 2', '"cores": 4'))
    assert "the file was changed" in refusal(old)[1]


@pytest.mark.parametrize("forge", [invented1, removed1])
def test_images_removed_from_a_proof_of_version_1(forge, old, mnist_folder):
    proof = plain(old)
    forge(proof)
    concluded1(proof, old)
    written1(old, proof)
    assert refusal(old, store="nowhere", folder=old.parent / "nowhere")[0] == "not verifiable here"
    proof["runs"], proof["rule"]["seeds"] = proof["runs"][:2], proof["rule"]["seeds"][:2]
    assert "they differ in" in _of_two_seeds(old, proof, mnist_folder)


def _of_two_seeds(path, proof, folder):
    """Cut a proof of version 1 down to two seeds, so that it is soon verified; return what is said of it."""
    states = load_file(path.with_suffix(".safetensors"))
    save_file(
        {key: value for key, value in states.items() if key.startswith(("1000/", "1001/"))},
        path.with_suffix(".safetensors"),
    )
    proof["weights"]["bytes"] = 2 * proof["bytes"]
    proof["weights"]["digest"] = hashlib.sha256(path.with_suffix(".safetensors").read_bytes()).hexdigest()
    written1(path, proof)
    typed = read_done(path)
    proof["rule"]["words"] = rule_words(proof["rule"]["accuracy"], proof["rule"]["seeds"], recipe_of(typed))
    concluded1(proof, path)
    seconds = [run["curve"]["train_seconds"][-1] for run in proof["runs"]]
    evaluated = [run["curve"]["evaluate_seconds"][-1] for run in proof["runs"]]
    proof["summary"]["seconds"] = {"train": sum(seconds), "evaluate": sum(evaluated), "longest": max(seconds)}
    proof["summary"]["num_seeds"] = 2
    written1(path, proof)
    end, said = refusal(path, folder=folder)
    assert end == "refused"
    return said
