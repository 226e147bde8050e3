"""The schedules against torch's own schedulers, stepped after each batch, or each epoch where torch counts those."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from lenette.recipes import Recipe
from lenette.schedules import SCHEDULES

LR = 0.3
epochs = st.integers(1, 12)
steps_per_epoch = st.integers(1, 9)
shares = st.floats(0, 1)


def ours(per_epoch, **fields):
    recipe = Recipe(model="lenet5", lr=LR, **fields)
    multiplier = SCHEDULES[recipe.schedule]
    return [LR * multiplier(recipe, step, per_epoch) for step in range(recipe.epochs * per_epoch)]


def torchs(scheduler_of, num_steps, every=1):
    """Return the learning rate of each step under a scheduler of torch that is stepped after each `every` steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = scheduler_of(optimizer)
    rates = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The epoch parameter in")
        for step in range(num_steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if (step + 1) % every == 0 and step + 1 < num_steps:
                scheduler.step()
    return pytest.approx(rates, rel=1e-9, abs=1e-12)


@given(epochs, steps_per_epoch)
def test_constant(n, per_epoch):
    assert ours(per_epoch, schedule="constant", epochs=n) == [LR] * (n * per_epoch)


@given(epochs, steps_per_epoch, st.integers(1, 15), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_step_is_torchs(n, per_epoch, step_epochs, gamma):
    rates = ours(per_epoch, schedule="step", epochs=n, step_epochs=step_epochs, gamma=gamma)
    assert rates == torchs(lambda o: lr_scheduler.StepLR(o, step_epochs, gamma), n * per_epoch, every=per_epoch)


@given(epochs, steps_per_epoch, st.sets(st.integers(1, 12), min_size=1), st.sampled_from([0.0, 0.1, 0.5]))
def test_multistep_is_torchs(n, per_epoch, milestones, gamma):
    milestones = sorted(milestones)
    rates = ours(per_epoch, schedule="multistep", epochs=n, milestones=milestones, gamma=gamma)
    assert rates == torchs(lambda o: lr_scheduler.MultiStepLR(o, milestones, gamma), n * per_epoch, every=per_epoch)


@given(epochs, steps_per_epoch, st.floats(0, 0.9))
def test_cosine_is_torchs_stepped_each_batch(n, per_epoch, end):
    total = n * per_epoch
    rates = ours(per_epoch, schedule="cosine", epochs=n, end_factor=end)
    assert rates == torchs(lambda o: lr_scheduler.CosineAnnealingLR(o, total, eta_min=LR * end), total)


@given(epochs, steps_per_epoch, st.floats(0.01, 1), shares)
def test_linear_is_torchs_stepped_each_batch(n, per_epoch, start, end):
    total = n * per_epoch
    rates = ours(per_epoch, schedule="linear", epochs=n, start_factor=start, end_factor=end)
    assert rates == torchs(lambda o: lr_scheduler.LinearLR(o, start, end, total), total)


@given(epochs, st.integers(2, 9), st.floats(0.1, 1), st.sampled_from([2.0, 10.0, 25.0]), st.sampled_from([2.0, 1e4]))
def test_onecycle_is_torchs_where_the_warmup_takes_over_a_step(n, per_epoch, warmup, start, end):
    total = n * per_epoch
    warmup = max(warmup, 1.5 / total)
    rates = ours(
        per_epoch,
        schedule="onecycle",
        epochs=n,
        warmup_fraction=warmup,
        start_factor=1 / start,
        end_factor=1 / start / end,
    )

    def scheduler(optimizer):
        return lr_scheduler.OneCycleLR(
            optimizer,
            LR,
            total_steps=total,
            pct_start=warmup,
            div_factor=start,
            final_div_factor=end,
            cycle_momentum=False,
        )

    assert rates == torchs(scheduler, total)


@given(epochs, steps_per_epoch, shares)
def test_onecycle_rises_then_falls_whatever_the_length(n, per_epoch, warmup):
    rates = ours(per_epoch, schedule="onecycle", epochs=n, warmup_fraction=warmup)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) >= LR * 4e-6
    assert max(rates) <= LR


def test_onecycle_without_warmup_starts_at_the_top():
    rates = ours(10, schedule="onecycle", epochs=2, warmup_fraction=0)
    assert rates[0] == LR
    assert rates[-1] == pytest.approx(LR * 4e-6)


@given(epochs, steps_per_epoch, st.integers(1, 4), st.integers(1, 3), st.floats(0, 0.9))
def test_sgdr_is_torchs_stepped_each_batch(n, per_epoch, restart, factor, end):
    rates = ours(per_epoch, schedule="sgdr", epochs=n, restart_epochs=restart, restart_factor=factor, end_factor=end)

    def scheduler(optimizer):
        return lr_scheduler.CosineAnnealingWarmRestarts(optimizer, restart * per_epoch, factor, eta_min=LR * end)

    assert rates == torchs(scheduler, n * per_epoch)


def test_every_schedule_is_a_choice_of_the_recipe():
    choices = Recipe.__dataclass_fields__["schedule"].metadata["choices"]
    assert set(SCHEDULES) == set(choices)
