"""Images that a Python program has: arrays, tensors, and data set objects of any library."""

import numpy as np
import pytest
import torch
from PIL import Image

from lenette.data import from_arrays, loader, optdigits
from lenette.errors import DataError
from lenette.recipes import Recipe

IMAGES, LABELS, _ = optdigits.read()
IMAGES, LABELS = IMAGES[:120], LABELS[:120]
SEALED = Recipe(model="lenet5")
COURSE = SEALED.but(protocol="course")


class Pictures:
    """What torchvision's data sets are: counted and indexed, with names of classes, and a transform."""

    classes = tuple(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])

    def __init__(self, change=lambda picture: picture, rows=range(120)):
        self.change, self.rows = change, rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, place):
        if place >= len(self.rows):
            raise IndexError
        row = self.rows[place]
        return self.change(Image.fromarray(IMAGES[row])), int(LABELS[row])


def to_tensor(picture):
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)[None]


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, list])
def test_images_and_labels(kind):
    dataset = from_arrays(kind(IMAGES), kind(LABELS))
    np.testing.assert_array_equal(dataset.images[:, 0].numpy(), IMAGES)
    assert (dataset.classes, dataset.labels.tolist()) == (tuple("0123456789"), LABELS.tolist())
    assert from_arrays(IMAGES, LABELS, Pictures.classes).classes[3] == "three"
    assert from_arrays([Image.fromarray(image) for image in IMAGES], LABELS).digest == dataset.digest


@pytest.mark.parametrize("change", [lambda picture: picture, to_tensor, lambda picture: picture.convert("RGB")])
def test_a_data_set_object_as_its_transform_shows_it(change):
    train, held = loader(Pictures(change))(SEALED, None)
    assert (len(train), len(held), train.part, held.part) == (100, 20, "train", "validation")
    assert train.classes == Pictures.classes
    assert sorted(image.numpy().tobytes() for part in (train, held) for image in part.images) == sorted(
        image.tobytes() for image in IMAGES
    )


@pytest.mark.parametrize(
    "given",
    [
        ((IMAGES[:100], LABELS[:100]), (IMAGES[100:], LABELS[100:])),
        (Pictures(rows=range(100)), Pictures(rows=range(100, 120))),
        [Pictures(rows=range(100)), Pictures(rows=range(100, 120))],
        {"training": (IMAGES[:100], LABELS[:100]), "test": (IMAGES[100:], LABELS[100:])},
    ],
)
def test_training_and_test_images(given):
    train, test = loader(given)(COURSE, None)
    assert (len(train), len(test), test.part) == (100, 20, "test")
    np.testing.assert_array_equal(test.images[:, 0].numpy(), IMAGES[100:])
    train, held = loader(given)(SEALED, None)
    assert (len(train) + len(held), held.part) == (100, "validation")
    assert loader(given)(SEALED.but(fold=-1), None)[1] is None


def test_without_test_images_the_course_protocol_divides_and_says_so():
    train, test = loader((IMAGES, LABELS))(COURSE, None)
    assert len(train) + len(test) == 120
    assert "no test part of its own" in train.notes[0]


def test_a_test_part_in_another_order_of_classes():
    names = np.array(Pictures.classes)
    train, test = loader({"train": (IMAGES, names[LABELS]), "test": (IMAGES, names[LABELS])})(COURSE, None)
    assert train.classes == tuple(sorted(Pictures.classes))
    assert test.labels.tolist() == train.labels.tolist()
    with pytest.raises(DataError, match="not among training's"):
        loader({"train": (IMAGES, LABELS), "test": (IMAGES, names[LABELS])})


def test_given_pictures_that_are_not_square_are_brought_to_a_size():
    wide = np.pad(IMAGES, ((0, 0), (0, 0), (5, 5)))
    with pytest.raises(DataError, match="38x28, not square"):
        loader((wide, LABELS))(SEALED, None)
    train, held = loader((wide, LABELS))(SEALED.but(image_size=14), None)
    assert train.images.shape[1:] == held.images.shape[1:] == (1, 14, 14)
    assert held.mean == train.mean


def test_they_train(tmp_path):
    from lenette.training import train

    run = train(SEALED.but(epochs=1), load=loader((IMAGES, LABELS)), store=tmp_path)
    assert run.about.data.name == "given"
    assert run.about.data.folder is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((IMAGES, LABELS[:5]), "120 images and 5 labels"),
        ((IMAGES / 128 - 1.0, LABELS), "leave normalising to lenette"),
        ((IMAGES, LABELS * 0), "1 class"),
        (Pictures(lambda picture: (to_tensor(picture) - 0.13) / 0.3), "leave normalising to lenette"),
        (Pictures(lambda picture: torch.rand(1, 28, 28)), "differs each time"),
        (Pictures(rows=range(0)), "no images"),
        ([1, 2, 3], "item 0 is no image with a label"),
        (7, "int: give .images, labels."),
        (torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(3))), "not its loader"),
        ({"trian": (IMAGES, LABELS)}, "they are named train, validation, test"),
        ({"test": (IMAGES, LABELS)}, "no training images"),
    ],
)
def test_what_will_not_do_is_refused_at_once(given, message):
    with pytest.raises(DataError, match=message):
        loader(given)


def test_what_other_libraries_hand_out():
    rows = torch.utils.data.TensorDataset(torch.from_numpy(IMAGES)[:, None], torch.from_numpy(LABELS))
    assert len(loader(rows)(SEALED, None)[0]) == 100
    subset = torch.utils.data.Subset(Pictures(), range(60))
    assert loader(subset)(SEALED, None)[0].classes == Pictures.classes
    rows = [{"image": Image.fromarray(image), "label": label} for image, label in zip(IMAGES, LABELS, strict=True)]
    assert len(loader(rows)(SEALED, None)[0]) == 100
