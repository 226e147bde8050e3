"""Data sets: found, checked, fetched, and read into two tensors."""

from lenette.data.catalogue import DATASETS
from lenette.data.changes import changes, class_changes
from lenette.data.dataset import Dataset
from lenette.data.given import from_arrays, loader
from lenette.data.inventory import import_folder, list_datasets, verify
from lenette.data.loading import lies_in, load, load_for, parts, require_part
from lenette.data.mirrors import fetch
from lenette.data.places import find, user_folder
from lenette.data.preparation import Preparation
from lenette.data.splits import validation
from lenette.data.tables import submission, to_predict

__all__ = [
    "DATASETS",
    "Dataset",
    "Preparation",
    "changes",
    "class_changes",
    "fetch",
    "find",
    "from_arrays",
    "import_folder",
    "lies_in",
    "list_datasets",
    "load",
    "load_for",
    "loader",
    "parts",
    "require_part",
    "submission",
    "to_predict",
    "user_folder",
    "validation",
    "verify",
]
