import gzip
import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lenette import data
from lenette.data import csv, numpys, optdigits
from lenette.errors import DataError

IMAGES, LABELS, _ = optdigits.read()
IMAGES, LABELS = IMAGES[:60], LABELS[:60]
HEADER = "label," + ",".join(f"pixel{number}" for number in range(784))


def kaggle(path, images=IMAGES, labels=LABELS, header=HEADER, end="\n"):
    rows = images.reshape(len(images), -1).tolist()
    if labels is not None:
        rows = [[label, *row] for label, row in zip(labels.tolist(), rows, strict=True)]
    text = end.join(([header] if header else []) + [",".join(map(str, row)) for row in rows]) + end
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def same(dataset, images=IMAGES, labels=LABELS):
    np.testing.assert_array_equal(dataset.images[:, 0].numpy(), images)
    assert [dataset.classes[label] for label in dataset.labels] == [str(label) for label in labels]


@pytest.fixture
def folder(tmp_path):
    """Kaggle's folder: train.csv, test.csv without labels, and a sample of what to send in."""
    kaggle(tmp_path / "kaggle" / "train.csv")
    kaggle(tmp_path / "kaggle" / "test.csv", labels=None, header=HEADER.removeprefix("label,"))
    (tmp_path / "kaggle" / "sample_submission.csv").write_text("ImageId,Label\n1,0\n")
    return tmp_path / "kaggle"


def test_kaggles_folder_has_a_training_part_and_images_to_predict(folder):
    assert data.parts(folder) == ("train",)
    same(data.load(folder))
    np.testing.assert_array_equal(data.to_predict(folder, (1, 28, 28)).images[:, 0], IMAGES)
    same(data.load(kaggle(folder.parent / "a" / "train.csv.gz")))


def test_the_answers_go_back_as_kaggle_wants_them(folder):
    rows = data.to_predict(folder / "test.csv", (1, 28, 28))
    assert data.submission(rows, ["7", "1"]) == "ImageId,Label\n1,7\n2,1\n"
    header = "id," + HEADER.removeprefix("label,")
    named = kaggle(folder / "kannada.csv", labels=LABELS + 100, header=header)
    assert data.submission(data.to_predict(named, (1, 28, 28)), ["3"] * 60).startswith(f"id,label\n{LABELS[0] + 100},3")
    with pytest.raises(DataError, match=r"images of \[1, 28, 28\]; the network takes \[3, 28, 28\]"):
        data.to_predict(folder, (3, 28, 28))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", [HEADER, '"' + HEADER.replace(",", '","') + '"', "\ufeff" + HEADER, "", None])
def test_a_table_by_itself_is_divided_by_its_images(tmp_path, header, end):
    path = kaggle(tmp_path / "digits.csv", header=header, end=end)
    train, test = data.load(path), data.load(path, "test")
    assert (data.parts(path), len(train) + len(test)) == (("train", "test"), 60)
    assert 6 <= len(test) <= 12
    assert "no test part of its own" in train.notes[0]
    assert not {image.tobytes() for image in train.images.numpy()} & {image.tobytes() for image in test.images.numpy()}


def test_the_division_does_not_hang_on_the_order(tmp_path):
    path, turned = kaggle(tmp_path / "a.csv"), kaggle(tmp_path / "b.csv", IMAGES[::-1], LABELS[::-1])
    first, second = data.load(path, "test"), data.load(turned, "test")
    assert {image.tobytes() for image in first.images.numpy()} == {image.tobytes() for image in second.images.numpy()}


def test_fractions_and_names_in_a_table(tmp_path):
    rows = "\n".join(f"{'ab'[k % 2]},{k / 255:.6f},0,1,1.0" for k in range(12))
    (tmp_path / "train.csv").write_text(f"class,a,b,c,d\n{rows}\n")
    train = data.load(tmp_path)
    assert train.classes == ("a", "b")
    assert train.images[:, 0, 0].tolist() == [[k, 0] for k in range(12)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", r"train\.csv, line 3: 3 columns, where the first line has 5"),
        ("1,2,3,4,x", r"train\.csv, line 3: 'x' is no pixel"),
        ("1,2,3,4,256", r"line 3: '256' is no pixel"),
        ("1,2,3,4,-1", r"line 3: '-1' is no pixel"),
        ("1,2,,3,4", r"line 3: '' is no pixel"),
        ("1,2,nan,3,4", r"line 3: 'nan' is no pixel"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    (tmp_path / "train.csv").write_text(f"label,a,b,c,d\n0,1,2,3,4\n{line}\n1,4,3,2,1\n")
    with pytest.raises(DataError, match=message):
        data.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no images in it"),
        ("label,a,b,c,d\n", "no images in it"),
        ("a,b,c\n1,2,3\n", "3 columns, of which 3 are pixels"),
        ("a,label,b,c,d\n1,2,3,4,5\n", "column 1 is the label"),
        ("label,a,b,c,d\n1,2,3,4,5\n", "1 class"),
        ("a" * (csv.MAX_LINE + 1), "not a table"),
    ],
)
def test_what_is_no_table_of_images_is_refused(tmp_path, text, message):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        data.load(tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, raw):
    for suffix in (".csv", ".npy", ".npz", ".pt"):
        path = tmp_path_factory.getbasetemp() / f"train{suffix}"
        path.write_bytes(raw)
        with pytest.raises(DataError):
            data.load(path)


def keras(path, **changes):
    path.parent.mkdir(exist_ok=True)
    arrays = {"x_train": IMAGES[:50], "y_train": LABELS[:50].astype(np.uint8), "x_test": IMAGES[50:]}
    np.savez(path, **{**arrays, "y_test": LABELS[50:].astype(np.uint8), **changes})
    return path


def test_keras_file_and_its_folder(tmp_path):
    path = keras(tmp_path / "keras" / "mnist.npz")
    for name in (path, path.parent):
        assert data.parts(name) == ("train", "test")
        same(data.load(name), IMAGES[:50], LABELS[:50])
        same(data.load(name, "test"), IMAGES[50:], LABELS[50:])
    assert data.load(path).name == "mnist"


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[..., None],
        lambda x: x.reshape(len(x), -1),
        lambda x: x.astype(np.int64),
        lambda x: x.astype(np.float64),
        lambda x: (x / 255).astype(np.float32),
        np.asfortranarray,
    ],
)
def test_images_of_every_shape_and_type(tmp_path, change):
    path = keras(tmp_path / "m.npz", x_train=change(IMAGES[:50]), y_train=np.eye(10)[LABELS[:50]])
    same(data.load(path), IMAGES[:50], LABELS[:50])


def test_separate_arrays_of_three_parts(tmp_path):
    for part, rows in (("train", slice(40)), ("val", slice(40, 50)), ("test", slice(50, 60))):
        np.save(
            tmp_path / f"{part}_images.npy", np.dstack([IMAGES[rows].reshape(-1, 28, 1)] * 3).reshape(-1, 28, 28, 3)
        )
        np.save(tmp_path / f"{part}_labels.npy", LABELS[rows, None])
    assert data.parts(tmp_path) == ("train", "validation", "test")
    assert data.load(tmp_path, "validation").images.shape == (10, 3, 28, 28)


def test_files_whose_arrays_have_no_names(tmp_path):
    for part, rows in (("train", slice(50)), ("test", slice(50, 60))):
        np.savez_compressed(tmp_path / f"k49-{part}-imgs.npz", IMAGES[rows])
        np.savez_compressed(tmp_path / f"k49-{part}-labels.npz", LABELS[rows])
    same(data.load(tmp_path, "test"), IMAGES[50:], LABELS[50:])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": LABELS[:9]}, "50 images and 9 labels"),
        ({"x_train": IMAGES[:50] * 1.5 - 100}, "leave normalising to lenette"),
        ({"x_train": IMAGES[:50, :, :, None].repeat(5, 3)}, r"an array of \[50, 28, 28, 5\]"),
        ({"x_train": IMAGES[:50].reshape(50, -1)[:, :700]}, "700 numbers an image"),
        ({"y_train": LABELS[:50] + 0.5}, "labels are whole numbers or names"),
        ({"y_test": LABELS[50:] + 40}, "not among training's"),
    ],
)
def test_arrays_that_are_amiss_are_named(tmp_path, changes, message):
    path = keras(tmp_path / "m.npz", **changes)
    with pytest.raises(DataError, match=message) as caught:
        data.load(path, "test")
    assert "m.npz" in str(caught.value)


def test_objects_are_never_unpickled(tmp_path):
    touched = tmp_path / "touched"

    class Bomb:
        def __reduce__(self):
            return touched.write_text, ("x",)

    np.save(tmp_path / "train_images.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    (tmp_path / "training.pt").write_bytes(pickle.dumps((Bomb(), Bomb())))
    torch.save((Bomb(), Bomb()), tmp_path / "test.pt")
    for name in ("train_images.npy", "training.pt", "test.pt"):
        with pytest.raises(DataError, match=name):
            data.load(tmp_path / name)
    assert not touched.exists()


def test_arrays_that_lie_about_their_size_are_refused_unread(tmp_path):
    import tracemalloc

    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"shape": (10**9, 28), "fortran_order": False, "descr": "|u1"})
    (tmp_path / "x.npy").write_bytes(stream.getvalue())
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", stream.getvalue() + bytes(10**7))
    tracemalloc.start()
    for name in ("x.npy", "x.npz"):
        with pytest.raises(DataError, match="bytes, where its shape"):
            numpys.read(tmp_path / name)
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


def test_damaged_arrays_are_refused(tmp_path):
    np.save(tmp_path / "train_images.npy", IMAGES)
    np.savez_compressed(tmp_path / "m.npz", x_train=IMAGES, y_train=LABELS)
    generator = np.random.default_rng(0)
    for name in ("train_images.npy", "m.npz"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(300):
            raw = bytearray(whole[: generator.integers(1, len(whole))])
            for place in generator.integers(0, min(len(raw), 200), 3):
                raw[place] = generator.integers(256)
            (tmp_path / name).write_bytes(raw)
            with pytest.raises(DataError, match=name):
                data.load(tmp_path / name)


def test_torchvisions_old_files(tmp_path):
    folder = tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    torch.save((torch.from_numpy(IMAGES[:50]), torch.from_numpy(LABELS[:50])), folder / "training.pt")
    torch.save((torch.from_numpy(IMAGES[50:]), torch.from_numpy(LABELS[50:])), folder / "test.pt")
    for name in (folder, tmp_path):
        same(data.load(name), IMAGES[:50], LABELS[:50])
        same(data.load(name, "test"), IMAGES[50:], LABELS[50:])
    torch.save({"model": torch.zeros(3)}, folder / "test.pt")
    with pytest.raises(DataError, match="not a pair of tensors"):
        data.load(tmp_path)


def test_parquet_without_its_library_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"pip install pyarrow"):
        data.load(tmp_path)


def png(image):
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("how", ["dict", "bytes", "lists"])
def test_parquet_as_hugging_face_keeps_it(tmp_path, how):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "mnist" / "data").mkdir(parents=True)
    cell = {"dict": lambda image: {"bytes": png(image), "path": None}, "bytes": png, "lists": np.ndarray.tolist}[how]
    for part, rows in (
        ("train-00000-of-00002", range(30)),
        ("train-00001-of-00002", range(30, 50)),
        ("test", range(50, 60)),
    ):
        table = pyarrow.table(
            {"image": [cell(IMAGES[row]) for row in rows], "label": [int(LABELS[row]) for row in rows]}
        )
        names = '{"info": {"features": {"label": {"names": ["n0","n1","n2","n3","n4","n5","n6","n7","n8","n9"]}}}}'
        table = table.replace_schema_metadata({"huggingface": names})
        parquet.write_table(table, tmp_path / "mnist" / "data" / f"{part}.parquet")
    train, test = data.load(tmp_path / "mnist"), data.load(tmp_path / "mnist", "test")
    assert train.classes == tuple(f"n{digit}" for digit in range(10))
    np.testing.assert_array_equal(train.images[:, 0].numpy(), IMAGES[:50])
    assert test.labels.tolist() == LABELS[50:].tolist()
    (tmp_path / "mnist" / "data" / "test.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"test\.parquet: not readable parquet"):
        data.load(tmp_path / "mnist")


def test_images_without_labels_can_not_be_trained_on(folder):
    with pytest.raises(DataError, match="images without labels"):
        data.load(folder / "test.csv")


def test_a_file_of_another_kind_is_refused_by_name(tmp_path):
    (tmp_path / "train.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"train\.xlsx: not a table of a kind that is read here"):
        data.load(tmp_path / "train.xlsx")


def test_tables_of_the_published_images_are_imported(tiny_mnist, tmp_path):
    train, test = data.load("mnist"), data.load("mnist", "test")
    arrays = {"x_train": train.images[:, 0].numpy(), "y_train": train.labels.numpy()}
    np.savez(tmp_path / "mnist.npz", **arrays, x_test=test.images[:, 0].numpy(), y_test=test.labels.numpy())
    for source, target in ((tmp_path / "mnist.npz", "a"), (tmp_path, "b")):
        data.import_folder("mnist", source, tmp_path / target)
        assert data.load("mnist", "test", tmp_path / target).digest == test.digest


@pytest.mark.parametrize("change", ["fewer", "order"])
def test_other_images_are_not_imported_as_published(tiny_mnist, tmp_path, change):
    train = data.load("mnist")
    rows = slice(100) if change == "fewer" else slice(None, None, -1)
    images, labels = train.images[:, 0].numpy()[rows], train.labels.numpy()[rows]
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(DataError, match=r"--dataset .*mnist\.npz"):
        data.import_folder("mnist", tmp_path / "mnist.npz", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_tables_words_tell_part_and_role():
    from lenette.data.names import part_of, role_of

    assert [part_of(name) for name in ("x_train", "xTest", "yval", "t10k-images", "mnist_train.csv")] == [
        "train", "test", "validation", "test", "train",
    ]  # fmt: skip
    assert [role_of(name) for name in ("x_train", "Xtrain", "ytest", "val_labels", "k49-test-imgs", "arr_0")] == [
        "images", "images", "labels", "labels", "images", None,
    ]  # fmt: skip
