"""Small copies of published data sets, with digests of their own."""

import gzip
import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lenette import data
from lenette.data.catalogue import File, Part
from tests.conftest import encode_idx


@pytest.fixture
def user(tmp_path, monkeypatch) -> Path:
    """An empty folder of the user's data, and an empty working folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr("lenette.data.places.TORCHVISION_ROOTS", ("data", "."))
    return tmp_path / "home" / "lenette" / "data"


class Small:
    """A small copy of a published set: `contents` maps names of its .gz files to their bytes."""

    def __init__(self, name: str, arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch):
        entry = data.DATASETS[name]
        self.arrays = arrays
        self.plain = {file: encode_idx(array) for file, array in arrays.items()}
        self.contents = {f"{file}.gz": gzip.compress(raw, mtime=0) for file, raw in self.plain.items()}

        def sized(file: File) -> File:
            packed = self.contents[f"{file.name}.gz"]
            return replace(
                file,
                sha256=hashlib.sha256(self.plain[file.name]).hexdigest() if file.sha256 else None,
                gz_sha256=hashlib.sha256(packed).hexdigest() if file.gz_sha256 else None,
                gz_md5=hashlib.md5(packed).hexdigest() if file.gz_md5 else None,
            )

        parts = {
            name: Part(sized(part.images), sized(part.labels), part.start and 6, part.stop and 6)
            for name, part in entry.parts.items()
        }
        self.entry = replace(entry, parts=parts)
        monkeypatch.setitem(data.DATASETS, name, self.entry)

    def write(self, folder: Path, packed: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (self.contents if packed else self.plain).items():
            (folder / name).write_bytes(content)
        return folder


def arrays(entry_name: str, size: int = 12) -> dict[str, np.ndarray]:
    """Return random images and labels in range for each file of a set; a set's name decides them."""
    entry = data.DATASETS[entry_name]
    generator = np.random.default_rng(list(entry_name.encode()))
    made: dict[str, np.ndarray] = {}
    for file in entry.files:
        if file.kind == "images":
            made[file.name] = generator.integers(0, 256, (size, 5, 4), dtype=np.uint8)
        else:
            labels = generator.integers(0, len(entry.classes), size) + entry.first_label
            made[file.name] = labels.astype(np.uint8)
            if file.kind == "table":
                made[file.name] = np.stack([labels, *generator.integers(0, 2**20, (7, size))], 1).astype(np.int32)
    return made


@pytest.fixture
def small(monkeypatch):
    """A function of a set's name that puts a small copy in the catalogue and returns it as a Small."""
    return lambda name: Small(name, arrays(name), monkeypatch)


@pytest.fixture
def small_emnist(small, monkeypatch, tmp_path):
    """A small EMNIST letters, and the path of a zip that holds it and another split."""
    letters = small("emnist_letters")
    path = tmp_path / "published" / "gzip.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in letters.contents.items():
            zipped.writestr(f"gzip/{name}", content)
            zipped.writestr(f"gzip/{name.replace('letters', 'digits')}", b"another split")
    archive = replace(letters.entry.archive, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    letters.entry = replace(letters.entry, archive=archive)
    monkeypatch.setitem(data.DATASETS, "emnist_letters", letters.entry)
    return letters, path
