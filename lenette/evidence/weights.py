"""The weights of many runs: their digest, their size, and one file for them all."""

import hashlib
from pathlib import Path

import torch

from lenette import files
from lenette.errors import RunError

State = dict[str, torch.Tensor]

MAX_KEPT = 1_000_000  # bytes of all seeds' weights that a repository is asked to hold


def digest(state: State) -> str:
    """Return the SHA-256 (hex) of the tensors' names, types, shapes and bytes, in the order of the names."""
    sha256 = hashlib.sha256()
    for name in sorted(state):
        value = state[name].contiguous()
        sha256.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        sha256.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return sha256.hexdigest()


def is_kept(all_bytes: int) -> bool:
    """Say whether weights of so many bytes are kept beside a proof."""
    return 0 < all_bytes <= MAX_KEPT


def read(path: Path) -> State:
    """Return the tensors of a safetensors file.

    Raises:
        RunError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RunError(f"can't read the weights {path}: {error}") from error


def write_all(path: Path, states: dict[int, State]) -> None:
    """Write the states of all seeds to one safetensors file, as "SEED/NAME"."""
    from safetensors.torch import save_file

    with files.replacing(path) as temporary:
        save_file(
            {f"{seed}/{name}": value for seed, state in states.items() for name, value in state.items()}, temporary
        )


def read_all(path: Path) -> dict[int, State]:
    """Return what `write_all` wrote.

    Raises:
        RunError: the file is missing, damaged, or holds something else.
    """
    states: dict[int, State] = {}
    for key, value in read(path).items():
        seed, _, name = key.partition("/")
        if not seed.removeprefix("-").isdecimal():
            raise RunError(f"{path}: '{key}' is not the weight of a seed, SEED/NAME")
        states.setdefault(int(seed), {})[name] = value
    return states
