import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from msgspec import structs

from lenette import data, ledger, runs, training
from lenette.errors import DataError, RunError, SealedError
from lenette.evidence import sealed
from lenette.metrics import evaluate
from lenette.recipes import Recipe
from lenette.stats import accuracy_interval


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def train(store, tiny_folder, **fields):
    recipe = Recipe(model="sigmoid_mlp", dataset=str(tiny_folder), epochs=1, batch_size=50)
    return training.train(recipe, store=store, threads=1, **fields)


@pytest.fixture
def run(store, tiny_folder, tmp_path):
    """A sealed run, in a folder of the test's own."""
    found = train(store, tiny_folder)
    return runs.Run(shutil.copytree(found.folder, tmp_path / found.id))


@pytest.fixture(scope="module")
def course(store, tiny_folder):
    return train(store, tiny_folder, protocol="course")


def test_an_opening_is_what_the_weights_are_worth_and_is_written_down(run, tiny_folder):
    assert sealed.openings(run) == []
    held_out = data.load(str(tiny_folder), "test")
    logits = run.logits(held_out.images)
    result = sealed.open_test(run)
    for name, value in structs.asdict(evaluate(logits, held_out.labels)).items():
        assert getattr(result, name) == value
    (opening,) = ledger.looks(run.folder.parent, held_out.digest)
    assert sealed.openings(run) == [opening]
    assert (opening.what, opening.dataset, opening.part, opening.num_images) == ("opening", "mnist", "test", 100)
    assert (opening.accuracy, opening.loss) == (result.accuracy, result.loss)
    assert (opening.key, opening.recipe) == (run.about.key, run.recipe.digest)
    assert opening.wrong == [i for i in range(100) if logits[i].argmax() != held_out.labels[i]]
    assert opening.time.endswith("+00:00")


def test_every_opening_is_counted(run):
    said = [sealed.open_test(run).looks for _ in range(3)]
    assert said[2].startswith("look 3 at these images by runs of the store")
    assert said[2].endswith("3 looks (1 run, 1 recipe)")
    first, second, _ = sealed.openings(run)
    assert structs.replace(first, time="") == structs.replace(second, time="")


def test_a_run_made_again_another_engine_and_the_course_protocol_reset_nothing(tiny_folder, tmp_path):
    store, digest = tmp_path / "runs", data.load(str(tiny_folder), "test").digest
    first = train(store, tiny_folder, engine="native")
    sealed.open_test(first)
    sealed.open_test(train(store, tiny_folder, engine="native", again=True))
    sealed.open_test(train(store, tiny_folder, engine="reference"))
    train(store, tiny_folder, protocol="course", engine="reference")
    last = sealed.open_test(train(store, tiny_folder, engine="reference", epochs=2))
    assert last.looks.startswith("look 5 at these images")
    assert last.looks.endswith("5 looks (4 runs, 3 recipes)")
    assert len(sealed.looks(store, digest)) == 5


def test_openings_that_version_1_wrote_down_are_counted(run, tiny_folder):
    held_out = data.load(str(tiny_folder), "test")
    sealed.open_test(run)
    (look,) = sealed.openings(run)
    kept = ("time", "dataset", "part", "weights", "accuracy", "loss", "num_images", "wrong")
    old = {name: getattr(look, name) for name in kept} | {"digest": held_out.digest}
    shutil.rmtree(run.folder.parent / ledger.FOLDER)
    (run.folder / sealed.OLD_RECORD).write_text(json.dumps(old) + "\n")
    assert sealed.openings(run) == sealed.looks(run.folder.parent, held_out.digest) == [look]
    assert sealed.opened_once(run, held_out) == look
    assert sealed.open_test(run).looks.startswith("look 2 at these images")
    with (run.folder / sealed.OLD_RECORD).open("a") as record:
        record.write('{"time": ')
    with pytest.raises(RunError, match=r"openings.jsonl, line 2, is damaged"):
        sealed.openings(run)


def test_a_torn_line_of_the_ledger_is_a_look(run, tiny_folder):
    sealed.open_test(run)
    (record,) = (run.folder.parent / ledger.FOLDER).glob("*.jsonl")
    with record.open("a") as lines:
        lines.write('{"time": ')
    assert sealed.open_test(run).looks.endswith("3 looks (1 run, 1 recipe, 1 damaged line)")


def test_opened_once_opens_once(run, tiny_folder):
    held_out = data.load(str(tiny_folder), "test")
    first = sealed.opened_once(run, held_out)
    assert sealed.opened_once(run, held_out) == first
    assert len(sealed.openings(run)) == 1
    other = held_out.subset(torch.arange(40), "test")
    assert sealed.opened_once(run, other).num_images == 40
    assert len(sealed.openings(run)) == 2


def test_no_figure_of_the_test_set_before_the_opening(run, monkeypatch):
    load = data.load

    def guarded(name, part="train", *how):
        assert part != "test"
        return load(name, part, *how)

    monkeypatch.setattr(data, "load", guarded)
    for part in (None, "train", "validation"):
        sealed.evaluate_part(run, part)
    with pytest.raises(SealedError, match=r"sealed: its test images are opened once.*--open-test"):
        sealed.evaluate_part(run, "test")
    with pytest.raises(DataError, match="no part 'tset'; did you mean 'test'"):
        sealed.evaluate_part(run, "tset")
    with pytest.raises(SealedError, match="--open-test"):
        sealed.evaluate_part(run, None, dataset="optdigits")
    assert not (run.folder.parent / ledger.FOLDER).exists()
    for record in run.folder.glob("*.json*"):
        assert not re.search(r'"test\w*":\s*[^n\s]', record.read_text())


@pytest.mark.parametrize("part", [None, "test"])
def test_evaluate_opens_where_it_may(part, run):
    result = sealed.evaluate_part(run, part, may_open=True)
    assert (result.part, result.num_images, len(sealed.openings(run))) == ("test", 100, 1)
    low, high = result.low, result.high
    assert low < result.accuracy < high
    expected = accuracy_interval(100 - result.num_errors, 100)
    assert (low, high) == (expected.low, expected.high)


def test_what_it_was_trained_on_is_no_opening(run):
    for part, size in ((None, 50), ("validation", 50), ("train", 250)):
        result = sealed.evaluate_part(run, part, may_open=part is not None)
        assert result.num_images == size
        assert result.looks == ""
    assert sealed.evaluate_part(run, None).accuracy == run.validation_accuracy
    assert sealed.evaluate_part(run, "train").accuracy == run.train_accuracy
    assert sealed.openings(run) == []


def test_another_data_set_of_the_same_kind_is_an_opening(run):
    result = sealed.evaluate_part(run, None, dataset="optdigits", may_open=True)
    assert (result.dataset, result.part) == ("optdigits", "test")
    assert sealed.openings(run)[0].dataset == "optdigits"


def test_a_course_run_looks_anew_at_other_images_alone(course, tiny_folder):
    assert sealed.evaluate_part(course, None).accuracy == course.test_accuracy
    assert sealed.evaluate_part(course, "train").num_images == 300
    assert sealed.openings(course) == []
    known = sealed.looks(course.folder.parent, data.load(str(tiny_folder), "test").digest)
    assert [look.what for look in known if look.run == course.id] == ["every epoch"]
    assert sealed.evaluate_part(course, None, dataset="optdigits").looks.startswith("look 1 at these images")
    with pytest.raises(SealedError, match="holds out no validation images"):
        sealed.evaluate_part(course, "validation")
    with pytest.raises(DataError, match="no part 'tset'; did you mean 'test'"):
        sealed.evaluate_part(course, "tset")


def test_a_refit_is_sealed_too(store, tiny_folder):
    run = train(store, tiny_folder, fold=-1)
    assert sealed.evaluate_part(run, None).num_images == 300
    with pytest.raises(SealedError, match="holds out no validation"):
        sealed.evaluate_part(run, "validation")
    with pytest.raises(SealedError, match="--open-test"):
        sealed.evaluate_part(run, "test")


def test_images_of_another_kind_are_refused(run, course, tmp_path):
    from PIL import Image

    for part in ("train", "test"):
        for name, shade in (("a", 10), ("b", 200)):
            (tmp_path / "own" / part / name).mkdir(parents=True)
            Image.new("L", (28, 28), shade).save(tmp_path / "own" / part / name / "1.png")
    for one in (run, course):
        with pytest.raises(SealedError, match=r"2 classes of images \[1, 28, 28\]; run .* trained on 10 classes"):
            sealed.evaluate_part(one, "test", dataset=str(tmp_path / "own"), may_open=True)
    assert sealed.openings(run) == []


def test_a_run_that_has_not_ended_is_not_opened(run):
    (run.folder / "final.json").unlink()
    run.set_status("interrupted")
    with pytest.raises(RunError, match="has not ended"):
        sealed.open_test(run)
    assert sealed.openings(run) == []


def test_the_test_images_may_come_later_from_elsewhere(tiny_folder, tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for path in Path(tiny_folder).glob("train-*"):
        shutil.copy(path, folder)
    run = train(tmp_path / "runs", folder)
    with pytest.raises(DataError, match="no part .test."):
        sealed.open_test(run)
    for path in Path(tiny_folder).glob("t10k-*"):
        shutil.copy(path, folder)
    assert sealed.open_test(run).num_images == 100
