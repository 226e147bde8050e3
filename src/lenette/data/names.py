"""What people call the parts and classes of a data set, and names that can always be printed."""

import re
import unicodedata
from pathlib import Path

PART_WORDS = {
    "train": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "t10k"),
}
PARTS = {word: part for part, words in PART_WORDS.items() for word in words}
IMAGE_WORDS = ("x", "images", "image", "imgs", "img", "data", "pixels", "features", "inputs")
LABEL_WORDS = ("y", "labels", "label", "targets", "target", "class", "digit", "character")


def printable(name: object) -> str:
    r"""Return a file's name or path as text that any UTF-8 file can hold: NFC, and what can't be printed as \x..."""
    text = str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    text = unicodedata.normalize("NFC", text)
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def words(name: str) -> list[str]:
    """Return the words of a name: "mnist_xTrain-images.npy" has mnist, x, train, images, npy."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    found = re.findall(r"[a-z0-9]+", name.lower())
    return [part for word in found for part in _apart(word)]


def _apart(word: str) -> list[str]:
    """Part "xtrain" and "trainx" in two."""
    for letter in "xy":
        if word[:1] == letter and word[1:] in PARTS:
            return [letter, word[1:]]
        if word[-1:] == letter and word[:-1] in PARTS:
            return [word[:-1], letter]
    return [word]


def part_of(name: str) -> str | None:
    """Return the part that a name's words name, or None."""
    return next((PARTS[word] for word in words(name) if word in PARTS), None)


def role_of(name: str) -> str | None:
    """Return "labels" or "images", whichever a name's words name, or None."""
    found = words(name)
    if any(word in LABEL_WORDS for word in found):
        return "labels"
    return "images" if any(word in IMAGE_WORDS for word in found) else None


def visible(folder: Path) -> list[Path]:
    """Return what lies in a folder, in order, without what systems leave there."""
    junk = ("thumbs.db", "desktop.ini", "__macosx")
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name.lower() not in junk)
