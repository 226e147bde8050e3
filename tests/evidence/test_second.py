import hashlib
from dataclasses import replace

import numpy as np
import pytest

from lenette import data, runs
from lenette.data.catalogue import File, Part
from lenette.errors import DataError, LenetteError
from lenette.evidence.proof import read_done
from lenette.evidence.second import second_test
from lenette.evidence.words import second_lines
from tests.conftest import encode_idx


@pytest.fixture
def small_qmnist(tmp_path, monkeypatch):
    """A folder with QMNIST in small: of its 40 test rows the last 30 are "extra"."""
    digits = data.load("optdigits", "test")
    images, labels = digits.images[:, 0].numpy(), digits.labels.numpy()
    table = np.zeros((300, 8), dtype=np.int32)
    table[:, 0] = labels
    table[:, 1:] = 77
    entry = data.DATASETS["qmnist"]
    sized, folder = {}, tmp_path / "qmnist"
    folder.mkdir()
    for file in entry.files:
        rows = slice(100) if "train" in file.name else slice(100, 140)
        content = encode_idx((images if file.kind == "images" else table)[rows])
        (folder / file.name).write_bytes(content)
        sized[file.name] = File(file.name, file.kind, sha256=hashlib.sha256(content).hexdigest())
    parts = {
        name: Part(sized[part.images.name], sized[part.labels.name], part.start and 10, part.stop and 10)
        for name, part in entry.parts.items()
    }
    monkeypatch.setitem(data.DATASETS, "qmnist", replace(entry, parts=parts))
    return folder


def test_the_drop_on_qmnists_other_digits(small_qmnist, proofs):
    result = second_test(proofs / "course.json", folder=small_qmnist)
    assert (result.dataset, result.part, result.num_images) == ("qmnist", "extra", 30)
    images = data.load("optdigits", "test")
    own = [run.accuracy for run in read_done(proofs / "course.json").runs]
    expected = {}
    for run in read_done(proofs / "course.json").runs:
        made = runs.with_key(proofs / "runs", run.key)
        assert made is not None
        right = made.logits(images.images[110:140]).argmax(dim=1) == images.labels[110:140]
        expected[run.seed] = right.double().mean().item()
    assert result.values == pytest.approx(expected)
    assert result.mean.mean == pytest.approx(np.mean(list(expected.values())))
    assert result.drop.mean == pytest.approx(np.mean(own) - result.mean.mean)
    lines = second_lines(result)
    assert "qmnist extra, 30 images" in lines[0]
    assert f"{-100 * result.drop.mean:+.3f} points" in lines[1]


def test_another_part_is_chosen_by_name(small_qmnist, proofs):
    assert second_test(proofs / "sealed.json", "qmnist", "test", folder=small_qmnist).num_images == 10
    assert second_test(proofs / "sealed.json", "optdigits").drop.mean == 0


def test_what_is_no_second_test(small_qmnist, own, monkeypatch):
    with pytest.raises(DataError, match="were trained on these images"):
        second_test(own / "course.json", "optdigits", "train")
    monkeypatch.setitem(data.DATASETS, "qmnist", replace(data.DATASETS["qmnist"], classes=tuple("0123456789a")))
    with pytest.raises(DataError, match="11 classes"):
        second_test(own / "course.json", folder=small_qmnist)
    (own / "course.safetensors").unlink()
    with pytest.raises(LenetteError, match="the weights of seed 1000 are neither beside"):
        second_test(own / "course.json", "optdigits", store="nowhere")
