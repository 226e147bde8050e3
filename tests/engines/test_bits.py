"""The bits of the reference engine's loop: a test that forces its VERSION up when they change.

Each digest in bits.json is of one torch and one set of vector instructions, of which DEFAULT is every machine's.
`python -m tests.engines.test_bits` writes those of a new version, or of another torch.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lenette import augment, plan
from lenette.data import Dataset
from lenette.engines.reference import VERSION, Engine
from lenette.plan import Plan, stream
from lenette.recipes import Recipe

GOLDEN = Path(__file__).parent / "bits.json"
COMMAND = "python -m tests.engines.test_bits"
CAPABILITIES = ("DEFAULT", "AVX2", "AVX512")
NUM_IMAGES, BATCH_SIZE, SIZE = 100, 48, 14  # two full batches and a short one

# fmt: off
AUGMENTED = {
    "rotation": 9.0, "scale": 0.2, "brightness": 0.3, "contrast": 0.4, "erase_size": 4, "erase_probability": 0.7,
}
# fmt: on
ADAM = {"momentum": None, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.02}
CASES = {
    "sgd": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "ema_decay": 0.9, "label_smoothing": 0.1},
    "adam": {"optimizer": "adam", **ADAM, **AUGMENTED},
    "adamw": {"optimizer": "adamw", **ADAM},
}


class Templates(nn.Module):
    """A linear network in torch's own sums: those of MKL and oneDNN hang on the maker of the processor too."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.dropout = nn.Dropout(0.25)
        self.weight = nn.Parameter(raw("weight", count=5 * 2 * SIZE**2).reshape(5, -1) / 4)
        self.bias = nn.Parameter(raw("bias", count=5))

    def forward(self, x):
        x = self.dropout(self.norm(x)).flatten(1)
        return (x[:, None] * self.weight).sum(2) + self.bias


def raw(*name, count):
    """Return float32 [count] in [-1, 1), made of raw words: other draws of torch or NumPy may change with a version."""
    words = stream(0, "bits", *name).random_raw(count)
    return torch.from_numpy(
        ((words >> np.uint64(40)).astype(np.int64) - 2**23).astype(np.float32) * np.float32(2.0**-23)
    )


def made_up_images():
    pixels = stream(0, "bits", "pixels").random_raw(NUM_IMAGES * 2 * SIZE**2).astype(np.uint8)
    labels = stream(0, "bits", "labels").random_raw(NUM_IMAGES).astype(np.int64) & 3
    images = torch.from_numpy(pixels.reshape(NUM_IMAGES, 2, SIZE, SIZE))
    made = Dataset("noise", "train", images, torch.from_numpy(labels), tuple("01234"), (0.3, 0.6), (0.2, 0.45))
    made.__dict__["grounds"] = torch.zeros(NUM_IMAGES, 2, dtype=torch.uint8)  # black, as MNIST's
    return made


def digest(case):
    """Return the digest of the losses, the engine's whole state, and the logits after six steps."""
    recipe = Recipe(model="own", batch_size=BATCH_SIZE, epochs=2, schedule="constant", lr=0.0625, **CASES[case])
    images = made_up_images()
    ours = Plan(recipe, 3, NUM_IMAGES, (SIZE, SIZE))
    if ours.warps(0) is not None:  # those of the plan hang on NumPy's sine
        maps = 0.25 * raw("warps", count=NUM_IMAGES * 6).reshape(-1, 2, 3) + torch.eye(2, 3)
        ours.warps = lambda epoch: maps
    engine = Engine(ours.initial(Templates), ours, images, threads=1)
    losses, num_right = engine.advance(6)
    assert losses.isfinite().all()
    found = {**engine.state(), "losses": losses, "right": num_right, "logits": engine.logits(images.images)}
    result = hashlib.sha256()
    for name in sorted(found):
        result.update(name.encode() + found[name].numpy().tobytes())
    return result.hexdigest()


def versions():
    """Return the versions of the code on which the bits hang; the others than the loop's have tests of their own."""
    return f"loop {VERSION}, plan {plan.VERSION}, augment {augment.VERSION}"


def build():
    """Return the name of the build of torch whose bits these are."""
    return f"torch {torch.__version__}, {platform.system()} {platform.machine()}"


@cache
def digests(capability):
    """Return every case's digest with these vector instructions, in a process of their own; None where it has none."""
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability.lower()}
    command = [sys.executable, "-m", "tests.engines.test_bits", "here"]
    root = Path(__file__).parents[2]
    told = subprocess.run(command, env=environment, cwd=root, check=True, capture_output=True, text=True).stdout
    found = json.loads(told)
    return found["digests"] if found["capability"] == capability else None


def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_bits_are_those_of_this_version(capability):
    held = {name: known[build()] for name, known in golden().items() if capability in known.get(build(), {})}
    if not held:
        pytest.skip(f"bits.json holds none of {build()} with {capability}: {COMMAND} adds them")
    found = digests(capability)
    if found is None:
        pytest.skip(f"the processor has no {capability}")
    assert found == held.get(versions(), {}).get(capability), (
        "the bits of the reference engine changed. If that is meant, raise VERSION in engines/reference.py, "
        f"so that no run is taken for another, and run: {COMMAND}"
    )


def write():
    """Write this version's digests; those that stand there may only be joined by others, not changed."""
    held = golden() if GOLDEN.exists() else {}
    mine = held.setdefault(versions(), {}).setdefault(build(), {})
    for capability in CAPABILITIES:
        found = digests(capability)
        if found is not None and mine.setdefault(capability, found) != found:
            raise SystemExit(f"{capability}: {versions()} had other bits: raise VERSION first")
    GOLDEN.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["here"]:
        here = {case: digest(case) for case in CASES}
        print(json.dumps({"capability": torch.backends.cpu.get_cpu_capability(), "digests": here}))
    else:
        write()
