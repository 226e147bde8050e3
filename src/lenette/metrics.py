"""From logits and labels to loss, accuracy, confusion and calibration."""

import torch
from torch.nn import functional

from lenette.records import Count, Fraction, Loss, Record

CALIBRATION_BINS = 15  # as in Guo et al., arXiv:1706.04599


class Bin(Record, frozen=True):
    """The images whose highest probability lies in one bin: its mean, and the share that is right."""

    confidence: float
    accuracy: float
    num_images: Count


class Evaluation(Record, frozen=True):
    """What a network is worth on some images.

    `loss` is the mean cross-entropy in nats, None where it isn't finite; `accuracy` a fraction; `per_class_accuracy`
    None for a class without images; `confusion` counts, [true][predicted]; `calibration_error` the expected calibration
    error, a fraction, over the bins of `calibration`.
    """

    num_images: Count
    loss: Loss
    accuracy: Fraction
    num_errors: Count
    per_class_accuracy: list[Fraction | None]
    confusion: list[list[Count]]
    calibration_error: float | None
    calibration: list[Bin]


def evaluate(logits: torch.Tensor, labels: torch.Tensor) -> Evaluation:
    """Return what the logits float [N, classes] are worth against the labels int64 [N]."""
    num_classes = logits.shape[1]
    logits, labels = logits.double().cpu(), labels.cpu()
    confidence, predicted = functional.softmax(logits, dim=1).max(dim=1)
    right = predicted == labels
    confusion = torch.bincount(labels * num_classes + predicted, minlength=num_classes**2).view(num_classes, -1)
    counts = confusion.sum(dim=1).double()
    loss = functional.cross_entropy(logits, labels)
    calibration = _calibration(confidence, right)
    return Evaluation(
        num_images=len(labels),
        loss=loss.item() if loss.isfinite() else None,
        accuracy=right.double().mean().item(),
        num_errors=int((~right).sum()),
        per_class_accuracy=[
            (confusion[i, i] / count).item() if (count := counts[i]) else None for i in range(num_classes)
        ],
        confusion=confusion.tolist(),
        calibration_error=sum(bin.num_images / len(labels) * abs(bin.accuracy - bin.confidence) for bin in calibration),
        calibration=calibration,
    )


def _calibration(confidence: torch.Tensor, right: torch.Tensor) -> list[Bin]:
    bins = (confidence.nan_to_num() * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
    return [
        Bin(
            confidence=confidence[inside].mean().item(),
            accuracy=right[inside].double().mean().item(),
            num_images=int(inside.sum()),
        )
        for index in range(CALIBRATION_BINS)
        if (inside := bins == index).any()
    ]
