"""Torch's settings around our own sums: set inside, and the user's own again after them."""

import multiprocessing
import os
import subprocess
import sys

import pytest
import torch
from torch.backends import cuda, cudnn, mkldnn

from lenette.arithmetic import exact
from lenette.errors import UnsupportedByEngine

PARENTS = (torch.backends, cudnn, mkldnn)
PLACES = {
    "cuda.matmul": cuda.matmul, "cudnn.conv": cudnn.conv, "cudnn.rnn": cudnn.rnn,
    "mkldnn.matmul": mkldnn.matmul, "mkldnn.conv": mkldnn.conv, "mkldnn.rnn": mkldnn.rnn,
}  # fmt: skip
EXACT = {
    "workspace": ":4096:8", "deterministic": True, "fill": False, "cudnn": (True, False),
    "precision": dict.fromkeys(PLACES, "ieee"),
}  # fmt: skip
USERS = {
    "none": lambda: None,
    "matmul high": lambda: torch.set_float32_matmul_precision("high"),
    "matmul medium": lambda: torch.set_float32_matmul_precision("medium"),
    "allow_tf32": lambda: (setattr(cuda.matmul, "allow_tf32", True), setattr(cudnn, "allow_tf32", False)),
    "benchmark": lambda: setattr(cudnn, "benchmark", True),
    "warn": lambda: torch.set_deterministic_debug_mode("warn"),
    "workspace": lambda: os.environ.update(CUBLAS_WORKSPACE_CONFIG=":0:0"),
    "all tf32": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "cuda tf32": lambda: setattr(cudnn, "fp32_precision", "tf32"),
    "conv ieee": lambda: setattr(cudnn.conv, "fp32_precision", "ieee"),
    "mkldnn bf16": lambda: setattr(mkldnn, "fp32_precision", "bf16"),
}  # fmt: skip


def settings():
    """Return torch's settings as they are now."""
    return {
        "workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "cudnn": (cudnn.deterministic, cudnn.benchmark),
        "precision": {name: place.fp32_precision for name, place in PLACES.items()},
    }


def reaction():
    """Return how the places of float32's precision follow those above them: what is unset does."""
    told = [settings()]
    for parent in PARENTS:
        before = parent.fp32_precision
        for value in ("ieee", "tf32", "none", before):
            parent.fp32_precision = value
            told.append(settings())
    return told


def told_by(user, enters):
    """Return the reaction, and what stood inside, in a process where a user has set something before."""
    USERS[user]()
    inside = None
    if enters:
        with exact(threads=3):
            inside = settings()
    return reaction(), inside


@pytest.fixture(scope="module")
def fresh_processes():
    """Processes of one task each: what stands unset there can't be unset again."""
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    if kind == "forkserver":
        context.set_forkserver_preload([__name__])
    with context.Pool(1, maxtasksperchild=1) as pool:
        yield pool


@pytest.mark.parametrize("user", USERS)
def test_is_exact_inside_and_the_users_own_again_after(user, fresh_processes):
    (before, _), (after, inside) = fresh_processes.starmap(told_by, [(user, False), (user, True)], chunksize=1)
    assert inside == {**EXACT, "threads": 3}
    assert after == before


def test_puts_all_back_after_an_error():
    before = settings()
    with pytest.raises(RuntimeError, match="of the user's own"), exact(threads=3):
        raise RuntimeError("of the user's own")
    assert settings() == before


def test_may_stand_within_itself():
    before = settings()
    with exact(threads=2):
        with exact():
            assert settings() == {**EXACT, "threads": 2}
        assert settings() == {**EXACT, "threads": 2}
    assert settings() == before


def test_names_the_operation_that_has_no_deterministic_algorithm():
    with pytest.raises(UnsupportedByEngine, match="'put_' has no algorithm that gives the same bits twice"), exact():
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))


def test_is_cheap_to_import():
    """torch.use_deterministic_algorithms loads the compiler, which takes seconds."""
    program = (
        "import sys; from lenette.arithmetic import exact\nwith exact(): sys.exit('torch._inductor' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
