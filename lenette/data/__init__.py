"""Data sets: found, checked, fetched, and read into two tensors."""

from lenette.data.catalogue import DATASETS
from lenette.data.dataset import Dataset
from lenette.data.inventory import import_folder, list_datasets, verify
from lenette.data.loading import lies_in, load, load_for, parts, require_part
from lenette.data.mirrors import fetch
from lenette.data.places import find, user_folder
from lenette.data.preparation import Preparation
from lenette.data.splits import validation

__all__ = [
    "DATASETS",
    "Dataset",
    "Preparation",
    "fetch",
    "find",
    "import_folder",
    "lies_in",
    "list_datasets",
    "load",
    "load_for",
    "parts",
    "require_part",
    "user_folder",
    "validation",
    "verify",
]
