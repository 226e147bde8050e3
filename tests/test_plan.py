import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lenette.errors import RecipeError
from lenette.models import build
from lenette.plan import Plan, stream
from lenette.recipes import Recipe

OPERATIONS = {
    "rotation": {"rotation": 10.0},
    "translation": {"translation": 2.0},
    "scale": {"scale": 0.1},
    "shear": {"shear": 0.1},
    "crop_size": {"crop_size": 22},
    "crop_padding": {"crop_padding": 2},
    "brightness": {"brightness": 0.2},
    "contrast": {"contrast": 0.2},
    "erase_size": {"erase_size": 4},
}


def plan(seed=0, num_images=100, **fields):
    return Plan(Recipe(**{"model": "lenet5", "epochs": 2, "batch_size": 32, **fields}), seed, num_images)


def spy(monkeypatch):
    """Record the name of each stream that is drawn from, and its words."""
    drawn = {}

    def noting(seed, *name):
        words = stream(seed, *name)
        drawn[name] = stream(seed, *name).random_raw(8).tolist()
        return words

    monkeypatch.setattr("lenette.plan.stream", noting)
    return drawn


# Every run on anybody's disk rests on these figures. They may never change.


def test_the_streams_stay_what_they_are():
    assert stream(0, "order", 0).random_raw(3).tolist() == [
        0xCBA2C29C7DAAE3C3,
        0xFC77A9B0017524E2,
        0xACB85E0C86A238F7,
    ]


def test_a_stream_is_philox_keyed_by_the_hash_of_its_name():
    digest = hashlib.sha256(b"7/rotation/3").digest()
    key = np.array([int.from_bytes(digest[start : start + 8], "little") for start in (0, 8)], dtype=np.uint64)
    assert np.array_equal(stream(7, "rotation", 3).random_raw(9), np.random.Philox(key=key).random_raw(9))


def test_the_orders_stay_what_they_are():
    assert plan(num_images=60_000).order(0)[:6].tolist() == [19665, 44243, 45316, 53578, 47191, 12632]
    assert plan(num_images=60_000).order(1)[:6].tolist() == [18674, 51222, 50784, 19721, 43290, 55618]


def test_the_masks_stay_what_they_are():
    assert plan().mask_key(3, 1).tolist() == [0x3EC1FA015748790F, 0x6EEC0A1A6400546B]
    kept = plan().mask(3, 1, torch.Size([2, 8]), 0.25) > 0
    assert kept.int().tolist() == [[1, 1, 0, 0, 1, 0, 1, 1], [0, 0, 1, 1, 1, 0, 0, 0]]


def test_the_seeds_of_a_step_and_of_the_weights_stay_what_they_are():
    assert plan().step_seed(7) == 8427192192634791847
    seen = []
    plan().initial(lambda: seen.append(torch.initial_seed()))
    assert seen == [int(stream(0, "initial").random_raw()) >> 1]


@given(st.integers(), st.integers(1, 300), st.integers(0, 5))
def test_the_order_is_a_permutation(seed, num_images, epoch):
    order = plan(seed, num_images).order(epoch)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(num_images))


def test_the_order_changes_from_epoch_to_epoch_and_seed_to_seed():
    orders = {tuple(plan(seed).order(epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_recipes_of_one_seed_are_paired():
    first, second = plan(), plan(lr=0.5, batch_size=7, optimizer="adam", rotation=5.0, epochs=5)
    assert torch.equal(first.order(1), second.order(1))
    weights = [one.initial(lambda: build("lenet5")).state_dict() for one in (first, second)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_initial_weights_hang_on_the_seed_and_leave_torchs_generator_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    weights = [plan(seed).initial(lambda: build("lenet5")).state_dict()["conv1.weight"] for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("added", OPERATIONS)
def test_switching_an_operation_on_changes_no_other_ones_draws(added, monkeypatch):
    others = {name: value for fields in OPERATIONS.values() for name, value in fields.items() if name != added}
    drawn = []
    for fields in (others, {**others, **OPERATIONS[added]}):
        drawn.append(spy(monkeypatch))
        made = plan(**fields)
        for numbers in (made.order, made.warps, made.jitters, made.erasures):
            numbers(1)
        monkeypatch.undo()
    without, with_it = drawn
    assert set(with_it) - set(without) == {(added, 1)}
    assert all(with_it[name] == words for name, words in without.items())
    assert len(set(map(tuple, with_it.values()))) == len(OPERATIONS) + 1


def test_an_operation_that_is_on_leaves_the_ones_beside_it_as_they_were():
    alone, both = plan(brightness=0.2).jitters(0), plan(brightness=0.2, contrast=0.1).jitters(0)
    assert torch.equal(alone[:, 0], both[:, 0])
    assert torch.equal(alone[:, 1], torch.ones(100))
    assert torch.equal(plan(rotation=10.0).warps(0), plan(rotation=10.0, erase_size=5, contrast=0.3).warps(0))


@pytest.mark.parametrize(
    ("numbers", "fields"), [("warps", "rotation"), ("jitters", "contrast"), ("erasures", "erase_size")]
)
def test_draws_hang_on_the_seed_and_the_epoch(numbers, fields):
    def drawn(seed, epoch):
        return getattr(plan(seed, **OPERATIONS[fields]), numbers)(epoch)

    assert torch.equal(drawn(0, 0), drawn(0, 0))
    assert not torch.equal(drawn(0, 0), drawn(1, 0))
    assert not torch.equal(drawn(0, 0), drawn(0, 1))


def test_a_changed_seed_changes_every_stream():
    names = [("order", 0), ("initial",), ("step", 0), *((name, 0) for name in OPERATIONS)]
    words = {int(stream(seed, *name).random_raw()) for seed in (0, 1, -1, 10**30) for name in names}
    assert len(words) == 4 * len(names)


def test_nothing_is_drawn_where_nothing_is_switched_on():
    made = plan()
    assert made.warps(0) is made.jitters(0) is made.erasures(0) is None


def test_the_same_with_every_number_of_threads():
    def all_numbers():
        made = plan(rotation=10.0, brightness=0.1, erase_size=3, ema_decay=0.99)
        mask = made.mask(0, 0, torch.Size([64, 10]), 0.3)
        return [made.order(0), made.warps(0), made.jitters(0), made.erasures(0), mask, made.rates(), made.ema_decays()]

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = all_numbers()
        torch.set_num_threads(4)
        second = all_numbers()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_short_last_batch_is_a_step():
    assert (plan(num_images=100).steps_per_epoch, plan(num_images=100).num_steps) == (4, 8)
    assert (plan(num_images=96).steps_per_epoch, plan(num_images=1).steps_per_epoch) == (3, 1)


@given(st.integers(1, 400), st.floats(0, 0.99), st.integers(0, 10_000), st.integers(0, 9))
def test_a_mask_is_the_documented_lanes(count, rate, step, layer):
    made = plan(seed=5)
    words = np.random.Philox(key=made.mask_key(step, layer)).random_raw(count).tolist()
    lanes = [word >> shift & 0xFFFF for word in words for shift in (0, 16, 32, 48)][:count]
    dropped = round(rate * 65536)
    expected = [1 / (1 - dropped / 65536) if lane >= dropped else 0.0 for lane in lanes]
    mask = made.mask(step, layer, torch.Size([count]), rate)
    assert mask.dtype == torch.float32
    assert mask.tolist() == pytest.approx(expected, rel=1e-6)


def test_a_lane_at_the_rate_itself_is_kept():
    made = plan()
    lane = int(np.random.Philox(key=made.mask_key(0, 0)).random_raw()) & 0xFFFF
    first = [made.mask(0, 0, torch.Size([4]), rate / 65536)[0].item() for rate in (lane, lane + 1)]
    assert first == [pytest.approx(65536 / (65536 - lane)), 0]


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_a_mask_keeps_its_share_and_the_expectation(rate):
    mask = plan().mask(0, 0, torch.Size([100, 10, 50, 10]), rate)
    kept = (mask > 0).double().mean().item()
    assert kept == pytest.approx(1 - rate, abs=4 * (rate * (1 - rate) / mask.numel()) ** 0.5 + 1 / 65536)
    assert mask.double().mean().item() == pytest.approx(1, abs=0.02)


def test_dropout_of_0_keeps_all_and_of_1_nothing():
    assert torch.equal(plan().mask(0, 0, torch.Size([3, 5]), 0.0), torch.ones(3, 5))
    assert torch.equal(plan().mask(0, 0, torch.Size([3, 5]), 1.0), torch.zeros(3, 5))


def test_masks_differ_by_step_layer_and_seed():
    places = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    masks = {tuple(plan(seed).mask(step, layer, torch.Size([64]), 0.5).tolist()) for seed, step, layer in places}
    assert len(masks) == len(places)


def test_a_mask_is_in_row_major_order():
    made = plan()
    flat, shaped = (made.mask(1, 0, torch.Size(shape), 0.5) for shape in ([2 * 3 * 4 * 5], [2, 3, 4, 5]))
    assert torch.equal(flat, shaped.flatten())


def test_rates():
    rates = plan(lr=0.5, schedule="step", step_epochs=1, gamma=0.1).rates()
    assert rates.dtype == torch.float32
    assert rates.tolist() == pytest.approx([0.5] * 4 + [0.05] * 4)


def test_ema_decays_grow_up_to_the_recipes():
    assert plan().ema_decays() is None
    decays = plan(ema_decay=0.3).ema_decays()
    assert decays.dtype == torch.float32
    assert decays.tolist() == pytest.approx([1 / 10, 2 / 11, 3 / 12, 4 / 13 if 4 / 13 < 0.3 else 0.3] + [0.3] * 4)


@pytest.mark.parametrize("name", ["crop_size", "erase_size", "crop_padding", "translation"])
def test_refuses_an_augmentation_larger_than_the_images(name):
    recipe = Recipe(model="lenet5", **{name: 9})
    Plan(recipe, 0, 10, (9, 12))
    with pytest.raises(RecipeError, match=rf"'{name}' = 9.*\(12, 8\)"):
        Plan(recipe, 0, 10, (12, 8))
