"""Where data sets may lie on this machine, in the order in which they are looked for."""

import os
from collections.abc import Iterator
from pathlib import Path

from lenette.data.catalogue import DATASETS, Entry, File, published
from lenette.data.names import visible, words

# Where torchvision's examples and tutorials put their `root`.
TORCHVISION_ROOTS = ("data", ".", "~/data", "~/.cache/torchvision", "~/.cache/torch")


def user_folder() -> Path:
    """Return the folder of this user's own data sets, where `fetch` and `import_folder` put them."""
    from platformdirs import user_data_path

    return user_data_path("lenette", appauthor=False) / "data"


def candidates(entry: Entry, folder: str | Path | None = None) -> list[Path]:
    """Return the folders in which the set's files may lie: below `folder` alone where it is given, else everywhere."""
    if folder is not None:
        return list(_below(entry, Path(folder)))
    named = os.environ.get("LENETTE_DATA")
    places = list(_below(entry, Path(named))) if named else []
    for root in (user_folder(), *TORCHVISION_ROOTS):
        places += [Path(root).expanduser() / name for name in entry.folders]
    return list(dict.fromkeys(places))


def _below(entry: Entry, root: Path) -> Iterator[Path]:
    """Yield the set's places below a root that the user named, which may be the set's own folder itself."""
    root = root.expanduser()
    yield from (root / name for name in entry.folders)
    # MNIST's file names are those of Fashion-MNIST and KMNIST too: a folder called after another set is not this one's.
    others = {Path(name).parts[0] for other in DATASETS.values() for name in other.folders} - {
        Path(name).parts[0] for name in entry.folders
    }
    if not others & set(root.parts[-2:]):
        yield from (root, root / "raw")


def forms(file: File, folder: Path) -> list[Path]:
    """Return every path that `file` may have in `folder`: plain or gzip, the one whose digest is known first."""
    names = (file.name, file.name.replace("-idx", ".idx"))
    suffixes = ("", ".gz") if file.sha256 else (".gz", "")
    return [folder / f"{name}{suffix}" for suffix in suffixes for name in names]


def locate(file: File, folder: Path) -> Path | None:
    """Return the path of `file` in `folder`, or None; its name may be in capitals, or be a folder's that holds it."""
    usual = next((path for path in forms(file, folder) if path.is_file()), None)
    if usual is not None or not folder.is_dir():
        return usual
    try:
        places = [path for path in visible(folder) if words(path.name)[: len(words(file.name))] == words(file.name)]
        inside = [path for place in places for path in (visible(place) if place.is_dir() else [place])]
    except OSError:
        return None
    right = (words(file.name), [*words(file.name), "gz"])
    return next((path for path in inside if path.is_file() and words(path.name) in right), None)


def needed(entry: Entry, part: str) -> tuple[File, ...]:
    """Return the files that reading `part` takes: its own, and the training images for mean and standard deviation."""
    files = (entry.parts[part].images, entry.parts[part].labels, entry.parts["train"].images)
    return tuple(dict.fromkeys(files))


def find(name: str, part: str = "train", folder: str | Path | None = None) -> Path | None:
    """Return the first folder that holds every file that `part` of the set takes, unread, or None.

    Raises DataError where the catalogue has no set of files of that name.
    """
    entry = published(name)
    for place in candidates(entry, folder):
        if all(locate(file, place) for file in needed(entry, part)):
            return place
    return None
