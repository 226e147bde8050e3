"""The networks of a proof: built anew, and the weights of its seeds, in one file beside it or where else they lie."""

from collections.abc import Iterator
from pathlib import Path

import torch

from lenette import files, identity, models, records, runs
from lenette.errors import LenetteError, ModelError, RunError
from lenette.evidence.proof import Proof
from lenette.inference import Network
from lenette.models import structure, trust
from lenette.recipes import Recipe

State = dict[str, torch.Tensor]

MAX_KEPT = 1_000_000  # bytes of all seeds' weights that a repository is asked to hold


class NotHere(LenetteError):
    """What is needed to recompute a figure is not on this machine."""


def network_of(path: Path, proof: Proof, recipe: Recipe, run_code: bool) -> Network:
    """Return the proof's network, with weights of no meaning.

    Raises:
        NotHere: it is its author's code, which is not here or may not be run.
    """
    about, source = proof.data, proof.network.source
    try:
        if proof.network.digest:
            source = source or models.source(recipe.model)
            if identity.source_digest(source) != proof.network.digest:
                raise NotHere(f"the source of {recipe.model} here is not the one that was proven")
            trust.require(source, f"the network of {path}", run_code)
        is_file = models.is_file(recipe.model)
        model = models.build(
            recipe.model, len(about.classes), about.shape[0], about.shape[1], source if is_file else None
        )
    except ModelError as error:
        raise NotHere(str(error)) from error
    return Network(model, about.classes, about.shape, about.mean, about.std)


def network_faults(network: Network, proof: Proof) -> Iterator[str]:
    """Yield what does not fit in the network's structure and size; of the numbers version 1 recorded the trainable.

    A structure is as one version of torch tells it: another version's is not held to it.
    """
    counts, size = models.count(network.model), models.num_bytes(network.model.state_dict())
    same_torch = {environment.torch for environment in proof.environments} == {str(torch.__version__)}
    if same_torch and proof.network.structure not in (None, structure.structure(network.model)):
        yield "the network is built otherwise here than when it was proven"
    for name in ("trainable",) if proof.version == 1 else counts.__struct_fields__:
        here, there = getattr(counts, name), getattr(proof.network.counts, name)
        if here != there:
            yield f"the network has {here:,} numbers that are {name}, not {there:,}"
    if size != proof.network.bytes:
        yield f"the network has {size:,} bytes of weights, not {proof.network.bytes:,}"


def read_weights(path: Path) -> State:
    """Return the tensors of a safetensors file.

    Raises:
        RunError: the file is missing, damaged, or too large to be one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"can't read the weights {path}: {error}") from error


def write_weights(path: Path, states: dict[int, State]) -> None:
    """Write the states of all seeds to one safetensors file, as "SEED/NAME"."""
    from safetensors.torch import save_file

    with files.replacing(path) as temporary:
        save_file(
            {f"{seed}/{name}": value for seed, state in states.items() for name, value in state.items()}, temporary
        )


def read_all_weights(path: Path) -> dict[int, State]:
    """Return what `write_weights` wrote.

    Raises:
        RunError: the file is damaged, holds something else, or more than any that is kept beside a proof.
    """
    if path.stat().st_size > records.MAX_BYTES:
        raise RunError(f"{path} has more than {records.MAX_BYTES >> 20} MiB: that is not kept beside a proof")
    states: dict[int, State] = {}
    for key, value in read_weights(path).items():
        seed, _, name = key.partition("/")
        if not (seed.isascii() and seed.isdecimal() and len(seed) < 20):
            raise RunError(f"{path}: '{key:.40}' is not the weight of a seed, SEED/NAME")
        states.setdefault(int(seed), {})[name] = value
    return states


def find_weights(path: Path, proof: Proof, store: Path) -> dict[int, State]:
    """Return the seeds' weights, each of the recorded digest: from beside the file, else from any runs in the store.

    Raises:
        RunError: the file beside it is damaged, or holds other weights.
    """
    wanted = {run.seed: run.weights for run in proof.runs if run.weights is not None}
    beside = path.parent / (proof.weights or "")
    if beside.is_file():
        states = read_all_weights(beside)
        digests = {seed: identity.weights(state) for seed, state in states.items()}
        if others := [seed for seed in sorted(wanted | digests) if wanted.get(seed) != digests.get(seed)]:
            seeds = ", ".join(map(str, others[:10]))
            raise RunError(f"{beside}: the weights of seed {seeds} are not those whose digest is recorded")
        return states
    states = {}
    for run in runs.in_store(store):
        try:
            seed, kept = run.seed, run.folder / "model.safetensors"
            if seed in wanted and seed not in states and kept.is_file():
                state = read_weights(kept)
                if identity.weights(state) == wanted[seed]:
                    states[seed] = state
        except RunError:  # it can't be read, so that it is not the one
            continue
    return states
