"""Whether images are still those that a run was trained on: told by digest and class names, in words."""

from collections.abc import Sequence
from typing import Protocol

from lenette.data.dataset import Dataset


class Recorded(Protocol):
    """What a run says of its data, as `runs.DataAbout` does."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> Sequence[str]: ...
    @property
    def num_images(self) -> int: ...
    @property
    def classes(self) -> Sequence[str]: ...
    @property
    def shape(self) -> Sequence[int]: ...


def changes(recorded: Recorded, images: Dataset, evaluated: Dataset | None = None) -> list[str]:
    """Return how a run's data differ now from when it was trained, in sentences' ends; [] where they are the same.

    Args:
        images: its training images as they are now; with `evaluated`, those of every epoch, as `jobs.datasets` returns
            both. Where these differ, so may the division in training and validation images.
    """
    found = class_changes(recorded, images)
    if list(images.images.shape[1:]) != list(recorded.shape):
        found.append(f"its images are {list(images.images.shape[1:])} now, and were {list(recorded.shape)}")
    elif len(images) != recorded.num_images:
        found.append(f"it has {len(images):,} training images now, and had {recorded.num_images:,}")
    elif images.digest != recorded.digest[0]:
        found.append("some of its training images or labels are others now")
    if evaluated is not None and recorded.digest[1] not in ("", evaluated.digest):
        found.append(f"some of its {evaluated.part} images or labels are others now")
    return found


def class_changes(recorded: Recorded, images: Dataset) -> list[str]:
    """Return how classes differ from those of a run, in sentences' ends; [] where they are the same, in order."""
    now, then = list(images.classes), list(recorded.classes)
    if now == then:
        return []
    if sorted(now) == sorted(then):
        return [f"its classes are in another order: {', '.join(now)} now, and {', '.join(then)} in training"]
    parts = []
    if new := [name for name in now if name not in then]:
        parts.append(f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} new")
    if gone := [name for name in then if name not in now]:
        parts.append(f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} missing")
    return [f"its classes are others: {' and '.join(parts)}"]
