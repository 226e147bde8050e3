"""Pictures that were decoded once: kept in the user's cache, and never trusted further than their digest goes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lenette.files import replacing

VERSION = 1  # raised where the same pictures would become other images
LEAST_BYTES = 4 << 20  # of the pictures' files: fewer are decoded in no time
MOST_BYTES = 4 << 30  # of all that is kept; the oldest goes first


def folder() -> Path:
    """Return the folder of decoded pictures in the user's cache."""
    from platformdirs import user_cache_path

    return user_cache_path("lenette", appauthor=False) / "pictures"


def key(about: tuple[object, ...], paths: Sequence[Path]) -> str | None:
    """Return a digest of what is done to files, their names, sizes and times; None where keeping isn't worth it."""
    import PIL

    stats = [path.stat() for path in paths]
    if sum(stat.st_size for stat in stats) < LEAST_BYTES:
        return None
    files = [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in zip(paths, stats, strict=True)]
    return hashlib.sha256(repr((VERSION, PIL.__version__, about, files)).encode()).hexdigest()


def get(key: str | None) -> np.ndarray | None:
    """Return the images uint8 [N, C, H, W] that were kept under the key; None where there are none, or damaged ones."""
    from safetensors import SafetensorError, safe_open

    if key is None:
        return None
    path = folder() / f"{key}.safetensors"
    try:
        with safe_open(path, framework="np") as file:
            images = file.get_tensor("images")
            whole = (file.metadata() or {}).get("sha256") == hashlib.sha256(images.data).hexdigest()
        path.touch()
    except (OSError, SafetensorError, ValueError):
        return None
    return images if whole and images.dtype == np.uint8 and images.ndim == 4 else None


def put(key: str | None, images: np.ndarray) -> None:
    """Keep images uint8 [N, C, H, W] under the key, where there is room and a folder that can be written to."""
    from safetensors.numpy import save_file

    if key is None or images.nbytes > MOST_BYTES:
        return
    try:
        with replacing(folder() / f"{key}.safetensors") as temporary:
            save_file({"images": images}, temporary, {"sha256": hashlib.sha256(images.data).hexdigest()})
        _sweep()
    except Exception:  # a cache that can't be written changes nothing but the next time's speed
        pass


def _sweep() -> None:
    """Delete what was used longest ago, until the rest is within MOST_BYTES."""
    kept = sorted(((path.stat().st_mtime, path.stat().st_size, path) for path in folder().iterdir()), reverse=True)
    total = 0
    for _, size, path in kept:
        total += size
        if total > MOST_BYTES:
            path.unlink(missing_ok=True)
