import numpy as np
import pytest
from PIL import Image

from lenette.data import load
from lenette.errors import DataError

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5)
COLOUR = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


def save(path, pixels=GREY, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """A good folder: classes b and a, of which a is missing in test."""
    root = tmp_path / "mine"
    save(root / "train" / "b" / "1.png", GREY + 1)
    save(root / "train" / "a" / "2.png", GREY + 2)
    save(root / "train" / "a" / "1.bmp", GREY + 3)
    save(root / "val" / "a" / "1.png")
    save(root / "test" / "b" / "1.png", GREY + 4)
    (root / "train" / "a" / ".DS_Store").write_bytes(b"hidden")
    (root / "train" / "a" / "Thumbs.db").write_bytes(b"small pictures")
    (root / ".git" / "x").mkdir(parents=True)
    (root / "train" / ".hidden").mkdir()
    return root


def test_reads_classes_in_order_of_their_names(folder):
    train = load(folder)
    assert (train.name, train.classes, train.labels.tolist()) == ("mine", ("a", "b"), [0, 0, 1])
    np.testing.assert_array_equal(train.images[:, 0].numpy(), [GREY + 3, GREY + 2, GREY + 1])
    validation, test = load(str(folder), "validation"), load(folder, "test")
    assert (validation.labels.tolist(), test.labels.tolist()) == ([0], [1])
    assert (test.mean, test.std) == (train.mean, train.std)


def test_colour_anywhere_in_training_makes_three_channels(folder):
    save(folder / "train" / "b" / "2.jpg", COLOUR)
    train, test = load(folder), load(folder, "test")
    assert train.images.shape == (4, 3, 4, 5)
    assert len(train.mean) == len(train.std) == 3
    np.testing.assert_array_equal(train.images[0].numpy(), [GREY + 3] * 3)
    np.testing.assert_array_equal(test.images[0].numpy(), [GREY + 4] * 3)


def test_channels_come_last_to_first(folder):
    save(folder / "train" / "b" / "2.png", COLOUR)
    np.testing.assert_array_equal(load(folder).images[3].numpy(), COLOUR.transpose(2, 0, 1))


def test_exif_orientation_is_followed(folder):
    exif = Image.Exif()
    exif[274] = 6
    save(folder / "train" / "b" / "2.png", np.rot90(GREY).copy(), exif=exif)
    np.testing.assert_array_equal(load(folder).images[3, 0].numpy(), GREY)


def spoil_unknown_class(root):
    save(root / "test" / "bb" / "1.png")


def spoil_size(root):
    save(root / "train" / "b" / "2.png", GREY[:3])


def spoil_test_size(root):
    save(root / "test" / "b" / "1.png", GREY[:3])


def spoil_test_colour(root):
    save(root / "test" / "b" / "2.png", COLOUR)


def spoil_text(root):
    (root / "train" / "b" / "notes.txt").write_text("x")


def spoil_damaged(root):
    path = root / "train" / "b" / "1.png"
    path.write_bytes(path.read_bytes()[:-30])


def spoil_no_picture(root):
    (root / "train" / "b" / "2.png").write_bytes(b"no picture")


def spoil_empty_class(root):
    (root / "train" / "c").mkdir()


def spoil_deep(root):
    save(root / "train" / "b" / "1.png", (GREY.astype(np.uint16)) * 256)


def spoil_transparent(root):
    save(root / "train" / "b" / "1.png", np.dstack([COLOUR, GREY]))


def spoil_huge(root):
    save(root / "train" / "b" / "1.png", np.zeros((1100, 1100), dtype=np.uint8))


def spoil_only_one_class(root):
    (root / "train" / "b" / "1.png").unlink()
    (root / "train" / "b").rmdir()


def spoil_empty_test(root):
    (root / "test" / "b" / "1.png").unlink()


@pytest.mark.parametrize(
    ("spoil", "part", "message"),
    [
        (spoil_unknown_class, "test", "test/bb: class 'bb' is not among training's; did you mean 'b'"),
        (spoil_size, "train", r"b/2\.png: 5x3 pixels, where the images before it have 5x4"),
        (spoil_test_size, "test", r"mine \(test\): images of 5x3 pixels, where training's are 5x4"),
        (spoil_test_colour, "test", "coloured"),
        (spoil_text, "train", r"notes\.txt: not a picture of a kind"),
        (spoil_damaged, "train", r"1\.png: not a readable picture"),
        (spoil_no_picture, "train", r"2\.png: not a readable picture"),
        (spoil_empty_class, "train", "train/c: no images"),
        (spoil_deep, "train", "more than 8 bits"),
        (spoil_transparent, "train", "transparent"),
        (spoil_huge, "train", "1100x1100"),
        (spoil_only_one_class, "train", "1 class folders"),
        (spoil_empty_test, "test", "test: no images"),
    ],
)
def test_bad_folders_are_refused_by_name(folder, spoil, part, message):
    spoil(folder)
    with pytest.raises(DataError, match=message):
        load(folder, part)


def test_a_folder_without_train_is_no_data_set(tmp_path):
    with pytest.raises(DataError, match="not a data set"):
        load(tmp_path)


def test_a_part_without_a_folder_is_refused(folder):
    (folder / "val" / "a" / "1.png").unlink()
    (folder / "val" / "a").rmdir()
    (folder / "val").rmdir()
    with pytest.raises(DataError, match="no part 'validation'"):
        load(folder, "validation")
