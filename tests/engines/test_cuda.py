"""The reference engine on CUDA against itself on the CPU: near numbers, the same bits twice, and its pace."""

import time

import pytest
import torch
from torch import nn
from torch.backends import cuda, cudnn

from lenette import data, engines
from lenette.arithmetic import exact
from lenette.engines.reference import Engine
from lenette.errors import UnsupportedByEngine
from lenette.inference import logits
from lenette.models import MODELS, build
from lenette.plan import Plan
from lenette.recipes import Recipe
from tests.engines.test_reference import OPTIMIZERS, OwnDropouts, same

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")

# Two orders of summation in float32; TF32 alone, with its 10 bits, is a thousand times as far off.
CLOSE = {"rtol": 2e-4, "atol": 2e-5}
AUGMENTED = {"rotation": 9.0, "scale": 0.1, "brightness": 0.2, "contrast": 0.2, "erase_size": 5}
CASES = {
    **{name: ("ladder_7k", fields) for name, fields in OPTIMIZERS.items()},
    **{name: (name, {}) for name in MODELS},
    "augmented": ("lenet5", AUGMENTED),
    "ema": ("ladder_15k", {"ema_decay": 0.9}),
    "label smoothing": ("lenet5", {"label_smoothing": 0.1, "schedule": "onecycle"}),
}
every_case = pytest.mark.parametrize(("model", "fields"), CASES.values(), ids=CASES)


@pytest.fixture(scope="module")
def digits():
    return data.load("optdigits").subset(torch.arange(120), "train")


@pytest.fixture(autouse=True)
def a_user_who_allows_tf32():
    """What a process may have set before: the engine's figures must not hang on it."""
    before = cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = True, True, True
    yield
    assert (cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark) == (True, True, True)
    cuda.matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


def make(digits, model, device, **fields):
    recipe = Recipe(**{"model": "lenet5", "epochs": 2, "batch_size": 48, "lr": 0.01, "schedule": "cosine", **fields})
    plan = Plan(recipe, 0, len(digits))
    network = plan.initial(model if callable(model) else lambda: build(model))
    return Engine(network, plan, digits, device=device, threads=1)


def test_auto_takes_it(digits):
    choice = engines.choose("auto", "auto", 1, build("lenet5"), Recipe(model="lenet5"), digits)
    assert (choice.name, choice.device) == ("reference", "cuda")
    assert choice.build.items() >= {"device": torch.cuda.get_device_name(), "cuda": torch.version.cuda}.items()
    assert {"cudnn", "cuda_capability"} <= choice.build.keys()


@every_case
def test_is_the_cpus_arithmetic_over_the_first_steps(model, fields, digits):
    here, there = (make(digits, model, device, **fields) for device in ("cpu", DEVICE))
    assert torch.allclose(here.batch()[0], there.batch()[0].cpu(), atol=1e-5)
    losses, expected = there.advance(3)[0], here.advance(3)[0]
    assert torch.allclose(losses, expected, **CLOSE)
    for key, value in there.weights().items():
        assert torch.allclose(value.double(), here.weights()[key].double(), rtol=1e-2, atol=1e-4), key
    assert torch.allclose(there.logits(digits.images), here.logits(digits.images), rtol=1e-2, atol=1e-2)


@every_case
def test_gives_the_same_bits_twice_and_after_every_stop(model, fields, digits):
    whole, again = (make(digits, model, DEVICE, **fields) for _ in range(2))
    states = [whole.state()]
    for step in range(whole.plan.num_steps):
        torch.manual_seed(step)  # whatever else the process draws
        whole.advance(step + 1)
        states.append(whole.state())
    again.advance(whole.plan.num_steps)
    assert same(again.state(), states[-1])
    assert torch.equal(again.logits(digits.images), whole.logits(digits.images))
    for step in (1, 2, 5):
        fresh = make(digits, model, DEVICE, **fields)
        fresh.load_state(states[step], step)
        fresh.advance(whole.plan.num_steps)
        assert same(fresh.state(), states[-1])


def test_a_network_that_draws_by_itself_gives_the_same_bits_twice(digits):
    first, second = (make(digits, OwnDropouts, DEVICE, ema_decay=0.9) for _ in range(2))
    first.advance(6)
    torch.cuda.manual_seed(7)
    second.advance(3)
    second.advance(6)
    assert same(first.state(), second.state())


def test_bfloat16_is_near_float32(digits):
    full, half = (make(digits, "ladder_7k", DEVICE, precision=name).advance(4)[0] for name in ("float32", "bfloat16"))
    assert torch.allclose(full, half, rtol=0.05)
    assert not torch.equal(full, half)


@pytest.mark.parametrize("layer", [nn.Conv2d(64, 64, 3), nn.Linear(64, 64)])
def test_float32_is_float32(layer):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 64, 16, 16, generator=generator) if isinstance(layer, nn.Conv2d) else torch.randn(512, 64)
    with torch.inference_mode():
        truth = layer.double()(x.double())
        with exact():
            found = layer.float().to(DEVICE)(x.to(DEVICE)).cpu().double()
    assert (found - truth).abs().max() / truth.abs().max() < 1e-5  # TF32: 3e-4 and more


def test_evaluation_is_the_cpus(digits):
    model = build("ladder_7k")
    here = logits(model, digits.images, digits.mean, digits.std)
    there = logits(model.to(DEVICE), digits.images, digits.mean, digits.std, DEVICE)
    assert there.device.type == "cpu"
    assert torch.allclose(here, there, atol=1e-4)


def test_refuses_by_name_what_has_no_deterministic_algorithm(digits):
    def pools():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(36, 10))

    with pytest.raises(UnsupportedByEngine, match=r"adaptive_avg_pool2d_backward.* has no algorithm .*--device cpu"):
        make(digits, pools, DEVICE).advance(1)


@pytest.mark.parametrize("model", ["ladder_7k", "four_conv_593k"])
def test_benchmark(model, digits, capsys):
    engine = make(digits, model, DEVICE, batch_size=60, epochs=100)
    engine.advance(20)
    torch.cuda.synchronize()
    start = time.perf_counter()
    losses, _ = engine.advance(120)
    torch.cuda.synchronize()
    pace = len(losses) / (time.perf_counter() - start)
    with capsys.disabled():
        print(f"\n{model} on {torch.cuda.get_device_name()}: {pace:,.0f} steps a second of 60 images")
    assert engine.step == 120
    assert losses.isfinite().all()
