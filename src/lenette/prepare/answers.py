"""What a network says of pictures: each made ready as its training images were, one that can't be read named."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from lenette.data.preparation import Preparation
from lenette.errors import DataError, LenetteError
from lenette.inference import Network
from lenette.prepare import Seen, look, split
from lenette.prepare.doubt import unsure


@dataclass(frozen=True)
class Answer:
    """What a network says of one picture, or of one digit in it.

    `name` is the likeliest class, None where the picture can't be read, for which `fault` says why; `probabilities`
    holds every class's, `notes` what to know about the answer, in sentences, and `seen` what the network saw.
    """

    image: str
    name: str | None = None
    probabilities: dict[str, float] | None = None
    unsure: bool = False
    notes: tuple[str, ...] = ()
    fault: str = ""
    seen: Seen | None = None


def answers(network: Network, preparation: Preparation, path: Path, apart: bool = False) -> Iterator[Answer]:
    """Yield the answer for the picture at `path`, or, where they are told `apart`, one for each digit in it."""
    try:
        every = split(path, preparation, network.shape) if apart else [look(path, preparation, network.shape)]
    except LenetteError as error:
        yield Answer(str(path), fault=str(error))
        return
    for seen in every:
        shares = network.probabilities(torch.from_numpy(seen.image.copy())[None])[0].tolist()
        probabilities = dict(zip(network.classes, shares, strict=True))
        best = max(probabilities, key=probabilities.__getitem__)
        doubt = unsure(probabilities[best], preparation, network.classes)
        notes = (*seen.notes, *([doubt] if doubt else []))
        yield Answer(str(path), best, probabilities, bool(doubt), notes, seen=seen)


def pictures(named: Iterable[str | Path]) -> list[Path]:
    """Return the pictures that were named, and the files in the folders that were.

    Raises:
        DataError: what is named is no path.
    """
    found: list[Path] = []
    for name in named:
        if not isinstance(name, str | Path):
            raise DataError(f"{name!r:.60} is no picture's path: give paths, or images as a tensor uint8 [N, C, H, W]")
        path = Path(name)
        inside = sorted(one for one in path.iterdir() if one.is_file() and one.name[0] != ".") if path.is_dir() else []
        found += inside or [path]
    return found
