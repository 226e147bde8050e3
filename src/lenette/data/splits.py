"""The validation part of a training set: stratified, and the same for every run."""

import numpy as np
import torch

from lenette.errors import DataError

# A key of the splits' own, tied to no run's seed. It may never change: every sealed result rests on it.
SPLIT_KEY = 0x1E9E77E


def validation(labels: torch.Tensor, fold: int = 0, folds: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ascending int64 indices (train, validation) of fold `fold` of `folds`, for int64 labels [N].

    Each image is in the validation part of exactly one fold. Both a class's share and the whole differ by at most one
    image between folds: of MNIST's 60,000 images a sixth is 10,000, as many as its test set. The shuffle sorts raw
    words of Philox4x64, whose bits NumPy keeps stable. Raises DataError where there are fewer images than folds.
    """
    if not 0 <= fold < folds or folds < 2:
        raise DataError(f"fold {fold} of {folds}: fold must be in 0..folds-1 and folds at least 2")
    if len(labels) < folds:
        raise DataError(f"{len(labels)} images can't be split in {folds} folds")
    words = np.random.Philox(key=SPLIT_KEY).random_raw(len(labels))
    by_class_then_chance = np.lexsort((words, labels.numpy()))
    held_out = np.zeros(len(labels), dtype=bool)
    held_out[by_class_then_chance[fold::folds]] = True
    return torch.from_numpy(np.flatnonzero(~held_out)), torch.from_numpy(np.flatnonzero(held_out))


def held_out(labels: torch.Tensor, fold: int = 0, folds: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `validation`'s indices, except that the only image of a class is always for training."""
    train, held = validation(labels, fold, folds)
    single = labels.bincount()[labels[held]] == 1
    return torch.cat([train, held[single]]).sort().values, held[~single]
