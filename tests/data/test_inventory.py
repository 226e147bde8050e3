import hashlib
import os
import zipfile

import numpy as np
import pytest

from lenette import data
from lenette.errors import DataError

IMAGES = "train-images-idx3-ubyte"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw", "raw"])
def test_import_takes_plain_and_packed_files_in_every_layout(small, user, tmp_path, packed, place):
    mnist = small("mnist")
    mnist.write(tmp_path / "stick" / place, packed)
    assert data.import_folder("mnist", tmp_path / "stick") == user / "mnist"
    assert sorted(os.listdir(user / "mnist")) == sorted(mnist.contents if packed else mnist.plain)
    np.testing.assert_array_equal(data.load("mnist").images[:, 0].numpy(), mnist.arrays[IMAGES])


def test_import_takes_a_folder_that_is_called_anything(small, user, tmp_path):
    small("mnist").write(tmp_path / "kmnist")
    data.import_folder("mnist", tmp_path / "kmnist")
    assert data.find("mnist", "test") == user / "mnist"


def test_import_takes_the_dotted_names_too(small, user, tmp_path):
    folder = small("mnist").write(tmp_path / "stick", packed=False)
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))
    data.import_folder("mnist", folder)
    assert len(data.load("mnist")) == 12


def test_import_refuses_other_files_and_leaves_nothing_of_them(small, user, tmp_path):
    mnist = small("mnist")
    folder = mnist.write(tmp_path / "stick")
    (folder / f"{IMAGES}.gz").write_bytes(small("fashion_mnist").contents[f"{IMAGES}.gz"])
    with pytest.raises(DataError) as caught:
        data.import_folder("mnist", folder)
    message = str(caught.value)
    assert str(folder / f"{IMAGES}.gz") in message
    assert hashlib.sha256(mnist.plain[IMAGES]).hexdigest() in message
    assert "of 'fashion_mnist'" in message
    assert os.listdir(user / "mnist") == []


def test_import_names_what_is_missing(small, user, tmp_path):
    folder = small("mnist").write(tmp_path / "stick")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"doesn't hold t10k-labels-idx1-ubyte of 'mnist'"):
        data.import_folder("mnist", folder)
    with pytest.raises(DataError, match="no such folder"):
        data.import_folder("mnist", tmp_path / "absent")
    assert not user.exists()


def test_import_mends_what_is_damaged(small, user, tmp_path):
    mnist = small("mnist")
    mnist.write(user / "mnist", packed=False)
    (user / "mnist" / IMAGES).write_bytes(b"damaged")
    data.import_folder("mnist", mnist.write(tmp_path / "stick"))
    assert len(data.load("mnist")) == 12


@pytest.mark.parametrize("where", ["zip", "folder"])
def test_import_takes_emnist_from_its_zip(small_emnist, user, where):
    letters, path = small_emnist
    data.import_folder("emnist_letters", path if where == "zip" else path.parent)
    assert sorted(os.listdir(user / "emnist")) == sorted(letters.contents)
    assert len(data.load("emnist_letters")) == 12


def test_import_refuses_another_zip(small_emnist, user, tmp_path):
    letters, _ = small_emnist
    path = tmp_path / "gzip.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in letters.contents.items():
            zipped.writestr(f"gzip/{name}", content)
        zipped.writestr("gzip/more", b"more")
    with pytest.raises(DataError, match=r"gzip\.zip: its sha256 is"):
        data.import_folder("emnist_letters", path)
    with pytest.raises(DataError, match="imported from a folder"):
        data.import_folder("mnist", path)


def test_verify_says_ok_missing_or_mismatch(small, user):
    mnist = small("mnist")
    folder = mnist.write(user / "mnist")
    assert [row["status"] for row in data.verify("mnist")] == ["ok"] * 4
    (folder / f"{IMAGES}.gz").write_bytes(b"damaged")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    rows = {row["file"]: row for row in data.verify("mnist")}
    assert {file: row["status"] for file, row in rows.items()} == {
        IMAGES: "mismatch",
        "train-labels-idx1-ubyte": "ok",
        "t10k-images-idx3-ubyte": "ok",
        "t10k-labels-idx1-ubyte": "missing",
    }
    assert rows[IMAGES]["path"] == str(folder / f"{IMAGES}.gz")
    assert rows[IMAGES]["sha256"] == hashlib.sha256(b"damaged").hexdigest()
    assert "not an IDX file" in rows[IMAGES]["fault"]
    assert rows["t10k-labels-idx1-ubyte"]["path"] is None


def test_verify_says_what_vouches_for_a_file(small, user):
    small("mnist").write(user / "mnist", packed=False)
    small("kmnist").write(user / "kmnist")
    small("fashion_mnist").write(user / "fashion_mnist", packed=False)
    small("qmnist").write(user / "qmnist")
    vouchers = {name: {row["checked_by"] for row in data.verify(name)} for name in ("mnist", "kmnist", "fashion_mnist")}
    assert vouchers == {"mnist": {"content sha256"}, "kmnist": {"gzip sha256"}, "fashion_mnist": {"structure"}}
    assert {row["checked_by"] for row in data.verify("qmnist")} == {"gzip md5"}


def test_list_says_where_each_set_lies(small, user):
    small("kmnist").write(user / "kmnist")
    rows = {row["name"]: row for row in data.list_datasets()}
    assert list(rows) == list(data.DATASETS)
    assert rows["kmnist"]["folder"] == str(user / "kmnist")
    assert rows["optdigits"]["folder"] == "embedded"
    assert rows["mnist"]["folder"] is None
    assert rows["mnist"]["sizes"] == {"train": 60_000, "test": 10_000}
    assert "CODH" in rows["kmnist"]["attribution"]


def test_real_mnist_verifies(mnist_folder):
    assert {row["status"] for row in data.verify("mnist", mnist_folder)} == {"ok"}
