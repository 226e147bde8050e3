import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lenette.data import validation
from lenette.errors import DataError


@given(st.lists(st.integers(0, 4), min_size=7, max_size=200), st.integers(2, 7))
def test_folds_part_the_images_and_each_class_evenly(labels, folds):
    labels = torch.tensor(labels)
    parts = [validation(labels, fold, folds) for fold in range(folds)]
    held_out = torch.cat([validation_part for _, validation_part in parts])
    assert sorted(held_out.tolist()) == list(range(len(labels)))
    for train, held in parts:
        assert train.dtype == held.dtype == torch.int64
        assert sorted(train.tolist() + held.tolist()) == list(range(len(labels)))
        assert train.tolist() == sorted(train.tolist())
        assert held.tolist() == sorted(held.tolist())
    for count in (
        torch.tensor([len(held) for _, held in parts]),
        *(torch.tensor([(labels[held] == label).sum() for _, held in parts]) for label in range(5)),
    ):
        assert count.max() - count.min() <= 1


def test_the_split_never_changes():
    _, held = validation(torch.arange(60) % 3)
    assert held.tolist() == [7, 9, 12, 32, 36, 37, 38, 42, 53, 55]


def test_the_split_is_shuffled():
    _, held = validation(torch.zeros(6000, dtype=torch.int64))
    assert 2800 < held.double().mean() < 3200
    assert len(set((held % 6).tolist())) == 6


@pytest.mark.parametrize(("fold", "folds"), [(6, 6), (-1, 6), (0, 1)])
def test_a_fold_that_is_not_there_is_refused(fold, folds):
    with pytest.raises(DataError, match="fold"):
        validation(torch.zeros(100, dtype=torch.int64), fold, folds)


def test_fewer_images_than_folds_are_refused():
    with pytest.raises(DataError, match="5 images"):
        validation(torch.zeros(5, dtype=torch.int64))


def test_mnist_parts_in_fifty_thousand_and_ten(mnist_folder):
    from lenette.data import load

    labels = load("mnist", folder=mnist_folder).labels
    train, held = validation(labels)
    assert (len(train), len(held)) == (50_000, 10_000)
    shares = labels[held].bincount() / labels.bincount()
    assert (shares - 1 / 6).abs().max() < 1e-3
