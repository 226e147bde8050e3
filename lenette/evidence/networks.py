"""The networks of a proof: built anew, with the weights of each of its seeds."""

import hashlib
from pathlib import Path

from torch import nn

from lenette import models, runs
from lenette.errors import ModelError, RunError
from lenette.evidence import weights
from lenette.evidence.schema import Proof
from lenette.recipes import Recipe


class NotHere(RunError):
    """What is needed to recompute a figure is not on this machine."""


def require_consent(recipe: Recipe, run_code: bool) -> None:
    """Raise ModelError where the network is the author's own code and nobody has said that it may be run."""
    if recipe.model not in models.MODELS and not run_code:
        raise ModelError(f"the network is its author's own code, {recipe.model}: read that, then say --run-code")


def network_of(proof: Proof, recipe: Recipe) -> nn.Module:
    """Return the proof's network, with weights of no meaning."""
    about = proof["data"]
    return models.build(recipe.model, len(about["classes"]), about["shape"][0], about["shape"][1])


def weights_of(proof: Proof, path: Path, store: Path) -> dict[int, weights.State]:
    """Return the weights of a proof's seeds: from beside its file, else from the same runs in the store.

    Raises:
        RunError: the file beside it is missing, damaged, or another one.
        NotHere: they were too large to keep, and the store has not got all of them.
    """
    name = proof["weights"]["file"]
    if name is not None:
        file = path.parent / Path(name).name
        states = weights.read_all(file)
        if hashlib.sha256(file.read_bytes()).hexdigest() != proof["weights"]["digest"]:
            raise RunError(f"{file} is not the file of weights that the proof was written with")
        return states
    states = {}
    for run in proof["runs"]:
        if run["weights"] is not None:
            kept = runs.with_key(store, run["key"])
            if kept is None or not (kept.folder / "model.safetensors").exists():
                raise NotHere(
                    f"the weights ({proof['weights']['bytes']:,} bytes) are too large to be kept beside the proof, and "
                    f"{store} has no run of seed {run['seed']}; `--retrain {run['seed']}` makes it again"
                )
            states[run["seed"]] = weights.read(kept.folder / "model.safetensors")
    return states
