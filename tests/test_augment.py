import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lenette import augment
from lenette.plan import Plan
from lenette.recipes import Recipe

sizes = st.integers(1, 9)
EXACT = {"rtol": 0, "atol": 1e-5}


def pictures(height=7, width=5, count=3, channels=2, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, height, width, generator=generator, dtype=torch.float64).to(dtype)


def maps(fields, draws, height, width):
    """Return the float32 maps of these uniform draws, a list of rows for each operation."""
    draws = {name: np.array(rows, dtype=np.float64) for name, rows in draws.items()}
    return torch.from_numpy(augment.warps(Recipe(model="lenet5", **fields), draws, height, width))


def by_hand(images, affine):
    """Sample bilinearly, a pixel at a time, in Python's float64."""
    count, channels, height, width = images.shape
    result = torch.zeros_like(images)

    def pixel(n, c, y, x):
        return images[n, c, y, x].item() if 0 <= y < height and 0 <= x < width else 0.0

    for n, c, y, x in np.ndindex(count, channels, height, width):
        (a, b, e), (d, f, g) = affine[n].tolist()
        source_x, source_y = a * x + b * y + e, d * x + f * y + g
        left, top = math.floor(source_x), math.floor(source_y)
        right, low = source_x - left, source_y - top
        result[n, c, y, x] = (
            (1 - low) * ((1 - right) * pixel(n, c, top, left) + right * pixel(n, c, top, left + 1))
            + low * ((1 - right) * pixel(n, c, top + 1, left) + right * pixel(n, c, top + 1, left + 1))
        )  # fmt: skip
    return result


def shifted(images, down, right):
    """Move the picture by whole pixels; black comes in."""
    height, width = images.shape[-2:]
    padded = torch.nn.functional.pad(images, (abs(right),) * 2 + (abs(down),) * 2)
    top, left = abs(down) - down, abs(right) - right
    return padded[..., top : top + height, left : left + width]


def close(actual, expected):
    torch.testing.assert_close(actual, expected, **EXACT)


@given(sizes, sizes, st.integers(0, 2**32))
def test_warp_is_bilinear_sampling(height, width, seed):
    images = pictures(height, width, seed=seed)
    affine = torch.from_numpy(np.random.default_rng(seed).uniform(-2, 2, (3, 2, 3)))
    close(augment.warp(images, affine), by_hand(images, affine))


def test_warp_in_float32_agrees_with_float64():
    images = pictures(28, 28, 16)
    affine = maps({"rotation": 20.0, "scale": 0.2}, {"rotation": [[0.1]] * 16, "scale": [[0.8]] * 16}, 28, 28)
    torch.testing.assert_close(
        augment.warp(images.float(), affine).double(), augment.warp(images, affine), rtol=0, atol=2e-5
    )


@given(sizes, sizes)
def test_draws_of_a_half_change_nothing(height, width):
    switched_on = {"rotation": 45.0, "translation": 0.5, "scale": 0.3, "shear": 0.5}
    draws = {name: [[0.5] * augment.GEOMETRIC[name]] * 3 for name in switched_on}
    images = pictures(height, width)
    close(augment.warp(images, maps(switched_on, draws, height, width)), images)


@given(sizes, sizes, st.integers(-3, 3), st.integers(-3, 3))
def test_a_translation_by_whole_pixels_shifts(height, width, down, right):
    draws = {"translation": [[(right + 3) / 6, (down + 3) / 6]] * 3}
    images = pictures(height, width)
    close(augment.warp(images, maps({"translation": 3.0}, draws, height, width)), shifted(images, down, right))


@given(sizes, st.sampled_from([-1, 0, 1]))
def test_a_quarter_turn_is_rot90_counter_clockwise(size, turns):
    images = pictures(size, size)
    affine = maps({"rotation": 90.0}, {"rotation": [[(turns + 1) / 2]] * 3}, size, size)
    close(augment.warp(images, affine), torch.rot90(images, turns, (2, 3)))


@given(sizes, sizes)
def test_a_half_turn_of_any_picture(height, width):
    images = pictures(height, width)
    affine = maps({"rotation": 180.0}, {"rotation": [[1.0]] * 3}, height, width)
    close(augment.warp(images, affine), images.flip(2, 3))


def test_scale_enlarges_about_the_middle():
    affine = maps({"scale": 0.5}, {"scale": [[1.0]]}, 9, 9)
    assert (affine[0] @ torch.tensor([4.0, 4, 1])).tolist() == pytest.approx([4, 4])
    assert (affine[0] @ torch.tensor([7.0, 4, 1])).tolist() == pytest.approx([6, 4])


def test_shear_shifts_each_row_by_its_distance_from_the_middle():
    affine = maps({"shear": 0.5}, {"shear": [[1.0]]}, 5, 5)
    assert [(affine[0] @ torch.tensor([2.0, y, 1])).tolist() for y in (0.0, 2.0, 4.0)] == [[3, 0], [2, 2], [1, 4]]


def test_a_centre_crop_is_cut_out_and_resized():
    images = pictures(12, 12)
    affine = maps({"crop_size": 6}, {"crop_size": [[0.0]] * 3}, 12, 12)
    cut = images[..., 3:9, 3:9]
    resized = torch.nn.functional.interpolate(cut, size=(12, 12), mode="bilinear", align_corners=False)
    # at the rim the map still sees the pixels beyond the cut, where resizing repeats the edge
    close(augment.warp(images, affine)[..., 1:-1, 1:-1], resized[..., 1:-1, 1:-1])


@given(st.integers(2, 9), st.integers(2, 9))
def test_a_centre_crop_keeps_corners_of_the_cut_where_they_belong(height, width):
    size = min(height, width)
    affine = maps({"crop_size": size}, {"crop_size": [[0.0]]}, height, width)
    first = (affine[0] @ torch.tensor([-0.5, -0.5, 1])).tolist()
    assert first == pytest.approx([(width - size) / 2 - 0.5, (height - size) / 2 - 0.5], abs=1e-5)


def test_only_the_drawn_share_is_cut():
    fields = {"crop_size": 6, "crop_probability": 0.25}
    affine = maps(fields, {"crop_size": [[0.0], [0.24], [0.25], [0.9]]}, 12, 12)
    assert affine[:, 0, 0].tolist() == [0.5, 0.5, 1, 1]


@given(sizes, sizes, st.integers(1, 3), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_padded_crop_is_a_window_of_the_padded_picture(height, width, padding, draw_x, draw_y):
    images = pictures(height, width)
    affine = maps({"crop_padding": padding}, {"crop_padding": [[draw_x, draw_y]] * 3}, height, width)
    left, top = int(draw_x * (2 * padding + 1)), int(draw_y * (2 * padding + 1))
    padded = torch.nn.functional.pad(images, (padding,) * 4)
    close(augment.warp(images, affine), padded[..., top : top + height, left : left + width])


def test_a_padded_crop_reaches_every_window_equally():
    draws = np.linspace(0, 1, 500, endpoint=False)
    affine = maps({"crop_padding": 2}, {"crop_padding": np.stack([draws, draws], axis=1)}, 8, 8)
    values, counts = affine[:, 0, 2].unique(return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert counts.tolist() == [100] * 5


def test_all_operations_together_are_one_after_the_other():
    fields = {"rotation": 30.0, "shear": 0.4, "scale": 0.3, "translation": 2.0, "crop_size": 6, "crop_padding": 2}
    draws = {
        "rotation": [[0.9]],
        "shear": [[0.2]],
        "scale": [[0.8]],
        "translation": [[0.1, 0.7]],
        "crop_size": [[0.0]],
        "crop_padding": [[0.9, 0.3]],
    }

    def square(affine):
        return np.vstack([affine[0].double().numpy(), [0, 0, 1]])

    composed = np.eye(3)
    for name, value in fields.items():
        composed = composed @ square(maps({name: value}, {name: draws[name]}, 12, 12))
    assert np.allclose(square(maps(fields, draws, 12, 12)), composed, atol=1e-5)


@given(sizes, sizes)
def test_a_factor_of_one_is_no_jitter(height, width):
    images = pictures(height, width)
    close(augment.jitter(images, torch.ones(3, 2)), images)


def test_jitter_multiplies_then_stretches_about_the_mean_and_clips_both():
    image = torch.tensor([0.0, 0.25, 0.5, 0.75], dtype=torch.float64).view(1, 2, 1, 2)
    bright = augment.jitter(image, torch.tensor([[2.0, 1.0]]))
    assert bright.flatten().tolist() == [0, 0.5, 1, 1]
    assert augment.jitter(image, torch.tensor([[1.0, 2.0]])).flatten().tolist() == [0, 0.125, 0.625, 1]
    # brightness first: [0, .5, 1, 1], of mean 0.625
    both = augment.jitter(image, torch.tensor([[2.0, 0.5]]))
    assert both.flatten().tolist() == [0.3125, 0.5625, 0.8125, 0.8125]


def test_jitter_treats_each_image_by_itself():
    images = pictures(count=2)
    factors = torch.tensor([[0.5, 1.3], [1.4, 0.2]])
    each = [augment.jitter(images[n : n + 1], factors[n : n + 1]) for n in range(2)]
    close(augment.jitter(images, factors), torch.cat(each))


def test_jitters_are_the_draws_in_their_columns():
    recipe = Recipe(model="lenet5", brightness=0.2, contrast=0.4)
    draws = {"brightness": np.array([[0.0], [1.0]]), "contrast": np.array([[0.5], [0.75]])}
    assert augment.jitters(recipe, draws).tolist() == pytest.approx(np.array([[0.8, 1], [1.2, 1.2]]))
    assert augment.jitters(recipe, {"contrast": draws["contrast"]})[:, 0].tolist() == [1, 1]


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_an_erased_square_lies_around_its_centre_and_within_the_picture(height, width, data):
    size = data.draw(st.integers(1, min(height, width)))
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    recipe = Recipe(model="lenet5", erase_size=size, erase_probability=1.0)
    draws = {"erase_size": np.array([[0.0, (row + 0.5) / height, (column + 0.5) / width]])}
    squares = torch.from_numpy(augment.erasures(recipe, draws, height, width))
    image = torch.ones(1, 2, height, width)
    erased = augment.erase(image, squares)[0]
    top, left = row - size // 2, column - size // 2
    expected = [
        [0.0 if top <= y < top + size and left <= x < left + size else 1.0 for x in range(width)] for y in range(height)
    ]
    assert erased.tolist() == [expected, expected]
    assert erased[0, row, column] == 0


def test_only_the_drawn_share_is_erased():
    recipe = Recipe(model="lenet5", erase_size=3)
    draws = {"erase_size": np.array([[0.49, 0.5, 0.5], [0.5, 0.5, 0.5]])}
    squares = torch.from_numpy(augment.erasures(recipe, draws, 9, 9))
    assert squares.tolist() == [[3, 3, 3, 3], [0, 0, 0, 0]]
    images = pictures(9, 9, 2)
    assert torch.equal(augment.erase(images, squares)[1], images[1])


SHEETS = {
    "white": torch.ones_like,
    "coloured": lambda images: torch.ones_like(images) * torch.tensor([0.2, 0.9])[:, None, None],
    "each its own": lambda images: torch.ones_like(images) * torch.tensor([0.1, 0.5, 0.0])[:, None, None, None],
}


@pytest.mark.parametrize("sheet", SHEETS)
def test_a_blank_sheet_stays_blank_whatever_is_uncovered(sheet):
    recipe = Recipe(model="lenet5", rotation=20.0, translation=3.0, scale=0.3, crop_padding=2, erase_size=5)
    paper = SHEETS[sheet](pictures(12, 10, dtype=torch.float32))
    changes = Plan(recipe, 0, 3, (12, 10)).changes(0, slice(0, 3))
    close(augment.augmented(paper, *changes), paper)


def test_the_ground_is_the_median_of_the_outermost_pixels():
    images = torch.zeros(4, 1, 5, 4, dtype=torch.uint8)
    images[0, :, 1:-1, 1:-1] = 200  # black, whatever lies within
    images[1, :, 0] = images[1, :, -1] = 90  # 8 of 14
    images[2, :, 0] = 90  # 4 of 14
    images[3] = 255
    images[3, :, 2, 0] = 3
    assert augment.grounds(images).tolist() == [[0], [90], [0], [255]]
    assert torch.equal(augment.grounds(images.float() / 255), augment.grounds(images).float() / 255)


def test_on_black_not_a_bit_changes():
    recipe = Recipe(model="lenet5", rotation=20.0, translation=3.0, brightness=0.3, erase_size=5)
    images = pictures(12, 10, dtype=torch.float32)
    changes = Plan(recipe, 0, 3, (12, 10)).changes(0, slice(0, 3))
    plain = augment.erase(augment.jitter(augment.warp(images, changes[0]), changes[1]), changes[2])
    assert torch.equal(augment.augmented(images, *changes, ground=torch.zeros(3, 2)), plain)
