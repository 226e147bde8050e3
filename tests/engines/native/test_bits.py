"""The bits of the kernels: a test that forces ARITHMETIC_VERSION up when they change.

Each digest in bits.json is of one compiler and one fixed target, so that it hangs on the headers and the generated C++
alone. `python -m tests.engines.native.test_bits` writes those of a new version, or of another compiler.
"""

import hashlib
import json
import platform
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lenette.data import Dataset
from lenette.engines.native import ARITHMETIC_VERSION, Engine, compiler, stages
from lenette.engines.native.engine import OPTIMIZERS
from lenette.plan import Plan, stream
from lenette.recipes import Recipe

GOLDEN = Path(__file__).parent / "bits.json"
COMMAND = "python -m tests.engines.native.test_bits"
# The levels of the x86-64 psABI that differ for the headers: vectors of 32 and of 64 bytes; and what each needs.
TARGETS = {
    "x86-64-v3": {"avx2", "fma", "bmi2"},
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
}
NUM_IMAGES, SIZE = 620, 14


def mixed():
    return nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Dropout(0.1), nn.MaxPool2d(2), nn.Conv2d(6, 12, 3, padding=4, dilation=2, groups=6), nn.Sigmoid(),
        nn.MaxPool2d(3, 1), nn.Conv2d(12, 7, 1), nn.ReLU(), nn.BatchNorm2d(7, affine=False), nn.AvgPool2d(2),
        nn.Dropout(0.3), nn.Flatten(), nn.Linear(28, 5),
    )  # fmt: skip


def global_pool():
    return nn.Sequential(
        nn.Conv2d(1, 5, (3, 2), padding=1), nn.Sigmoid(), nn.AvgPool2d(3, 2), nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4),
        nn.MaxPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5, bias=False),
    )  # fmt: skip


def perceptron():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(196, 33), nn.BatchNorm1d(33), nn.ReLU(), nn.Dropout(0.2), nn.Linear(33, 5)
    )


def wide():
    return nn.Sequential(
        nn.Conv2d(1, 17, (4, 2)), nn.ReLU(), nn.Conv2d(17, 26, 3, padding=(2, 1)), nn.BatchNorm2d(26), nn.ReLU(),
        nn.Conv2d(26, 16, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.Conv2d(16, 33, 3, padding=2), nn.Sigmoid(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(33, 5),
    )  # fmt: skip


class Graph(nn.Module):
    """Every other operation: shortcuts, gates, concatenation, layers used twice, padding and pooling of every kind."""

    def __init__(self):
        super().__init__()
        self.stem, self.again = (
            nn.Conv2d(1, 6, (3, 4), padding=(3, 4), dilation=(1, 2)),
            nn.Conv2d(6, 6, 3, padding=(1, 3), stride=(1, 2)),
        )
        self.norm, self.groups, self.layer = (
            nn.BatchNorm2d(6, momentum=None),
            nn.GroupNorm(2, 6),
            nn.LayerNorm((12, 7, 4)),
        )
        self.slope, self.each, self.drop = nn.PReLU(), nn.PReLU(12), nn.Dropout2d(0.2)
        self.gate, self.last = nn.Linear(6, 6), nn.Linear(12 * 6, 5)

    def forward(self, x):
        x = F.relu6(self.slope(self.norm(self.stem(x))))
        y = F.max_pool2d(F.silu(self.again(x)), 3, stride=(2, 1), padding=1)
        x = F.avg_pool2d(F.leaky_relu(self.again(x), 0.1), (3, 2), stride=(2, 1), padding=1, ceil_mode=True)
        x = F.adaptive_avg_pool2d(F.elu(self.groups(x)), (7, 4)) + F.gelu(F.adaptive_avg_pool2d(y, (7, 4)))
        y = (
            F.hardswish(x)
            * torch.softmax(x, 1)
            * torch.sigmoid(self.gate(F.softplus(x.mean((2, 3))))).view(-1, 6, 1, 1)
        )
        x = torch.cat([F.gelu(x, approximate="tanh"), self.drop(y)], 1)
        x = self.each(self.layer(F.dropout(x, 0.1, self.training))) * 0.5 + 0.25
        x = torch.tanh(x) + F.hardsigmoid(x)
        return F.log_softmax(self.last(F.adaptive_avg_pool2d(x, (3, 2)).flatten(1)), 1)


# fmt: off
AUGMENTED = {
    "translation": 2.0, "scale": 0.2, "brightness": 0.3, "contrast": 0.4, "erase_size": 4, "erase_probability": 0.7,
}
# fmt: on
SGD = {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "ema_decay": 0.9}
ADAM = {"momentum": None, "beta1": 0.8, "beta2": 0.95, "eps": 1e-6, "weight_decay": 0.02}
# Several blocks a chunk and a short last batch; a batch larger than there are images; blocks that are not full.
CASES = {
    "mixed": (mixed, 3, {**SGD, **AUGMENTED, "batch_size": 300, "label_smoothing": 0.1, "lr": 0.125}),
    "global pool": (global_pool, 1, {**ADAM, "batch_size": 5000, "optimizer": "adam", "lr": 0.0625}),
    "graph": (Graph, 1, {**SGD, **AUGMENTED, "batch_size": 300, "lr": 0.03125}),
    "wide": (wide, 1, {**SGD, "batch_size": 300, "lr": 0.0625}),
    "perceptron": (perceptron, 1, {**ADAM, "batch_size": 100, "optimizer": "adamw", "lr": 0.0625}),
}


def raw(*name, count):
    """Return float32 [count] in [-1, 1), made of raw words: other draws of torch or NumPy may change with a version."""
    words = stream(0, "bits", *name).random_raw(count)
    return torch.from_numpy(
        ((words >> np.uint64(40)).astype(np.int64) - 2**23).astype(np.float32) * np.float32(2.0**-23)
    )


def images_of(channels):
    pixels = stream(0, "bits", "pixels").random_raw(NUM_IMAGES * channels * SIZE**2).astype(np.uint8)
    labels = stream(0, "bits", "labels").random_raw(NUM_IMAGES).astype(np.int64) & 3
    images = torch.from_numpy(pixels.reshape(NUM_IMAGES, channels, SIZE, SIZE))
    prepared = ((0.5, 0.25, 0.375)[:channels], (0.25, 0.5, 0.375)[:channels])
    made = Dataset("noise", "train", images, torch.from_numpy(labels), tuple("01234"), *prepared)
    made.__dict__["grounds"] = torch.zeros(images.shape[:2], dtype=torch.uint8)  # black, as MNIST's
    return made


def trained(case, threads):
    """Return an engine after six steps on made-up weights, images and maps, their losses, and how many were right."""
    network, channels, fields = CASES[case]
    recipe = Recipe(model="own", epochs=6, schedule="constant", **fields)
    plan = Plan(recipe, 3, NUM_IMAGES, (SIZE, SIZE))
    if plan.warps(0) is not None:  # those of the plan hang on NumPy's sine
        maps = 0.25 * raw("warps", count=NUM_IMAGES * 6).reshape(-1, 2, 3) + torch.eye(2, 3)
        plan.warps = lambda epoch: maps
    model = network()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(raw(name, count=parameter.numel()).reshape(parameter.shape) / 2)
    engine = Engine(model, plan, images_of(channels), threads=threads)
    return engine, *engine.advance(6)


def digest(case, threads=1):
    """Return the digest of the losses, the engine's whole state, and the logits after the last step."""
    engine, losses, num_right = trained(case, threads)
    assert losses.isfinite().all()
    found = {**engine.state(), "losses": losses, "right": num_right, "logits": engine.logits(engine.images)}
    result = hashlib.sha256()
    for name in sorted(found):
        result.update(name.encode() + found[name].numpy().tobytes())
    return result.hexdigest()


def compiler_name():
    """Return the version of the compiler, by whichever name it is called."""
    return re.sub(r"^[cg]\+\+ ", "GCC ", compiler.version(tuple(compiler.find())))


def version(case):
    """Return the versions of the arithmetic that the case takes, in words."""
    network, channels, _ = CASES[case]
    algorithms = stages.read(network(), (channels, SIZE, SIZE)).algorithms
    return " ".join([str(ARITHMETIC_VERSION), *(f"{name} {number}" for name, number in algorithms.items())])


def golden():
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def can_run(target):
    return platform.machine() in ("x86_64", "AMD64") and set(compiler.processor().split()) >= TARGETS[target]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", CASES)
def test_the_bits_are_those_of_this_version(case, target, monkeypatch):
    if not can_run(target):
        pytest.skip(f"the processor is no {target}")
    monkeypatch.setattr(compiler, "machine", lambda: f"-march={target}")
    found = digest(case)
    assert found == digest(case) == digest(case, threads=2)
    name = compiler_name()
    held = {version: known[name][target] for version, known in golden().items() if target in known.get(name, {})}
    if not held:
        pytest.skip(f"bits.json holds none of {name} for {target}: {COMMAND} adds them")
    assert found == held.get(version(case), {}).get(case), (
        f"the bits of the native engine changed ({case}, {target}). If that is meant, raise ARITHMETIC_VERSION in "
        f"engines/native/engine.py (if 'wide' alone changed: WINOGRAD_VERSION in stages.py), so that no run is taken "
        f"for another, and run: {COMMAND}"
    )


def test_the_cases_meet_every_kind_and_optimiser():
    readings = [stages.read(network(), (channels, SIZE, SIZE)) for network, channels, _ in CASES.values()]
    met = {node.kind for reading in readings for stage in reading.stages for node in stage.nodes}
    assert met | {"input", "reshape"} == set(stages.KNOWN)
    assert [reading.algorithms for reading in readings].count({"winograd": 1}) == 1
    assert {stage.kind for reading in readings for stage in reading.stages} >= {"copy", "pad"}
    assert {fields["optimizer"] for *_, fields in CASES.values()} == set(OPTIMIZERS)


def write():
    """Write these versions' digests; those that stand there may only be joined by others, not changed."""
    held = golden() if GOLDEN.exists() else {}
    for target in filter(can_run, TARGETS):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiler, "machine", lambda target=target: f"-march={target}")
            found = {case: digest(case) for case in CASES}
        for case in CASES:
            mine = held.setdefault(version(case), {}).setdefault(compiler_name(), {}).setdefault(target, {})
            if mine.setdefault(case, found[case]) != found[case]:
                raise SystemExit(f"{case}, {target}: version {version(case)} has other bits: raise the version first")
    GOLDEN.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
