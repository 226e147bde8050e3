import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lenette.data import load
from lenette.errors import DataError
from lenette.prepare import as_mnist


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
