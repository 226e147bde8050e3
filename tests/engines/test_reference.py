"""The reference engine against a plain loop written by hand, and against itself stopped and continued."""

import copy
import json
import platform

import pytest
import torch
from torch import nn
from torch.nn import functional

from lenette import augment, data
from lenette.engines.reference import VERSION, Engine, PlannedDropout
from lenette.errors import UnsupportedByEngine
from lenette.models import build
from lenette.plan import Plan
from lenette.recipes import Recipe
from tests.test_arithmetic import EXACT, settings

BATCH = 48
OPTIMIZERS = {
    "sgd": {"momentum": 0.0},
    "momentum": {"momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.001},
    "adam": {"optimizer": "adam", "lr": 0.002, "beta1": 0.8, "beta2": 0.99, "weight_decay": 0.01},
    "adamw": {"optimizer": "adamw", "lr": 0.002, "eps": 1e-6, "weight_decay": 0.1},
}
every_optimizer = pytest.mark.parametrize("fields", OPTIMIZERS.values(), ids=OPTIMIZERS)


@pytest.fixture(scope="module")
def digits():
    """120 images: two full batches and a short one of 24."""
    return data.load("optdigits").subset(torch.arange(120), "train")


@pytest.fixture(autouse=True)
def one_thread():
    """The plain loop computes with as many threads as the engine is given."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(digits, model="lenet5", seed=0, threads=1, **fields):
    """Return an engine for a shipped network's name or for a function that makes one."""
    recipe = Recipe(**{"model": "lenet5", "epochs": 2, "batch_size": BATCH, "schedule": "cosine", **fields})
    plan = Plan(recipe, seed, len(digits))
    return Engine(plan.initial(model if callable(model) else lambda: build(model)), plan, digits, threads=threads)


def plain_optimizer(parameters, recipe):
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, recipe.lr, (recipe.beta1, recipe.beta2), recipe.eps, recipe.weight_decay)


def plain_loop(engine, digits, steps):
    """Train a copy of the engine's fresh network as a tutorial would; return it, the losses and the right answers."""
    plan, recipe, model = engine.plan, engine.plan.recipe, copy.deepcopy(engine.model)
    optimizer = plain_optimizer(model.parameters(), recipe)
    rates = plan.rates()
    losses, num_right = [], []
    model.train()
    for step in range(steps):
        epoch, batch = divmod(step, plan.steps_per_epoch)
        rows = plan.order(epoch)[batch * BATCH : (batch + 1) * BATCH]
        images = (digits.images[rows].float() / 255 - digits.mean[0]) / digits.std[0]
        for group in optimizer.param_groups:
            group["lr"] = rates[step].item()
        optimizer.zero_grad()
        logits = model(images)
        loss = functional.cross_entropy(logits, digits.labels[rows], label_smoothing=recipe.label_smoothing)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        num_right.append((logits.argmax(1) == digits.labels[rows]).sum().item())
    return model, losses, num_right


def same(first, second):
    """Say whether two states hold the same bits."""
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@every_optimizer
def test_is_a_plain_loop_bit_for_bit(fields, digits):
    engine = make(digits, **fields)
    model, losses, num_right = plain_loop(engine, digits, 6)
    found_losses, found_right = engine.advance(6)
    assert same(engine.weights(), model.state_dict())
    assert (found_losses.dtype, found_right.dtype) == (torch.float64, torch.int64)
    assert found_losses.tolist() == losses
    assert found_right.tolist() == num_right


@pytest.mark.parametrize("fields", [{"label_smoothing": 0.1}, {"schedule": "onecycle"}])
def test_label_smoothing_and_schedules_are_a_plain_loops(fields, digits):
    engine = make(digits, **fields)
    model, losses, _ = plain_loop(engine, digits, 6)
    assert engine.advance(6)[0].tolist() == losses
    assert same(engine.weights(), model.state_dict())


def test_batch_norm_follows_the_short_last_batch(digits):
    engine = make(digits, "ladder_15k")  # batch-norm and no dropout
    model, losses, _ = plain_loop(engine, digits, 3)
    assert engine.advance(3)[0].tolist() == losses
    assert same(engine.weights(), model.state_dict())
    engine.step = 2
    assert [len(part) for part in engine.batch()] == [24, 24]


def test_every_image_is_seen_once_an_epoch(digits):
    engine = make(digits)
    seen = []
    for engine.step in range(3):
        seen.append(engine.batch()[0])
    pixels = torch.cat(seen)[torch.argsort(engine.plan.order(0))]
    assert torch.equal(pixels, (digits.images.float() / 255 - digits.mean[0]) / digits.std[0])


def test_a_batch_is_warped_then_jittered_then_erased_then_normalised(digits):
    fields = {"rotation": 20.0, "translation": 2.0, "brightness": 0.3, "contrast": 0.3, "erase_size": 8}
    engine = make(digits, **fields)
    engine.step = 4  # the second batch of the second epoch
    images, labels = engine.batch()
    plan, rows = engine.plan, slice(BATCH, 2 * BATCH)
    index = plan.order(1)[rows]
    expected = augment.warp(digits.images[index].float() / 255, plan.warps(1)[rows])
    expected = augment.jitter(expected, plan.jitters(1)[rows])
    expected = augment.erase(expected, plan.erasures(1)[rows])
    assert torch.equal(images, (expected - digits.mean[0]) / digits.std[0])
    assert torch.equal(labels, digits.labels[index])


def test_colours_are_normalised_each_by_its_own(digits):
    coloured = data.Dataset(
        "own", "train", digits.images.repeat(1, 2, 1, 1), digits.labels, digits.classes, (0.1, 0.5), (0.2, 0.25)
    )
    engine = make(coloured, lambda: build("lenet5", in_channels=2))
    images, _ = engine.batch()
    assert torch.allclose(images[:, 0] * 0.2 + 0.1, images[:, 1] * 0.25 + 0.5, atol=1e-6)


def test_dropout_multiplies_with_the_plans_masks(digits):
    rates = [0.3, 0.5]

    def network():
        return nn.Sequential(nn.Flatten(), nn.Dropout(rates[0]), nn.Linear(784, 10), nn.Dropout(rates[1]))

    engine = make(digits, network, momentum=0.0)
    weight, bias = (value.clone() for value in engine.weights().values())
    images, labels = engine.batch()
    masks = [
        engine.plan.mask(0, layer, torch.Size(shape), rates[layer]) for layer, shape in enumerate([[48, 784], [48, 10]])
    ]
    logits = functional.linear(images.flatten(1) * masks[0], weight, bias) * masks[1]
    assert engine.advance(1)[0].item() == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-6)


def test_the_moving_average_of_the_weights(digits):
    engine = make(digits, "ladder_15k", ema_decay=0.5)
    expected = {key: value.double() for key, value in engine.model.state_dict().items()}
    for step in range(5):
        engine.advance(step + 1)
        decay = engine.plan.ema_decays()[step].item()
        for key, value in engine.model.state_dict().items():
            whole = not value.is_floating_point()
            expected[key] = value.double() if whole else decay * expected[key] + (1 - decay) * value.double()
    for key, value in engine.weights().items():
        assert torch.allclose(value.double(), expected[key], rtol=1e-4, atol=1e-6), key
    assert not same(engine.weights(), engine.model.state_dict())
    model = build("ladder_15k")
    model.load_state_dict(engine.weights())
    images = (digits.images.float() / 255 - digits.mean[0]) / digits.std[0]
    assert torch.allclose(engine.logits(digits.images), model.eval()(images), atol=1e-5)


class Tied(nn.Module):
    """One linear layer under two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(784, 10)
        self.second = self.first

    def forward(self, x):
        return self.first(x.flatten(1)) + self.second(x.flatten(1))


def test_a_shared_layer_is_averaged_once(digits):
    engine = make(digits, Tied, ema_decay=0.5)
    start = engine.weights()["first.weight"].clone()
    engine.advance(1)
    now = engine.model.state_dict()["first.weight"]
    assert torch.allclose(engine.weights()["first.weight"], 0.1 * start + 0.9 * now, atol=1e-6)


def test_frozen_parameters_stay(digits):
    def network():
        model = build("lenet5")
        model[0].weight.requires_grad_(False)
        return model

    engine = make(digits, network, weight_decay=0.1)
    before = engine.weights()
    engine.advance(2)
    changed = [key for key, value in engine.weights().items() if not torch.equal(value, before[key])]
    assert changed == [key for key in before if key != "conv1.weight"]


@pytest.mark.parametrize("model", ["lenet5", "ladder_7k"])
def test_bfloat16_trains_and_is_near_float32(model, digits):
    engines = [make(digits, model, precision=precision) for precision in ("float32", "bfloat16")]
    full, half = (engine.advance(4)[0] for engine in engines)
    assert torch.isfinite(half).all()
    assert not torch.equal(full, half)
    assert torch.allclose(full, half, rtol=0.05)
    assert all(value.dtype != torch.bfloat16 for value in engines[1].weights().values())


def test_advance_in_any_pieces_is_the_same(digits):
    whole, pieces = make(digits, "ladder_7k"), make(digits, "ladder_7k")
    losses, num_right = whole.advance(6)
    parts = [pieces.advance(stop) for stop in (1, 1, 4, 6)]
    assert torch.equal(torch.cat([part[0] for part in parts]), losses)
    assert torch.equal(torch.cat([part[1] for part in parts]), num_right)
    assert same(whole.state(), pieces.state())
    assert pieces.step == 6


class OwnDropouts(nn.Module):
    """A user's own network that draws by itself in every way, and uses one dropout layer twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=3)
        self.maps = nn.Dropout2d(0.2)
        self.drop = nn.Dropout(0.1)
        self.again = self.drop
        self.linear = nn.Linear(256, 10)

    def forward(self, x):
        x = self.again(self.drop(self.maps(self.conv(x)))).flatten(1)
        if self.training:
            x = functional.dropout(x, 0.1) + 0.01 * torch.randn_like(x)
        return self.linear(self.drop(x))


class Hooked(nn.Sequential):
    """Torch's own layers alone, until one is given a hook that draws."""

    def __new__(cls):
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        model[0].register_forward_hook(lambda layer, arguments, x: x + torch.randn_like(x) if layer.training else x)
        return model


class Attention(nn.Module):
    """Torch's attention draws its dropout without a dropout layer."""

    def __new__(cls):
        return nn.Sequential(nn.Flatten(2), nn.LSTM(784, 8, num_layers=2, dropout=0.5), Last(), nn.Linear(8, 10))


class Last(nn.Identity):
    __module__ = "torch.nn.modules.linear"

    def forward(self, x):
        return x[0][:, -1]


RESUMED = {
    **{name: ("ladder_7k", fields) for name, fields in OPTIMIZERS.items()},
    "ema": ("ladder_7k", {"ema_decay": 0.9}),
    "augmented": ("lenet5", {"rotation": 9.0, "brightness": 0.2, "erase_size": 5}),
    "bfloat16": ("ladder_7k", {"precision": "bfloat16"}),
    "draws by itself": (OwnDropouts, {"ema_decay": 0.9}),
    "draws in a hook": (Hooked, {}),
    "draws in an LSTM": (Attention, {}),
    "tied": (Tied, {"ema_decay": 0.9}),
}


@pytest.mark.parametrize(("model", "fields"), RESUMED.values(), ids=RESUMED)
def test_continues_from_every_step(model, fields, digits):
    whole = make(digits, model, **fields)
    states, losses, num_right = [whole.state()], [], []
    for step in range(whole.plan.num_steps):
        torch.manual_seed(step)  # whatever else the process draws
        loss, right = whole.advance(step + 1)
        states.append(whole.state())
        losses += loss.tolist()
        num_right += right.tolist()
    for step, state in enumerate(states[:-1]):
        fresh = make(digits, model, **fields)
        fresh.load_state(state, step)
        rest_losses, rest_right = fresh.advance(whole.plan.num_steps)
        assert rest_losses.tolist() == losses[step:]
        assert rest_right.tolist() == num_right[step:]
        assert same(fresh.state(), states[-1])
        assert same(fresh.weights(), whole.weights())


@every_optimizer
def test_goes_back_to_the_start(fields, digits):
    engine = make(digits, **fields)
    start = engine.state()
    losses, _ = engine.advance(3)
    engine.load_state(start, 0)
    assert same(engine.state(), start)
    assert torch.equal(engine.advance(3)[0], losses)


def test_a_state_is_a_copy(digits):
    engine = make(digits, **OPTIMIZERS["momentum"])
    engine.advance(1)
    state = engine.state()
    kept = {key: value.clone() for key, value in state.items()}
    engine.advance(3)
    assert same(state, kept)
    assert {key.split(".")[0] for key in state} == {"model", "optimizer"}
    assert "optimizer.conv1.weight.momentum_buffer" in state


def test_every_dropout_is_the_plans_even_where_one_layer_stands_in_two_places(digits):
    def network():
        drop = nn.Dropout(0.5)
        return nn.Sequential(nn.Flatten(), drop, nn.Linear(784, 10), drop)

    engine = make(digits, network)
    assert [type(layer) for layer in engine.model] == [nn.Flatten, PlannedDropout, nn.Linear, PlannedDropout]
    engine.advance(1)
    assert engine.num_masks == 2


def test_leaves_torchs_generator_alone(digits):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    make(digits, OwnDropouts).advance(2)
    assert torch.equal(torch.get_rng_state(), before)


class Noting(nn.Linear):
    """Writes down a number that it draws in each step."""

    def forward(self, x):
        self.drawn = [*getattr(self, "drawn", []), torch.rand(1).item()]
        return super().forward(x.flatten(1))


def test_a_network_that_draws_by_itself_draws_anew_in_each_step_and_for_each_seed(digits):
    engines = [make(digits, lambda: Noting(784, 10), seed=seed) for seed in (0, 0, 1)]
    for engine in engines:
        engine.advance(3)
    first, second, other = (engine.model.drawn for engine in engines)
    assert first == second
    assert len({*first, *other}) == 6


def test_seeds_where_a_layer_may_draw_and_nowhere_else(digits):
    assert make(digits, OwnDropouts).draws_itself
    assert make(digits, lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.RReLU())).draws_itself
    assert not make(digits, "ladder_7k").draws_itself


def test_logits_are_evaluations(digits):
    engine = make(digits, "ladder_7k")
    engine.advance(2)
    before = engine.state()
    first, second = engine.logits(digits.images), engine.logits(digits.images[:7])
    assert first.shape == (120, 10)
    assert first.dtype == torch.float32
    assert torch.allclose(first[:7], second, atol=1e-5)
    assert same(engine.state(), before)


def test_the_build_names_what_decides_the_bits():
    build = Engine.build("cpu", 3)
    assert build == {
        "engine": "reference",
        "loop": VERSION,
        "torch": torch.__version__,
        "device": "cpu",
        "processor": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": 3,
    }


def test_the_build_on_cuda_names_its_libraries_and_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "H100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91200)
    build = Engine.build("cuda", 1)
    assert build.items() >= {"device": "H100", "cuda_capability": "9.0", "cuda": "13.0", "cudnn": "91200"}.items()
    json.dumps(build)


def test_refuses_what_is_not_float32_by_name(digits):
    with pytest.raises(UnsupportedByEngine, match=r"parameter '1\.weight' is float64: .*\.float\(\)"):
        make(digits, lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10).double()))


def test_refuses_bfloat16_where_the_device_knows_none(digits, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: "GTX 1080")
    plan = Plan(Recipe(model="lenet5", epochs=1, precision="bfloat16"), 0, len(digits))
    with pytest.raises(UnsupportedByEngine, match="GTX 1080 knows no bfloat16: use precision = 'float32'"):
        Engine(build("lenet5"), plan, digits, device="cuda")


class Telling(nn.Sequential):
    """Writes down torch's settings at each use."""

    def forward(self, x):
        self.told = settings()
        return super().forward(x)


def test_works_under_exact_settings_and_leaves_the_process_as_it_was(digits):
    engine = make(digits, lambda: Telling(nn.Flatten(), nn.Linear(784, 10)), threads=2)
    before = settings()
    for work in (lambda: engine.advance(1), lambda: engine.logits(digits.images)):
        engine.model.told = None
        work()
        assert engine.model.told == {**EXACT, "threads": 2}
        assert settings() == before


class Scattered(nn.Module):
    """Its backward pass adds to the same places from several threads at once."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(784, 64)
        self.register_buffer("places", torch.arange(3000) * 7919 % 64, persistent=False)

    def forward(self, x):
        x = self.linear(x.flatten(1))
        rows = torch.zeros(len(x), 1, dtype=torch.int64)
        return x[rows, self.places.expand(len(x), -1)].unflatten(1, (10, 300)).sum(2) + x[:, :10]


def test_is_the_same_twice_on_several_threads_where_torch_alone_is_not(digits):
    runs = [make(digits, Scattered, threads=4, lr=1e-4) for _ in range(4)]
    losses = [engine.advance(6)[0].tolist() for engine in runs]
    assert losses == [losses[0]] * 4
    assert all(same(engine.state(), runs[0].state()) for engine in runs)
