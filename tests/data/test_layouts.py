"""Folders of pictures as people have them: under any names, of any size, with anything in them."""

import os
import sys
import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lenette import data
from lenette.data import cache, folders
from lenette.data.preparation import MNIST, Preparation
from lenette.errors import DataError
from lenette.recipes import Recipe


def make(root, parts, names=("3", "7"), size=(6, 6), suffix=".png", seed=0):
    """Write `parts` = {part: images a class}, each class of another grey, and return the root."""
    generator = np.random.default_rng(seed)
    for part, number in parts.items():
        for place, name in enumerate(names):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(number):
                pixels = generator.integers(100 * place, 100 * place + 60, size).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}{suffix}")
    return root


@pytest.mark.parametrize(
    ("spelled", "parts"),
    [
        (("train", "valid"), ("train", "validation")),
        (("training", "testing"), ("train", "test")),
        (("train", "validation"), ("train", "validation")),
        (("Train", "Val", "Test"), ("train", "validation", "test")),
        (("TRAIN", "dev", "eval"), ("train", "validation", "test")),
    ],
)
def test_parts_go_by_their_usual_names(tmp_path, spelled, parts):
    root = make(tmp_path / "mine", dict(zip(spelled, (6, 3, 2), strict=False)))
    assert data.parts(root) == parts
    assert [len(data.load(root, part)) for part in parts] == [12, 6, 4][: len(parts)]
    if spelled[1] == "valid":
        assert data.load(root).notes == ("valid/ of mine is its validation part",)


def test_one_part_under_two_names_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"val and .*valid are both its validation part"):
        data.load(make(tmp_path, {"train": 2, "val": 2, "valid": 2}))


@pytest.mark.parametrize("below", ["archive", "archive/mine", "a/b/c"])
def test_folders_within_folders(tmp_path, below):
    make(tmp_path / below, {"train": 4, "test": 2})
    (tmp_path / "README.txt").write_text("x")
    (tmp_path / "__MACOSX" / "train").mkdir(parents=True)
    assert (data.parts(tmp_path), len(data.load(tmp_path))) == (("train", "test"), 8)


def test_parts_and_classes_may_lie_deeper(tmp_path):
    make(tmp_path, {"train/images": 4, "test/images": 2})
    (tmp_path / "train" / "images" / "3" / "more").mkdir()
    (tmp_path / "train" / "images" / "3" / "0.png").rename(tmp_path / "train" / "images" / "3" / "more" / "0.png")
    assert (len(data.load(tmp_path)), len(data.load(tmp_path, "test"))) == (8, 4)


def test_several_data_sets_in_one_folder_are_named(tmp_path):
    make(tmp_path / "one", {"train": 1})
    make(tmp_path / "two", {"train": 1})
    with pytest.raises(DataError, match=r"holds other data sets; name one of them: .*one and .*two"):
        data.load(tmp_path)


def test_classes_at_the_top_are_divided_by_their_content(tmp_path):
    root = make(tmp_path / "mine", {"": 24})
    train, test = data.load(root), data.load(root, "test")
    assert data.parts(root) == ("train", "test")
    assert (train.labels.bincount().tolist(), test.labels.bincount().tolist()) == ([20, 20], [4, 4])
    assert "of each class one image in 6" in train.notes[0]
    for path in list(root.rglob("*.png")):  # other names and another order divide the same
        path.rename(path.with_name(f"{99 - int(path.stem)}.png"))
    assert {image.numpy().tobytes() for image in data.load(root, "test").images} == {
        image.numpy().tobytes() for image in test.images
    }


def test_twins_lie_on_one_side_of_the_division(tmp_path):
    root = make(tmp_path / "mine", {"": 12})
    for path in list(root.rglob("*.png")):
        path.with_name(f"twin{path.name}").write_bytes(path.read_bytes())
    sides = [{image.numpy().tobytes() for image in data.load(root, part).images} for part in ("train", "test")]
    assert sides[1]
    assert not sides[0] & sides[1]


def test_a_class_may_be_called_train(tmp_path):
    root = make(tmp_path / "mine", {"": 12}, names=("car", "train"))
    assert data.load(root).classes == ("car", "train")


@pytest.mark.parametrize("name", ["零", "$x_1$", "\\frac", "<b>", "a b", "_hidden", "é" * 40])
def test_classes_have_names_in_any_script(tmp_path, name):
    assert data.load(make(tmp_path, {"train": 1}, names=("0", name))).classes == tuple(sorted(("0", name)))


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_names_of_another_code_page_are_read_and_can_be_printed(tmp_path):
    root = make(tmp_path / "mine", {"train": 2}, names=("0", os.fsdecode(b"caf\xe9")))
    dataset = data.load(root)
    assert dataset.classes == ("0", "caf\\xe9")
    (root / "train" / os.fsdecode(b"caf\xe9") / os.fsdecode(b"\xe9.txt")).write_text("x")
    with pytest.raises(DataError) as caught:
        data.load(root)
    str(caught.value).encode("utf-8")


def test_composed_and_decomposed_names_are_one(tmp_path):
    make(tmp_path / "mine", {"train": 2}, names=("0", unicodedata.normalize("NFC", "é")))
    make(tmp_path / "mine", {"test": 2}, names=("0", unicodedata.normalize("NFD", "é")))
    assert data.load(tmp_path / "mine", "test").labels.tolist() == [0, 0, 1, 1]


def test_all_that_is_amiss_is_listed_at_once(tmp_path):
    root = make(tmp_path / "mine", {"train": 14, "test": 1})
    for place in range(12):
        (root / "train" / "3" / f"{place}.png").write_bytes(b"damaged")
    Image.fromarray(np.zeros((9, 6), np.uint8)).save(root / "train" / "7" / "x.png")
    (root / "train" / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        data.load(root)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("14 faults")
    assert "empty: no images of this class" in lines[1]
    assert "0.png: not a readable picture" in lines[2]
    assert (len(lines), lines[-1].strip()) == (12, "and 4 more")


@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".pgm", ".PNG"])
def test_pictures_of_every_kind(tmp_path, suffix):
    root = make(tmp_path, {"train": 2}, suffix=suffix)
    assert data.load(root).images.shape == (4, 1, 6, 6)


def test_the_first_frame_of_several(tmp_path):
    root = make(tmp_path, {"train": 2})
    frames = [Image.fromarray(np.full((6, 6), level, np.uint8)) for level in (7, 200)]
    for suffix in ("gif", "tif", "webp"):
        frames[0].save(root / "train" / "3" / f"x.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    assert (data.load(root).images[2:5] == 7).all()


@pytest.mark.parametrize("kind", ["L", "RGB", "P", "LA", "RGBA", "CMYK"])
def test_greys_are_grey_however_they_are_stored(tmp_path, kind):
    root = make(tmp_path, {"train": 2, "test": 1})
    grey = Image.fromarray(np.full((6, 6), 128, np.uint8))
    suffix, between = ("tif" if kind == "CMYK" else "png"), ("L" if kind == "P" else "RGB")
    grey.convert(between).convert(kind).save(root / "train" / "3" / f"x.{suffix}")
    grey.convert(between).convert(kind).save(root / "test" / "3" / f"x.{suffix}")
    train, test = data.load(root), data.load(root, "test")
    assert train.images.shape[1] == test.images.shape[1] == 1
    assert train.images[2, 0, 0, 0] == 128


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(400)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.HEIC", HEIC, "HEIC, an iPhone's picture: export it as JPEG or PNG"),
        ("x.jpg", HEIC, "HEIC"),
        ("x.png", b"%PDF-1.7", "a PDF"),
        ("x.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"),
        ("x.png", b"\0\0\1\0\1\0\1\1\0\0\1\0\x20\0" + bytes(50), "an icon"),
        ("x.png", b'<?xml version="1.0"?><svg xmlns="x"/>', "SVG"),
        ("x.png", b"<!DOCTYPE html>", "a web page"),
        ("x.png", b"text", "none of PNG, JPEG"),
    ],
)
def test_what_is_no_picture_here_is_called_by_its_name(tmp_path, name, content, message):
    root = make(tmp_path, {"train": 2})
    (root / "train" / "3" / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: not a readable picture \(.*{message}"):
        data.load(root)


def test_no_other_program_is_started_on_a_picture(tmp_path, monkeypatch):
    import subprocess

    def refuse(*arguments, **options):
        raise AssertionError(arguments)

    root = make(tmp_path, {"train": 2})
    (root / "train" / "3" / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n")
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(DataError, match="PostScript"):
        data.load(root)


def test_a_class_of_one_picture_is_trained_on(tmp_path):
    from lenette.jobs import datasets

    root = make(tmp_path, {"train": 66})
    make(tmp_path, {"train": 1}, names=("c",), seed=1)
    make(tmp_path, {"train": 2}, names=("d",), seed=2)
    for fold in range(6):
        train, held = datasets(Recipe(model="lenet5", dataset=str(root), fold=fold))
        assert train.labels.bincount(minlength=4)[2:].tolist() in ([1, 1], [1, 2])
        assert held.labels.bincount(minlength=4)[2] == 0
    assert any("one image alone of 'c'" in note for note in train.notes)


def test_pictures_of_any_size_are_brought_to_one(tmp_path):
    root = make(tmp_path, {"train": 3, "test": 2}, size=(60, 40))
    make(tmp_path, {"train": 3}, names=("9",), size=(30, 50), seed=1)
    with pytest.raises(DataError, match=r"image_size \(--image-size 28\) brings all to one size"):
        data.load(root)
    for fit in ("pad", "crop", "squash"):
        train = data.load(root, image_size=16, image_fit=fit)
        assert train.images.shape == (9, 1, 16, 16)
        assert train.preparation == Preparation(image_size=16, fit=fit)
    assert data.load(root, "test", image_size=16).images.shape == (4, 1, 16, 16)


def test_pad_crop_and_squash(tmp_path):
    # white paper 40x20 with a black square in its middle and a grey bar on its left
    sheet = np.full((20, 40), 255, np.uint8)
    sheet[5:15, 15:25] = 0
    sheet[:, :4] = 90
    root = make(tmp_path, {"train": 1}, size=(20, 40))
    Image.fromarray(sheet).save(root / "train" / "3" / "0.png")
    seen = {
        fit: data.load(root, image_size=20, image_fit=fit).images[0, 0].numpy() for fit in ("pad", "crop", "squash")
    }
    np.testing.assert_array_equal(seen["crop"], sheet[:, 10:30])
    assert (seen["pad"][:5] == 255).all()  # the paper's colour, above and below
    assert seen["pad"][10, 0] < 100
    assert (seen["pad"] < 10).any(0).sum() <= (seen["squash"] < 10).any(0).sum() == 4
    assert (seen["squash"] < 10).any(1).sum() == 10


def test_a_recipe_brings_pictures_to_a_size_and_the_run_records_it(tmp_path):
    from lenette.jobs import identify

    root = make(tmp_path / "mine", {"train": 12}, size=(40, 30))
    recipe = Recipe(model="lenet5", dataset=str(root), image_size=28, image_fit="crop")
    about = identify(recipe).about
    assert about.data.preparation == Preparation(image_size=28, fit="crop")
    assert about.data.folder == str(root)
    with pytest.raises(DataError, match="not square: image_size"):
        identify(recipe.but(image_size=0))


def test_decoded_pictures_are_kept_and_damage_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LEAST_BYTES", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = make(tmp_path / "mine", {"train": 3}, size=(20, 30))
    first = data.load(root, image_size=8)
    monkeypatch.setattr(folders, "_picture", lambda *arguments: pytest.fail("decoded again"))
    assert data.load(root, image_size=8).digest == first.digest
    monkeypatch.undo()
    monkeypatch.setattr(cache, "LEAST_BYTES", 1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (kept,) = cache.folder().glob("*.safetensors")
    raw = bytearray(kept.read_bytes())
    for change in (raw[:-9], bytes(len(raw)), raw[:-1] + bytes([raw[-1] ^ 1])):
        kept.write_bytes(change)
        assert data.load(root, image_size=8).digest == first.digest
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(root / "train" / "3" / "0.png")
    assert data.load(root, image_size=8).digest != first.digest
    kept.unlink(missing_ok=True)
    monkeypatch.setattr(cache, "MOST_BYTES", 1000)
    for size in range(8, 14):
        data.load(root, image_size=size)
    assert sum(path.stat().st_size for path in cache.folder().iterdir()) <= 1000


def test_a_cache_that_can_not_be_written_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LEAST_BYTES", 1)
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert len(data.load(make(tmp_path / "mine", {"train": 3}))) == 6


def trained(classes=("cross", "disc", "ring"), shape=(1, 6, 6), **more):
    about = {"name": "first", "mean": [0.5], "std": [0.25], "num_images": 9, "digest": ["", ""], "preparation": None}
    return SimpleNamespace(classes=list(classes), shape=list(shape), **{**about, **more})


def test_another_sets_labels_go_by_the_runs_class_names(tmp_path):
    root = make(tmp_path / "second", {"test": 2}, names=("disc", "ring"))
    seen = data.load_for(trained(), root)
    assert (seen.labels.tolist(), seen.classes) == ([1, 1, 2, 2], ("cross", "disc", "ring"))
    assert (seen.mean, seen.std, seen.part) == ((0.5,), (0.25,), "test")
    assert data.load_for(trained(("ring", "disc", "cross")), root).labels.tolist() == [1, 1, 0, 0]


def test_classes_that_a_run_does_not_know_are_refused(tmp_path):
    root = make(tmp_path / "second", {"train": 2, "test": 2}, names=("disc", "ring", "square"))
    with pytest.raises(DataError, match="'second' has classes that the network was not trained on: 'square'"):
        data.load_for(trained(), root)
    with pytest.raises(DataError, match="'optdigits' has classes that the network was not trained on: '0'"):
        data.load_for(trained(shape=(1, 28, 28)), "optdigits")
    with pytest.raises(DataError, match=r"images of 6x6 pixels, where training's are 9x9"):
        data.load_for(trained(("disc", "ring", "square"), (1, 9, 9)), root)


def test_pictures_to_test_on_alone(tmp_path):
    root = make(tmp_path / "later", {"test": 3}, names=("disc", "ring"))
    assert data.parts(root) == ("test",)
    assert len(data.load_for(trained(), root)) == 6
    with pytest.raises(DataError, match="no part 'train': it has test"):
        data.load(root)
    with pytest.raises(DataError, match="lenette evaluate RUN --dataset"):
        data.load(root, "test")
    grey_in_colour = data.load_for(trained(shape=(3, 6, 6), mean=[0.5] * 3, std=[0.2] * 3), root)
    assert grey_in_colour.images.shape == (6, 3, 6, 6)


def test_pictures_to_test_on_are_brought_to_the_runs_size(tmp_path):
    root = make(tmp_path / "later", {"test": 3}, names=("disc", "ring"), size=(50, 30))
    assert len(data.load_for(trained(preparation=Preparation(image_size=6, fit="crop")), root)) == 6


def test_a_named_set_for_a_run_in_another_order():
    digits = data.load("optdigits", "test")
    turned = trained(tuple("9876543210"), (1, 28, 28))
    assert data.load_for(turned, "optdigits").labels.tolist() == [9 - label for label in digits.labels.tolist()]


def test_what_changed_since_training_is_said(tmp_path):
    root = make(tmp_path / "mine", {"train": 6, "val": 2})
    train, held = data.load(root), data.load(root, "validation")
    about = trained(train.classes, num_images=12, digest=[train.digest, held.digest])
    assert data.changes(about, train, held) == []
    rows = torch.arange(12)
    assert data.changes(about, train.subset(rows.flip(0), "train")) == [
        "some of its training images or labels are others now"
    ]
    assert data.changes(about, train.subset(rows[1:], "train")) == ["it has 11 training images now, and had 12"]
    assert data.changes(about, train, train) == ["some of its train images or labels are others now"]
    order = trained(train.classes[::-1], num_images=12, digest=[train.digest, ""])
    assert data.changes(order, train) == ["its classes are in another order: 3, 7 now, and 7, 3 in training"]
    assert data.class_changes(trained(("3", "8")), train) == ["its classes are others: 7 is new and 8 is missing"]
    assert data.changes(trained(train.classes, (1, 9, 9)), train) == [
        "its images are [1, 6, 6] now, and were [1, 9, 9]"
    ]


def test_a_recorded_folder_goes_before_the_name(tmp_path, monkeypatch):
    here = make(tmp_path / "project" / "data" / "mine", {"train": 4})
    make(tmp_path / "elsewhere" / "data" / "mine", {"train": 6})
    monkeypatch.chdir(tmp_path / "project")
    recorded = data.lies_in("data/mine")
    assert recorded == str(here)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert (len(data.load("data/mine")), len(data.load("data/mine", folder=recorded))) == (12, 8)
    assert len(data.load("mine", folder="data")) == 12
    assert data.lies_in("mnist") is None
    assert data.lies_in("gone") is None


@pytest.mark.parametrize("dotted", ["train-images.idx3-ubyte", "TRAIN-IMAGES-IDX3-UBYTE", "train-images-idx3-ubyte.gz"])
@pytest.mark.parametrize("nested", [False, True])
def test_idx_files_under_any_of_their_names(tmp_path, dotted, nested):
    import gzip

    from tests.conftest import encode_idx

    images = np.arange(6 * 25, dtype=np.uint8).reshape(6, 5, 5)
    for part in ("train", "t10k"):
        for role, array in (("images", images), ("labels", np.array([0, 1, 2, 0, 1, 2], np.uint8))):
            name = dotted.lower().replace("train", part).replace("images", role).replace("idx3", f"idx{array.ndim}")
            name = name.upper() if dotted.isupper() else name
            folder = tmp_path / name.replace(".idx", "-idx") if nested else tmp_path
            folder.mkdir(exist_ok=True)
            raw = encode_idx(array)
            (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    assert data.parts(tmp_path) == ("train", "test")
    np.testing.assert_array_equal(data.load(tmp_path, "test").images[:, 0].numpy(), images)
    for path in list(tmp_path.rglob("*rain*")) + list(tmp_path.rglob("*RAIN*")):
        if path.is_file():
            path.unlink()
    assert data.parts(tmp_path) == ("test",)
    seen = data.load_for(trained("2130", (1, 5, 5)), tmp_path)
    assert seen.labels.tolist() == [3, 1, 0, 3, 1, 0]
    with pytest.raises(DataError, match="classes that the network was not trained on: '2'"):
        data.load_for(trained("013", (1, 5, 5)), tmp_path)


def test_how_images_were_made_is_measured(mnist_folder):
    train = data.load("mnist", folder=mnist_folder)
    assert data.preparation.measured(train.images.numpy()) == train.preparation == MNIST
    assert data.preparation.measured(255 - train.images[:500].numpy()) == Preparation()
    assert data.preparation.measured(train.images[:500].roll(3, 2).numpy()) == Preparation()
    assert data.load("optdigits").preparation.box == 28


def test_under_the_course_protocol_a_set_without_a_test_part_is_divided(tmp_path):
    from lenette.jobs import datasets

    root = make(tmp_path / "mine", {"train": 24})
    train, test = datasets(Recipe(model="lenet5", dataset=str(root), protocol="course"))
    assert (train.labels.bincount().tolist(), test.labels.bincount().tolist(), test.part) == ([20, 20], [4, 4], "test")
    assert "no test part of its own" in train.notes[0]
    assert train.mean == test.mean != data.load(root).mean
    sealed, held = datasets(Recipe(model="lenet5", dataset=str(root)))
    assert (len(sealed) + len(held), sealed.notes) == (48, ())
