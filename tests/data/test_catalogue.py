import re

import pytest

from lenette.data import DATASETS

CLASSES = {
    "mnist": 10,
    "fashion_mnist": 10,
    "kmnist": 10,
    "emnist_byclass": 62,
    "emnist_bymerge": 47,
    "emnist_balanced": 47,
    "emnist_letters": 26,
    "emnist_digits": 10,
    "emnist_mnist": 10,
    "qmnist": 10,
    "optdigits": 10,
}


def test_every_set_has_its_number_of_distinct_classes():
    assert {name: len(set(entry.classes)) for name, entry in DATASETS.items()} == CLASSES


def test_emnist_merges_the_fifteen_letters_that_look_alike():
    byclass, merged = DATASETS["emnist_byclass"].classes, DATASETS["emnist_bymerge"].classes
    assert sorted(set(byclass) - set(merged)) == list("cijklmopsuvwxyz")
    assert merged == DATASETS["emnist_balanced"].classes
    assert (byclass[10], byclass[36], merged[36], merged[46]) == ("A", "a", "a", "t")


@pytest.mark.parametrize("name", CLASSES)
def test_every_set_says_what_it_is_and_whose(name):
    entry = DATASETS[name]
    assert entry.name == name
    assert all((entry.description, entry.licence, entry.attribution))
    assert set(entry.sizes) == (set(entry.parts) or {"train", "test"})
    assert all(url.startswith("http") and url.endswith("/") for url in entry.mirrors)


def test_every_digest_is_one():
    for entry in DATASETS.values():
        for file in entry.files:
            for digest, length in ((file.sha256, 64), (file.gz_sha256, 64), (file.gz_md5, 32)):
                assert digest is None or re.fullmatch(f"[0-9a-f]{{{length}}}", digest)
            assert entry.archive or file.sha256 or file.gz_sha256 or file.gz_md5
