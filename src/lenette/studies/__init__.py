"""Questions that many runs answer: each function trains its cells over paired seeds and returns plain data."""

from lenette.studies.questions import augmentation, batch_size, ladder, learning_rate, schedule, sweep
from lenette.studies.range_test import RangeTest, range_test
from lenette.studies.study import Cell, Study, read, save
from lenette.studies.words import answer

__all__ = [
    "Cell",
    "RangeTest",
    "Study",
    "answer",
    "augmentation",
    "batch_size",
    "ladder",
    "learning_rate",
    "range_test",
    "read",
    "save",
    "schedule",
    "sweep",
]
