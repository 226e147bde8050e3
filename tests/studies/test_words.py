"""The answer follows from the figures: other figures, another answer."""

from lenette.studies import answer
from tests.studies.made_up import EPOCHS, cell, diverged, errors, rates, run, study


def test_a_learning_rate_is_preferred_others_are_near_worse_or_diverged() -> None:
    found = rates(
        r0_025=errors(0.04, train_loss=0.2),
        r0_05=errors(0.02005),
        r0_1=errors(0.02),
        r0_5=[*errors(0.9, 1), *[diverged(seed, step=7 + seed) for seed in range(1, 5)]],
    )
    text = "\n".join(answer(found))
    assert "0.1 is preferred: lowest mean test error, 2.0" in text
    assert "over 5 seeds" in text
    assert "0.05 (+0.0" in text
    assert text.count("can't be told apart from it at 5 seeds") == 1
    assert "0.025 (+2.00 points" in text
    assert "is worse" in text
    assert "Less was learnt of the training images in the same epochs (train loss: 0.025 0.20" in text
    assert "0.5 (" not in text
    assert "0.5 diverged in 4 of 5 seeds, first at step 8" in text
    assert "0.5 learnt nothing in 1 of 5 seeds" in text
    assert "outermost" not in text
    assert "a little optimistic" in text


def test_a_failed_seed_is_named() -> None:
    text = "\n".join(answer(rates(r0_1=[run(0), run(1, error=0.4)], r0_5=errors(0.03, 2))))
    assert "0.1 failed in 1 of 2 seeds: seed 1 ended at 40.00 %, and the best of its seeds at 2.00 %" in text


def test_the_answer_turns_with_the_figures() -> None:
    text = "\n".join(answer(rates(r0_1=errors(0.03), r0_5=errors(0.02))))
    assert "0.5 is preferred" in text
    assert "0.1 (+1.00 points" in text
    assert "0.5 is the outermost value tried: a larger one" in text
    text = "\n".join(answer(rates(r0_1=errors(0.02), r0_5=errors(0.03))))
    assert "0.1 is preferred" in text
    assert "a smaller one may be better still" in text


def test_more_learnt_and_less_carried_over_is_said_so() -> None:
    runs = [run(seed, error=0.03 + seed / 1e5, train_loss=0.001 + seed / 1e5) for seed in range(5)]
    text = "\n".join(answer(rates(r0_1=errors(0.02), r0_5=runs)))
    assert "More was learnt of the training images, yet less carries over (train loss: 0.5 0.0010" in text


def test_if_all_diverge_nothing_is_preferred() -> None:
    text = "\n".join(answer(rates(r0_1=[diverged(0), diverged(1)], r0_5=[diverged(0), diverged(1)])))
    assert "there is nothing to prefer" in text
    assert "is preferred" not in text


def test_one_seed_gives_no_interval_and_tells_nothing_apart() -> None:
    text = "\n".join(answer(rates(r0_1=errors(0.02, 1), r0_5=errors(0.03, 1))))
    assert "over 1 seed." in text
    assert "0.5 (+1.00 points) can't be told apart" in text
    assert "with one seed there are no intervals" in text
    assert "inf" not in text
    assert "nan" not in text


def test_other_images_than_mnists_are_named() -> None:
    found = study("sweep", [cell("a", errors(0.02)), cell("b", errors(0.03))], dataset="optdigits")
    assert "not MNIST's" in answer(found)[-1]


def test_a_schedule_tells_the_epochs_to_the_fixed_rates_losses() -> None:
    slow, fast = [run(seed, train_loss=0.08 + seed / 1e3) for seed in range(3)], errors(0.02, 3)
    never = [run(seed, curve={"train_loss": [1.0] * EPOCHS}) for seed in range(3)]
    text = "\n".join(answer(study("schedule", [cell("fixed", slow), cell("SGDR", fast), cell("high", never)])))
    assert "The train loss 0.0820, which fixed has in every seed after 8 epochs, is reached by SGDR after" in text
    assert "high in no seed" in text


def test_a_ladder_says_what_each_step_changed_and_brought() -> None:
    cells = [
        cell("big", errors(0.02), parameters=15000),
        cell("small", errors(0.02005), {"model": "small"}, parameters=12000),
        cell("turned", errors(0.01), {"rotation": 10.0}, parameters=12000),
    ]
    text = "\n".join(answer(study("ladder", cells)))
    assert "big: 15,000 parameters, test error 2.0" in text
    assert "small: 3,000 parameters fewer (12,000);" in text
    assert "can't be told apart from big at 5 seeds" in text
    assert "turned: rotation 10; test error 1.0" in text
    assert "-1.01 points" in text
    assert ": better." in text


def test_augmentations_are_held_against_none() -> None:
    cells = [
        cell("none", errors(0.02)),
        cell("rotation", errors(0.015), {"rotation": 10.0}),
        cell("shear", errors(0.016), {"shear": 0.2}),
        cell("colour jitter", errors(0.03), {"brightness": 0.1}),
        cell("scale", errors(0.02), {"scale": 0.1}),
    ]
    text = "\n".join(answer(study("augmentation", cells)))
    assert "Without augmentation the test error is 2.0" in text
    assert "rotation (-0.5" in text
    assert "lower it." in text
    assert "colour jitter (+1.0" in text
    assert "raises it." in text
    assert "scale (" in text
    assert "can't be told apart from none" in text


def test_an_error_below_the_running_one_is_called_an_artefact() -> None:
    runs = errors(0.02, train_error=0.012, running_error=0.03)
    text = "\n".join(answer(study("sweep", [cell("a", runs), cell("b", errors(0.03))])))
    assert "only because that one is a mean over the epoch" in text
    assert "augmented" not in text
    turned = cell("a", runs, {"rotation": 10.0})
    assert "on augmented images" in "\n".join(answer(study("sweep", [turned, cell("b", errors(0.03))])))
