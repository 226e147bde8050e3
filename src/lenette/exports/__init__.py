"""Forms in which a trained network leaves lenette: ONNX, code for PyTorch alone, C for a microcontroller."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lenette.errors import LenetteError, ModelError, nearest
from lenette.runs import DEFAULT_STORE, Run

if TYPE_CHECKING:
    from lenette.exports.trained import Trained
    from lenette.integer import IntegerNetwork

FORMS = ("onnx", "torch", "c")


def export(
    run: Run | str | Path,
    to: str = "all",
    out: str | Path | None = None,
    *,
    seed: int | None = None,
    prefix: str = "net",
    store: str | Path = DEFAULT_STORE,
    folder: str | Path | None = None,
    run_code: bool = False,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Write a trained network in other forms; return the files' paths.

    Args:
        run: a run, what names one, or a proof's file: then each of its seeds that has weights, in a folder of its own.
        to: "onnx" (float32, uint8 images in), "torch" (a .py and its state_dict, for PyTorch alone), "c" (the integer
            network as C99, with its device card), or "all".
        out: the folder; without it, exports/NAME for each network.
        seed: of a proof, the one that is wanted.
        prefix: what names in C begin with.
        folder: where the run's data set lies: the integer network's ranges are measured on its training images.
        run_code: whether a network that is somebody else's code may be run from now on.
        say: is given a line for a form that a network does not have, where all are wanted.

    Raises:
        LenetteError: the form, the run, the prefix or the data won't do, or a file is there that lenette did not write.
        ModelError: the network has no such form, and `to` is not "all".

        Then nothing is written.
    """
    if to not in (*FORMS, "all"):
        raise LenetteError(f"form '{to}' is none of {', '.join(FORMS)}, all{nearest(to, (*FORMS, 'all'))}")
    from lenette.exports import folder as files
    from lenette.exports.trained import find

    made: dict[Path, dict[str, bytes]] = {}
    found = find(run, Path(store), seed, run_code)
    for trained in found:
        own = out is None or len(found) > 1
        place = Path("exports" if out is None else out) / (trained.name if own else "")
        made[place] = {}
        for form in FORMS if to == "all" else (to,):
            try:
                made[place] |= _contents(trained, form, prefix, folder)
            except ModelError as error:
                if to != "all":
                    raise
                say(f"{trained.name} has no form '{form}': {error}")
    for place, contents in made.items():
        files.require_free(place, contents)
    return [path for place, contents in made.items() for path in files.write(place, contents)]


def _contents(trained: "Trained", form: str, prefix: str, folder: str | Path | None) -> dict[str, bytes]:
    if form == "onnx":
        from lenette.exports import onnx_float

        return onnx_float.contents(trained)
    if form == "torch":
        from lenette.exports import torch_code

        return torch_code.contents(trained)
    from lenette.exports import c, card

    network = _integer(trained, folder)
    return {**c.contents(network, prefix), **card.contents(network, f"{trained.name} in integers")}


def _integer(trained: "Trained", folder: str | Path | None) -> "IntegerNetwork":
    """Return its integer form, whose ranges are measured on the images that it was trained on."""
    from lenette import integer, jobs
    from lenette.evidence import sealed

    if trained.run is not None:
        return sealed.integer_network(trained.run, folder)
    images, _ = jobs.datasets(trained.recipe, folder)
    return integer.quantise(trained.network, images.images)
