import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from lenette import records
from lenette.metrics import CALIBRATION_BINS, Bin, evaluate

# Four images, three classes; the logarithms of probabilities are logits. No image of the third class.
PROBABILITIES = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.15, 0.75], [0.05, 0.9, 0.05]]
LABELS = [0, 1, 1, 1]
RESULT = evaluate(torch.tensor(PROBABILITIES).log(), torch.tensor(LABELS))


def test_loss_accuracy_and_errors_by_hand():
    assert RESULT.num_images == 4
    assert RESULT.loss == pytest.approx(-sum(math.log(p) for p in (0.7, 0.3, 0.15, 0.9)) / 4)
    assert (RESULT.accuracy, RESULT.num_errors) == (0.5, 2)


def test_confusion_is_true_by_predicted():
    assert RESULT.confusion == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_a_class_without_images_has_no_accuracy():
    assert RESULT.per_class_accuracy == [1.0, pytest.approx(1 / 3), None]


def test_calibration_by_hand():
    # bins of width 1/15: 0.5 in the eighth, 0.7 in the eleventh, 0.75 in the twelfth, 0.9 in the fourteenth
    assert [(round(one.confidence, 6), one.accuracy, one.num_images) for one in RESULT.calibration] == [
        (0.5, 0, 1),
        (0.7, 1, 1),
        (0.75, 0, 1),
        (0.9, 1, 1),
    ]
    assert RESULT.calibration_error == pytest.approx((0.5 + 0.3 + 0.75 + 0.1) / 4)


def test_certain_answers_fall_in_the_last_bin():
    logits = torch.tensor([[200.0, 0.0], [200.0, 0.0]])
    result = evaluate(logits, torch.tensor([0, 1]))
    assert result.calibration == [Bin(confidence=1.0, accuracy=0.5, num_images=2)]
    assert result.calibration_error == 0.5
    assert result.loss == 100


def test_a_loss_that_is_not_finite_is_none():
    result = evaluate(torch.tensor([[-math.inf, 0.0], [1.0, 0.0]]), torch.tensor([0, 0]))
    assert result.loss is None
    assert records.decode(records.line(result), type(result), "here").loss is None


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**32))
def test_the_parts_agree_with_each_other(num_images, num_classes, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_images, num_classes, generator=generator) * 3
    labels = torch.randint(num_classes, (num_images,), generator=generator)
    result = evaluate(logits, labels)
    confusion = torch.tensor(result.confusion)
    assert confusion.sum() == num_images
    assert confusion.sum(dim=1).tolist() == torch.bincount(labels, minlength=num_classes).tolist()
    assert confusion.trace() == num_images - result.num_errors
    assert result.accuracy == pytest.approx(1 - result.num_errors / num_images)
    assert result.loss == pytest.approx(functional.cross_entropy(logits.double(), labels).item())
    assert sum(one.num_images for one in result.calibration) == num_images
    assert len(result.calibration) <= CALIBRATION_BINS
    mean = sum(one.accuracy * one.num_images for one in result.calibration) / num_images
    assert mean == pytest.approx(result.accuracy)
    assert 0 <= result.calibration_error <= 1
