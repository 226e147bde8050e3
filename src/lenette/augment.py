"""Augmentation: how uniform draws become warps, jitters and erasures, and how these change a batch of images.

Every geometric operation is a map from output to source pixels; all of them together are one affine map an image, so
that an image is sampled once, bilinearly, whatever the number of operations.
"""

import numpy as np
import torch
from torch.nn import functional

from lenette.recipes import Recipe

VERSION = 1  # raised where the maps, factors or squares, or what they do to an image, change by a bit
GROUND_VERSION = 1  # counts beside it where an image's ground isn't black: raised where such images change by a bit
Draws = dict[str, np.ndarray]

# How many uniform numbers each operation takes for an image; the recipe's field of that name switches it on.
GEOMETRIC = {"rotation": 1, "translation": 2, "scale": 1, "shear": 1, "crop_size": 1, "crop_padding": 2}
PHOTOMETRIC = {"brightness": 1, "contrast": 1}
ERASING = {"erase_size": 3}


def is_on(recipe: Recipe) -> bool:
    """Say whether the recipe switches any operation on."""
    return any(getattr(recipe, name) for name in (*GEOMETRIC, *PHOTOMETRIC, *ERASING))


def warps(recipe: Recipe, draws: Draws, height: int, width: int) -> np.ndarray:
    """Return the affine maps float32 [N, 2, 3] from output to source, in pixels, rows (x, y), for images of that size.

    Args:
        draws: uniform numbers in [0, 1), float64 [N, k], for each operation of GEOMETRIC that the recipe switches on.

    An image is turned counter-clockwise, slanted, scaled, shifted, its centre cut out and enlarged, and a window cut
    from it with a margin; the map undoes this from the last to the first, about the middle of the image.
    """
    num_images = len(next(iter(draws.values())))

    def signed(name: str, column: int = 0) -> np.ndarray | float:
        return draws[name][:, column] * 2 - 1 if name in draws else 0.0

    angle = np.radians(recipe.rotation) * signed("rotation")
    shear = recipe.shear * signed("shear")
    factor = 1 / (1 + recipe.scale * signed("scale"))
    shift_x, shift_y = (recipe.translation * signed("translation", column) for column in (0, 1))
    zoom_x = zoom_y = np.ones(num_images)
    if "crop_size" in draws:
        cut = draws["crop_size"][:, 0] < recipe.crop_probability
        zoom_x, zoom_y = (np.where(cut, recipe.crop_size / size, 1.0) for size in (width, height))
    window_x = window_y = np.zeros(num_images)
    if "crop_padding" in draws:
        window_x, window_y = np.floor(draws["crop_padding"] * (2 * recipe.crop_padding + 1)).T - recipe.crop_padding

    cos, sin = np.cos(angle), np.sin(angle)
    undo = np.empty((num_images, 2, 2))  # rotation^-1 @ shear^-1 / scale
    undo[:, 0, 0], undo[:, 0, 1] = cos * factor, (-cos * shear - sin) * factor
    undo[:, 1, 0], undo[:, 1, 1] = sin * factor, (-sin * shear + cos) * factor
    zoom = np.stack([zoom_x, zoom_y], axis=-1)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    # output o -> zoom * (o + window - centre) - shift -> undo -> + centre
    offset = zoom * (np.stack([window_x, window_y], axis=-1) - centre)
    offset[:, 0] -= shift_x
    offset[:, 1] -= shift_y
    result = np.empty((num_images, 2, 3), dtype=np.float32)
    result[:, :, :2] = undo * zoom[:, None, :]
    result[:, :, 2] = np.einsum("nij,nj->ni", undo, offset) + centre
    return result


def jitters(recipe: Recipe, draws: Draws) -> np.ndarray:
    """Return the factors float32 [N, 2] of brightness and contrast, each 1 where it is switched off."""
    result = np.ones((len(next(iter(draws.values()))), 2), dtype=np.float32)
    for column, name in enumerate(PHOTOMETRIC):
        if name in draws:
            result[:, column] = 1 + getattr(recipe, name) * (draws[name][:, 0] * 2 - 1)
    return result


def erasures(recipe: Recipe, draws: Draws, height: int, width: int) -> np.ndarray:
    """Return the squares int64 [N, 4] to fill with the ground: top, left, height, width; height 0 where none.

    The square's centre lies anywhere in the image and its edges are cut off there (Cutout, arXiv:1708.04552).
    """
    chance, *centre = draws["erase_size"].T
    result = np.zeros((len(chance), 4), dtype=np.int64)
    for column, (share, size) in enumerate(zip(centre, (height, width), strict=True)):
        first = np.floor(share * size).astype(np.int64) - recipe.erase_size // 2
        result[:, column] = np.clip(first, 0, size)
        result[:, column + 2] = np.clip(first + recipe.erase_size, 0, size) - result[:, column]
    result[chance >= recipe.erase_probability] = 0
    return result


def grounds(images: torch.Tensor) -> torch.Tensor:
    """Return the colour of each image's ground [N, C], of the images' type: the median of its outermost pixels.

    Of an even number it is the lower one of the two in the middle; black wherever half of them are.
    """
    inside = images.new_zeros(images.shape[-2:], dtype=torch.bool)
    inside[1:-1, 1:-1] = True
    border = images[..., ~inside]
    result = images.new_zeros(images.shape[:2])
    light = (border > 0).sum(2) * 2 > border.shape[2]
    result[light] = border[light].median(dim=1).values
    return result


def augmented(
    images: torch.Tensor,
    maps: torch.Tensor | None,
    factors: torch.Tensor | None,
    squares: torch.Tensor | None,
    ground: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return images float [N, C, H, W] in [0, 1] after `warp`, `jitter` and `erase`; None leaves one out.

    Args:
        ground: the images' own, float [N, C]; without it, it is measured.
    """
    ground = grounds(images) if ground is None else ground
    if maps is not None:
        images = warp(images, maps, ground)
    if factors is not None:
        images = jitter(images, factors)
    return images if squares is None else erase(images, squares, ground)


def warp(images: torch.Tensor, maps: torch.Tensor, ground: torch.Tensor | None = None) -> torch.Tensor:
    """Sample images float [N, C, H, W] where the maps [N, 2, 3] of `warps` point: bilinear, outside the ground [N, C].

    Without a ground that is black.
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, dtype=images.dtype, device=images.device)
    columns = torch.arange(width, dtype=images.dtype, device=images.device)
    maps = maps.to(images)[:, :, :, None, None]
    source = maps[:, :, 0] * columns + maps[:, :, 1] * rows[:, None] + maps[:, :, 2]
    # grid_sample wants -1 and 1 at the outer edges of the outermost pixels
    size = torch.tensor([width, height], dtype=images.dtype, device=images.device)
    grid = (source.permute(0, 2, 3, 1) * 2 + 1) / size - 1
    level = images.new_zeros(1, 1, 1, 1) if ground is None else ground[:, :, None, None]
    # zero outside, so that the ground is taken off before and laid on again after
    return (
        functional.grid_sample(images - level, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + level
    )


def jitter(images: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Multiply images float [N, C, H, W] in [0, 1] by the brightness factor, then stretch about the mean; clip both."""
    brightness, contrast = factors.to(images).T[:, :, None, None, None]
    images = (images * brightness).clamp(0, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean).clamp(0, 1)


def erase(images: torch.Tensor, squares: torch.Tensor, ground: torch.Tensor | None = None) -> torch.Tensor:
    """Fill the squares [N, 4] of `erasures` in images [N, C, H, W] with the ground [N, C], or with black."""
    top, left, height, width = squares.to(images.device).T[:, :, None]
    rows = torch.arange(images.shape[-2], device=images.device)
    columns = torch.arange(images.shape[-1], device=images.device)
    inside_rows = (rows >= top) & (rows < top + height)
    inside_columns = (columns >= left) & (columns < left + width)
    level = images.new_zeros(1, 1, 1, 1) if ground is None else ground[:, :, None, None]
    return torch.where((inside_rows[:, :, None] & inside_columns[:, None, :])[:, None], level, images)
