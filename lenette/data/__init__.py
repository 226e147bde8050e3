"""Data sets: found, checked, fetched, and read into two tensors."""

from lenette.data.catalogue import DATASETS
from lenette.data.dataset import Dataset
from lenette.data.loading import load
from lenette.data.places import find

__all__ = ["DATASETS", "Dataset", "find", "load"]
