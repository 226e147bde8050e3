import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lenette.data import Preparation, load
from lenette.data.preparation import MNIST
from lenette.errors import DataError
from lenette.prepare import as_mnist, look, ready, split


def draw(width=300, height=400, ink=0, ground=255, at=(0, 0), mode="L"):
    """Return a picture of an upright L with a long stem: not like itself under any turn or flip."""
    picture = Image.new(mode, (width, height), ground)
    pen = ImageDraw.Draw(picture)
    x, y = at[0] + width // 4, at[1] + height // 4
    pen.rectangle([x, y, x + width // 12, y + height // 2], fill=ink)
    pen.rectangle([x, y + height // 2 - height // 12, x + 2 * width // 5, y + height // 2], fill=ink)
    return picture


def prepared(tmp_path, picture, name="digit.png", **options):
    picture.save(tmp_path / name, **options)
    return as_mnist(tmp_path / name)


@pytest.fixture
def reference(tmp_path):
    return prepared(tmp_path, draw())


def far(left, right):
    return np.abs(left.astype(float) - right.astype(float)).mean()


def bounds(image):
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def centre(image):
    return [(image.sum(1 - axis) * np.arange(28)).sum() / image.sum() for axis in (0, 1)]


def test_fits_the_box_keeps_the_shape_and_centres_by_mass(reference):
    assert (reference.dtype, reference.shape) == (np.uint8, (28, 28))
    assert bounds(reference) == (20, 12)  # 201 x 121 pixels
    np.testing.assert_allclose(centre(reference), 14, atol=0.51)
    assert reference.max() == 255
    # The L stands upright: more ink low and left of the middle of its box.
    rows, columns = np.flatnonzero(reference.any(1)), np.flatnonzero(reference.any(0))
    assert reference[rows[-1]].sum() > 2 * reference[rows[0]].sum()
    assert reference[:, columns[0]].sum() > 2 * reference[:, columns[-1]].sum()


@pytest.mark.parametrize(
    "change",
    [
        {"ink": 255, "ground": 0},
        {"ink": 90, "ground": 180},
        {"ink": 180, "ground": 90},
        {"at": (60, -80)},
        {"width": 900, "height": 1200},
        {"width": 1800, "height": 2400},
        {"mode": "RGB", "ink": (20, 30, 120), "ground": (250, 240, 220)},
        {"mode": "RGBA", "ink": (0, 0, 0, 255), "ground": (0, 0, 0, 0)},
        {"mode": "RGBA", "ink": (255, 255, 255, 255), "ground": (255, 255, 255, 0)},
        {"mode": "RGBA", "ink": (0, 0, 0, 255), "ground": (255, 255, 255, 255)},
        {"mode": "LA", "ink": (30, 255), "ground": (0, 0)},
        {"mode": "1", "ink": 0, "ground": 1},
        {"mode": "P", "ink": 1, "ground": 0},
        {"mode": "I;16", "ink": 1000, "ground": 60000},
    ],
    ids=str,
)
def test_polarity_place_size_colour_and_alpha_change_nothing(tmp_path, reference, change):
    picture = draw(**change)
    if picture.mode == "P":
        picture.putpalette([255, 255, 255, 0, 0, 0])
    assert far(prepared(tmp_path, picture), reference) < 2


def test_a_card_with_transparent_margins_is_a_card(tmp_path, reference):
    card = draw().convert("RGBA")
    sheet = Image.new("RGBA", (400, 500), (0, 0, 0, 0))
    sheet.paste(card, (50, 50))
    assert far(prepared(tmp_path, sheet), reference) < 2


@pytest.mark.parametrize("name", ["digit.jpg", "digit.bmp", "digit.png"])
def test_reads_every_format(tmp_path, reference, name):
    assert far(prepared(tmp_path, draw(), name), reference) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_follows_exif_orientation(tmp_path, reference, orientation):
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    picture = draw() if undo is None else draw().transpose(undo)
    exif = Image.Exif()
    exif[274] = orientation
    assert far(prepared(tmp_path, picture, "digit.jpg", exif=exif), reference) < 2


def test_noise_and_dust_of_a_photograph_are_taken_off(tmp_path, reference):
    noise = np.random.default_rng(0).normal(0, 14, (400, 300))
    photograph = np.asarray(draw(ink=70, ground=190), dtype=float) + noise
    photograph[20:24, 270:274] = 60
    image = prepared(tmp_path, Image.fromarray(np.clip(photograph, 0, 255).astype(np.uint8)), "digit.jpg")
    assert far(image, reference) < 4
    assert bounds(image) == bounds(reference)


def test_a_thin_pen_stays_visible(tmp_path):
    picture = Image.new("L", (1000, 1000), 255)
    ImageDraw.Draw(picture).line([(300, 200), (700, 800)], fill=0, width=3)
    assert prepared(tmp_path, picture).max() == 255


def test_small_pictures_are_enlarged(tmp_path, reference):
    assert far(prepared(tmp_path, draw().resize((12, 16), Image.Resampling.BOX)), reference) < 15


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_a_blank_picture_is_refused_by_name(tmp_path, level, mode):
    colour = {"L": level, "I;16": level, "RGB": (level,) * 3, "RGBA": (level, level, level, 0)}[mode]
    with pytest.raises(DataError, match=r"digit\.png: blank"):
        prepared(tmp_path, Image.new(mode, (30, 40), colour))


def test_files_that_are_no_pictures_are_refused_by_name(tmp_path):
    draw().save(tmp_path / "cut.png")
    whole = (tmp_path / "cut.png").read_bytes()
    for name, content in (("text.png", b"hello"), ("empty.png", b""), ("cut.png", whole[: len(whole) // 2])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name}: not a readable picture"):
            as_mnist(tmp_path / name)
    with pytest.raises(DataError, match=r"absent\.png"):
        as_mnist(tmp_path / "absent.png")


def test_an_absurdly_large_picture_is_refused_unread(tmp_path):
    for side in (9_000, 20_000):
        Image.new("1", (side, side)).save(tmp_path / "huge.png")
        with pytest.raises(DataError, match=r"huge\.png: .*the most is 64,000,000"):
            as_mnist(tmp_path / "huge.png")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_picture_is_prepared_or_refused(tmp_path_factory, width, height, seed):
    path = tmp_path_factory.getbasetemp() / "any.png"
    generator = np.random.default_rng(seed)
    levels = generator.integers(0, 256, (height, width, 4), dtype=np.uint8) * (
        generator.random((height, width, 1)) < 0.3
    )
    Image.fromarray(levels.astype(np.uint8)).save(path)
    try:
        image = as_mnist(path)
    except DataError:
        return
    assert (image.shape, image.dtype, image.max()) == ((28, 28), np.uint8, 255)
    assert max(bounds(image)) <= 20


def test_mnist_itself_comes_back_as_it_was(tmp_path, mnist_folder):
    images = load("mnist", "test", mnist_folder).images[:, 0].numpy()
    masses = images.reshape(len(images), -1).sum(1, dtype=np.float64)
    for axis in (1, 2):
        places = (images.sum(3 - axis, dtype=np.float64) @ np.arange(28)) / masses
        assert abs(places.mean() - 14) < 0.05
    changes = []
    for image in images[:100]:
        enlarged = Image.fromarray(255 - image).resize((280, 280), Image.Resampling.BILINEAR)
        changes.append(
            (far(prepared(tmp_path, Image.fromarray(image)), image), far(prepared(tmp_path, enlarged), image))
        )
    assert np.median(changes, axis=0)[0] < 1
    assert np.mean(changes) < 6


SHAPE = (1, 28, 28)


def digit_of(mnist, row, margin=10, scale=10):
    """Return the ink of a training image, enlarged, float64 [H, W] in 0..1."""
    image = np.pad(mnist.images[row, 0].numpy(), margin)
    side = (image.shape[1] * scale, image.shape[0] * scale)
    return np.asarray(Image.fromarray(image).resize(side, Image.Resampling.BICUBIC)) / 255


@pytest.fixture
def mnist(mnist_folder):
    return load("mnist", "train", mnist_folder)


def sheet(ink, light=235.0, board=False):
    """Return a photograph of ink in 0..1: dark on paper in that light, or chalk on a board."""
    noise = np.random.default_rng(0).normal(0, 4, ink.shape)
    grey = light + 140 * ink if board else light * (1 - 0.75 * ink)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


def slope(ink, low, high):
    rows, columns = np.mgrid[0 : ink.shape[0], 0 : ink.shape[1]]
    return low + (high - low) * (rows / ink.shape[0] + columns / ink.shape[1]) / 2


def shadow(ink):
    _, columns = np.mgrid[0 : ink.shape[0], 0 : ink.shape[1]]
    return 110 + 110 / (1 + np.exp((columns / ink.shape[1] - 0.45) * 60))


def ruled(ink, grid=False):
    light = np.full(ink.shape, 235.0)
    for row in range(37, len(ink), 80):
        light[row : row + 3] = 120
    for column in range(31, ink.shape[1], 70) if grid else ():
        light[:, column : column + 3] = 140
    return light


def framed(picture, width=5, level=40):
    framed = Image.fromarray(picture)
    ImageDraw.Draw(framed).rectangle([25, 25, framed.width - 25, framed.height - 25], outline=level, width=width)
    return np.asarray(framed)


LIGHTS = {
    "gradient": lambda ink: sheet(ink, slope(ink, 90, 240)),
    "shadow": lambda ink: sheet(ink, shadow(ink)),
    "blackboard": lambda ink: sheet(ink, slope(ink, 20, 80), board=True),
    "ruled": lambda ink: sheet(ink, ruled(ink)),
    "squared": lambda ink: sheet(ink, ruled(ink, grid=True)),
    "frame": lambda ink: framed(sheet(ink)),
    "scanner": lambda ink: np.pad(sheet(ink), 40, constant_values=15),
    "pencil": lambda ink: (sheet(ink) * 0.2 + 235 * 0.8).astype(np.uint8),
}


@pytest.mark.parametrize("light", LIGHTS)
def test_digits_on_paper_as_it_is(tmp_path, mnist, light):
    differences = []
    for row in range(40):
        ink = digit_of(mnist, row)
        seen = prepared(tmp_path, Image.fromarray(LIGHTS[light](ink)))
        differences.append(far(seen, mnist.images[row, 0].numpy()))
    # A digit and its nearest neighbour of another class differ by some 25.
    assert np.median(differences) < 12
    assert np.percentile(differences, 90) < 25


@pytest.mark.parametrize("polarity", ["dark", "light"])
def test_digits_that_are_cut_out_tightly(tmp_path, mnist, polarity):
    right = 0
    for row in range(60):
        ink = digit_of(mnist, row, margin=0, scale=6)
        rows, columns = np.flatnonzero((ink > 0.15).any(1)), np.flatnonzero((ink > 0.15).any(0))
        cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        picture = np.rint(255 * (1 - cut if polarity == "dark" else cut)).astype(np.uint8)
        right += far(prepared(tmp_path, Image.fromarray(picture)), mnist.images[row, 0].numpy()) < 25
    assert right >= 57


@pytest.mark.parametrize("colour", [(0, 0, 200), (200, 0, 0), (0, 0, 90)])
def test_dim_ink_on_black(tmp_path, reference, colour):
    assert far(prepared(tmp_path, draw(ink=colour, ground=(0, 0, 0), mode="RGB")), reference) < 2


def row_of(mnist, rows, gap=8):
    joined = np.concatenate([np.pad(mnist.images[row, 0].numpy(), ((0, 0), (0, gap))) for row in rows], axis=1)
    page = np.pad(joined, 20)
    return Image.fromarray(255 - page).resize((4 * page.shape[1], 4 * page.shape[0]), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_several_digits_are_told_apart_in_reading_order(tmp_path, mnist, number):
    row_of(mnist, range(number)).save(tmp_path / "x.png")
    seen = split(tmp_path / "x.png", MNIST, SHAPE)
    assert len(seen) == number
    assert [far(one.image[0], mnist.images[row, 0].numpy()) < 12 for row, one in enumerate(seen)] == [True] * number
    assert [one.box[0] for one in seen] == sorted(one.box[0] for one in seen)
    notes = look(tmp_path / "x.png", MNIST, SHAPE).notes
    assert notes == (
        () if number == 1 else (f"{number} digits, it seems, that were taken as one: --split answers each",)
    )


def test_rows_are_read_from_the_top(tmp_path, mnist):
    pictures = [np.asarray(row_of(mnist, rows)) for rows in ((0, 1), (2, 3))]
    Image.fromarray(np.concatenate(pictures)).save(tmp_path / "x.png")
    seen = split(tmp_path / "x.png", MNIST, SHAPE)
    assert [far(one.image[0], mnist.images[row, 0].numpy()) < 12 for row, one in enumerate(seen)] == [True] * 4


def test_few_single_digits_are_doubted(tmp_path, mnist):
    doubted = 0
    for row in range(300):
        Image.fromarray(255 - np.pad(mnist.images[row, 0].numpy(), 8)).resize((176, 176)).save(tmp_path / "x.png")
        doubted += bool(look(tmp_path / "x.png", MNIST, SHAPE).notes)
    assert doubted <= 6


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.kron(np.random.default_rng(0).integers(0, 2, (30, 30)), np.ones((6, 6))) * 255, "more holes"),
        (np.pad(np.zeros((60, 60)), 40, constant_values=255), "a filled shape"),
        (np.pad(np.zeros((10, 150)), 40, constant_values=255), "wider than any digit"),
    ],
)
def test_a_word_where_nothing_like_a_digit_is_there(tmp_path, picture, message):
    Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "x.png")
    (note,) = look(tmp_path / "x.png", MNIST, SHAPE).notes
    assert re.search(message, note)


def save(tmp_path, image, name="x.png"):
    Image.fromarray(image).save(tmp_path / name)
    return tmp_path / name


def test_a_picture_like_the_training_images_is_taken_as_it_is(tmp_path, mnist):
    for row in range(50):
        image = mnist.images[row, 0].numpy()
        np.testing.assert_array_equal(ready(save(tmp_path, image), MNIST, SHAPE)[0], image)
    digits = load("optdigits")
    same = [
        np.array_equal(ready(save(tmp_path, image.numpy()[0]), digits.preparation, SHAPE), image.numpy())
        for image in digits.images[:100]
    ]
    assert np.mean(same) > 0.5  # others of its digits touch the edge, and are brought to the same box


GARMENT = np.zeros((28, 28), np.uint8)
GARMENT[:, 8:20] = np.linspace(120, 220, 28, dtype=np.uint8)[:, None]
GARMENT[2:8] = 180


def test_an_object_keeps_its_own_greys_and_fills_the_frame(tmp_path):
    kind = Preparation("object", 28, "box")
    np.testing.assert_array_equal(ready(save(tmp_path, GARMENT), kind, SHAPE)[0], GARMENT)
    np.testing.assert_array_equal(ready(save(tmp_path, 255 - GARMENT), kind, SHAPE)[0], GARMENT)
    photograph = np.asarray(Image.fromarray(GARMENT).resize((280, 280), Image.Resampling.BOX))
    for margin in (0, 60):
        seen = ready(save(tmp_path, 255 - np.pad(photograph, ((0, 0), (margin, margin)))), kind, SHAPE)[0]
        assert far(seen, GARMENT) < 4
    with pytest.raises(DataError, match="blank"):
        ready(save(tmp_path, np.full((40, 40), 7, np.uint8)), kind, SHAPE)


def test_whole_pictures_are_seen_as_training_saw_them(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    grey = colour[..., 0]
    kind = Preparation()
    np.testing.assert_array_equal(ready(save(tmp_path, colour), kind, (3, 12, 12)), colour.transpose(2, 0, 1))
    np.testing.assert_array_equal(ready(save(tmp_path, grey), kind, (3, 12, 12)), [grey] * 3)
    np.testing.assert_array_equal(ready(save(tmp_path, np.dstack([grey] * 3)), kind, (1, 12, 12)), [grey])
    seen = look(save(tmp_path, colour), kind, (1, 12, 12))
    assert (seen.image.shape, len(seen.notes)) == ((1, 12, 12), 1)
    assert "its colours were taken away" in seen.notes[0]
    seen = look(save(tmp_path, colour), kind, (3, 20, 20))
    assert (seen.image.shape, "12x12 pixels" in seen.notes[0]) == ((3, 20, 20), True)
    with pytest.raises(DataError, match="only pictures of digits or letters"):
        split(save(tmp_path, colour), kind, (1, 12, 12))


@pytest.mark.parametrize("fit", ["pad", "crop", "squash"])
def test_a_picture_for_prediction_is_brought_to_size_as_in_training(tmp_path, fit):
    for place, name in enumerate("ab"):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        for index in range(2):
            save(
                folder,
                np.random.default_rng(2 * place + index).integers(0, 256, (50, 31, 3), dtype=np.uint8),
                f"{index}.png",
            )
    train = load(tmp_path, image_size=16, image_fit=fit)
    seen = [ready(path, train.preparation, (3, 16, 16)) for path in sorted(tmp_path.rglob("*.png"))]
    np.testing.assert_array_equal(np.stack(seen), train.images.numpy())
