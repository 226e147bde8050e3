"""Fixtures for every floor: the real MNIST, small data sets that can be learnt, a user folder of their own."""

import gzip
import hashlib
import os
import signal
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from lenette import data
from lenette.data import catalogue, optdigits

# A shell that starts the tests in the background has Ctrl-C ignored, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure.
settings.register_profile("lenette", deadline=None)
settings.load_profile("lenette")


@pytest.fixture(scope="session", autouse=True)
def users_mnist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """Hide the user's own data from all tests; the value is where real MNIST was found before that."""
    found = data.find("mnist", "test")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LENETTE_DATA", raising=False)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("user")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("lenette.data.places.TORCHVISION_ROOTS", ())
        yield found


@pytest.fixture(scope="session")
def mnist_folder(users_mnist: Path | None) -> Path:
    """The folder of the real MNIST files: skips where there is none, and fails where LENETTE_REQUIRE_MNIST is 1."""
    if users_mnist is None:
        reason = "real MNIST was not found: set LENETTE_DATA, or run `lenette data fetch mnist`"
        if os.environ.get("LENETTE_REQUIRE_MNIST") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return users_mnist


def encode_idx(array: np.ndarray) -> bytes:
    """Return a uint8 or int32 array as the bytes of an IDX file."""
    type_code = {"u": 0x08, "i": 0x0C}[array.dtype.kind]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, type_code, array.ndim, *array.shape)
    return header + array.astype(">u1" if type_code == 0x08 else ">i4").tobytes()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MNIST's four files in small: 300 training and 100 test images of learnable digits.

    `load(str(tiny_folder))` reads it, in another process too.
    """
    images, labels, rows = optdigits.read()
    folder = tmp_path_factory.mktemp("tiny") / "mnist"
    folder.mkdir()
    parts = (rows["train"][:300], rows["test"][:100])
    arrays = [array for part in parts for array in (images[part], labels[part].astype(np.uint8))]
    for name, array in zip(catalogue.MNIST_FILES, arrays, strict=True):
        (folder / f"{name}.gz").write_bytes(gzip.compress(encode_idx(array), mtime=0))
    return folder


@pytest.fixture
def tiny_mnist(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `load("mnist")` find `tiny_folder`, whose digests stand in for MNIST's, in this process."""
    contents = (gzip.decompress((tiny_folder / f"{name}.gz").read_bytes()) for name in catalogue.MNIST_FILES)
    parts = catalogue.four_files(sha256=tuple(hashlib.sha256(content).hexdigest() for content in contents))
    sizes = {"train": 300, "test": 100}
    monkeypatch.setitem(data.DATASETS, "mnist", replace(data.DATASETS["mnist"], parts=parts, sizes=sizes))
    monkeypatch.setenv("LENETTE_DATA", str(tiny_folder))
    return tiny_folder
