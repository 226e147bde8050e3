"""From logits and labels to loss, accuracy, confusion and calibration."""

from typing import Any

import torch
from torch.nn import functional

CALIBRATION_BINS = 15  # as in Guo et al., arXiv:1706.04599


def evaluate(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    """Return what the logits float [N, classes] are worth against the labels int64 [N].

    Returns:
        num_images; loss (mean cross-entropy, nats); accuracy (fraction); num_errors; per_class_accuracy (fractions,
        None for a class without images); confusion (counts, [true][predicted]); calibration_error (expected
        calibration error, fraction); calibration: bins of {confidence, accuracy, num_images} of the top class.
    """
    num_classes = logits.shape[1]
    logits, labels = logits.double().cpu(), labels.cpu()
    confidence, predicted = functional.softmax(logits, dim=1).max(dim=1)
    right = predicted == labels
    confusion = torch.bincount(labels * num_classes + predicted, minlength=num_classes**2).view(num_classes, -1)
    counts = confusion.sum(dim=1).double()
    calibration = _calibration(confidence, right)
    return {
        "num_images": len(labels),
        "loss": functional.cross_entropy(logits, labels).item(),
        "accuracy": right.double().mean().item(),
        "num_errors": int((~right).sum()),
        "per_class_accuracy": [
            (confusion[i, i] / count).item() if (count := counts[i]) else None for i in range(num_classes)
        ],
        "confusion": confusion.tolist(),
        "calibration_error": sum(
            bin["num_images"] / len(labels) * abs(bin["accuracy"] - bin["confidence"]) for bin in calibration
        ),
        "calibration": calibration,
    }


def _calibration(confidence: torch.Tensor, right: torch.Tensor) -> list[dict[str, float]]:
    bins = (confidence * CALIBRATION_BINS).long().clamp(max=CALIBRATION_BINS - 1)
    return [
        {
            "confidence": confidence[inside].mean().item(),
            "accuracy": right[inside].double().mean().item(),
            "num_images": int(inside.sum()),
        }
        for index in range(CALIBRATION_BINS)
        if (inside := bins == index).any()
    ]
