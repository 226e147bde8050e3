import gzip
import hashlib

import numpy as np
import pytest
import torch

from lenette.data import DATASETS, load
from lenette.errors import DataError
from tests.conftest import encode_idx

PLACES = ["given/mnist", "given/MNIST/raw", "given", "given/raw"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_finds_a_named_folder_in_every_layout(small, user, tmp_path, monkeypatch, place, packed, how):
    mnist = small("mnist")
    mnist.write(tmp_path / place, packed)
    if how == "environment":
        monkeypatch.setenv("LENETTE_DATA", str(tmp_path / "given"))
    dataset = load("mnist", folder=tmp_path / "given" if how == "argument" else None)
    np.testing.assert_array_equal(dataset.images[:, 0].numpy(), mnist.arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(dataset.labels.numpy(), mnist.arrays["train-labels-idx1-ubyte"])
    assert dataset.labels.dtype == torch.int64
    assert (dataset.name, dataset.part, dataset.classes) == ("mnist", "train", tuple("0123456789"))


def test_finds_the_users_folder_and_torchvisions(small, user):
    mnist = small("mnist")
    mnist.write(user / "mnist")
    assert len(load("mnist")) == 12
    fashion = small("fashion_mnist")
    fashion.write(user.parents[2] / "cwd" / "data" / "FashionMNIST" / "raw", packed=False)
    assert len(load("fashion_mnist", "test")) == 12


def test_a_named_folder_is_the_only_one_looked_in(small, user, tmp_path):
    small("mnist").write(user / "mnist")
    with pytest.raises(DataError, match="was not found"):
        load("mnist", folder=tmp_path / "empty")


def test_lenette_data_goes_before_the_users_folder_and_yields_where_it_lacks_the_set(
    small, user, tmp_path, monkeypatch
):
    mnist = small("mnist")
    (mnist.write(user / "mnist") / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    monkeypatch.setenv("LENETTE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="not an IDX file"):
        load("mnist")
    mnist.write(tmp_path / "mnist")
    assert len(load("mnist")) == 12


def test_a_missing_set_names_three_ways_out_and_where_it_looked(user, tmp_path, monkeypatch):
    monkeypatch.setenv("LENETTE_DATA", str(tmp_path / "named"))
    with pytest.raises(DataError) as caught:
        load("kmnist")
    message = str(caught.value)
    for words in ("data fetch kmnist", "data import kmnist", "LENETTE_DATA"):
        assert words in message
    for place in (tmp_path / "named" / "kmnist", user / "kmnist", "data/KMNIST/raw"):
        assert str(place) in message


def test_another_set_in_its_place_is_refused_by_name_and_digests(small, user, tmp_path):
    mnist, fashion = small("mnist"), small("fashion_mnist")
    fashion.write(tmp_path / "mnist")
    mnist.write(user / "mnist")
    with pytest.raises(DataError) as caught:
        load("mnist", folder=tmp_path)
    message = str(caught.value)
    images = "train-images-idx3-ubyte"
    assert str(tmp_path / "mnist" / f"{images}.gz") in message
    assert hashlib.sha256(fashion.plain[images]).hexdigest() in message
    assert hashlib.sha256(mnist.plain[images]).hexdigest() in message
    assert "it is train-images-idx3-ubyte of 'fashion_mnist'" in message


def test_a_folder_called_after_another_set_is_passed_over(small, user, tmp_path, monkeypatch):
    small("mnist").write(tmp_path / "mnist")
    small("kmnist").write(user / "kmnist")
    monkeypatch.setenv("LENETTE_DATA", str(tmp_path / "mnist"))
    assert load("kmnist").name == "kmnist"
    assert load("mnist").name == "mnist"


def test_the_packed_digest_is_checked_where_it_is_the_only_one(small, user):
    fashion = small("fashion_mnist")
    path = fashion.write(user / "fashion_mnist") / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(fashion.plain["train-labels-idx1-ubyte"], mtime=1))
    with pytest.raises(DataError, match="should be"):
        load("fashion_mnist")


def test_training_reads_no_test_file_and_test_no_training_labels(small, user):
    folder = small("mnist").write(user / "mnist")
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (folder / name).unlink()
    train = load("mnist")
    with pytest.raises(DataError, match="was not found"):
        load("mnist", "test")
    small("mnist").write(folder)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    test = load("mnist", "test")
    assert (test.mean, test.std) == (train.mean, train.std)


def test_unknown_names_and_parts_are_refused_with_the_nearest():
    with pytest.raises(DataError, match="did you mean 'kmnist'"):
        load("kmnst")
    with pytest.raises(DataError, match="did you mean 'train'"):
        load("mnist", "trian")


def test_qmnist_takes_the_first_column_and_parts_its_test_rows(small, user):
    qmnist = small("qmnist")
    qmnist.write(user / "qmnist")
    labels = qmnist.arrays["qmnist-test-labels-idx2-int"][:, 0]
    test, extra = load("qmnist", "test"), load("qmnist", "extra")
    np.testing.assert_array_equal(test.labels.numpy(), labels[:6])
    np.testing.assert_array_equal(extra.labels.numpy(), labels[6:])
    np.testing.assert_array_equal(extra.images[:, 0].numpy(), qmnist.arrays["qmnist-test-images-idx3-ubyte"][6:])


def test_the_published_qmnist_parts_at_ten_thousand():
    parts = DATASETS["qmnist"].parts
    assert (parts["test"].stop, parts["extra"].start) == (10_000, 10_000)


def test_emnist_is_turned_upright_and_its_letters_start_at_zero(small, user):
    letters = small("emnist_letters")
    letters.write(user / "emnist")
    dataset = load("emnist_letters", "test")
    stored = letters.arrays["emnist-letters-test-images-idx3-ubyte"]
    np.testing.assert_array_equal(dataset.images[:, 0].numpy(), stored.transpose(0, 2, 1))
    assert dataset.images.is_contiguous()
    np.testing.assert_array_equal(dataset.labels.numpy() + 1, letters.arrays["emnist-letters-test-labels-idx1-ubyte"])
    assert dataset.classes[dataset.labels[0]] == chr(64 + letters.arrays["emnist-letters-test-labels-idx1-ubyte"][0])


def write_own(folder, images, labels):
    folder.mkdir()
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(encode_idx(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(encode_idx(labels))
    return folder


IMAGES = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)


def test_a_folder_of_own_idx_files_needs_no_digest(tmp_path):
    folder = write_own(tmp_path / "mine", IMAGES, np.array([0, 2, 1], dtype=np.uint8))
    dataset = load(folder)
    assert (dataset.name, dataset.classes, len(load(str(folder), "test"))) == ("mine", ("0", "1", "2"), 3)


def test_images_and_labels_of_different_number_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"3 images, and .* 2 labels"):
        load(write_own(tmp_path / "mine", IMAGES, np.array([0, 1], dtype=np.uint8)))


def test_test_images_of_another_size_are_refused(tmp_path):
    folder = write_own(tmp_path / "mine", IMAGES, np.array([0, 2, 1], dtype=np.uint8))
    (folder / "t10k-images-idx3-ubyte").write_bytes(encode_idx(IMAGES[:, :3]))
    with pytest.raises(DataError, match="images of 4x3 pixels, where training's are 4x4"):
        load(folder, "test")


def test_labels_out_of_range_are_refused(small, user, monkeypatch):
    letters = small("emnist_letters")
    folder = letters.write(user / "emnist")
    labels = letters.arrays["emnist-letters-train-labels-idx1-ubyte"]
    for wrong in (0, 27):
        labels[3] = wrong
        (folder / "emnist-letters-train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(encode_idx(labels)))
        with pytest.raises(DataError, match=rf"label {wrong} is out of range 1\.\.26"):
            load("emnist_letters")


def test_tiny_mnist_can_be_learnt(tiny_mnist, tiny_folder):
    from sklearn.neighbors import KNeighborsClassifier

    train, test = load("mnist"), load("mnist", "test")
    model = KNeighborsClassifier(1).fit(train.images.flatten(1).numpy(), train.labels.numpy())
    assert model.score(test.images.flatten(1).numpy(), test.labels.numpy()) > 0.85
    assert load(tiny_folder).digest == train.digest


def test_real_mnist(mnist_folder):
    train, test = load("mnist", folder=mnist_folder), load("mnist", "test", mnist_folder)
    assert (tuple(train.images.shape), tuple(test.images.shape)) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert (round(train.mean[0], 4), round(train.std[0], 4)) == (0.1307, 0.3081)
    assert test.mean == train.mean
