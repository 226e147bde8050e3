"""Studies of made-up figures, for what is said of them."""

import random
from typing import Any

from lenette.runs import DivergedAt
from lenette.studies import Cell, Study
from lenette.studies.study import Machine, Outcome

EPOCHS = 8


def run(
    seed: int,
    error: float = 0.02,
    loss: float = 0.07,
    train_error: float = 0.01,
    train_loss: float = 0.04,
    running_error: float = 0.015,
    curve: dict[str, list[float]] | None = None,
) -> Outcome:
    """A run that ended so, its losses falling to these in equal steps unless a curve says otherwise."""
    fall = [1 + (EPOCHS - 1 - epoch) / 2 for epoch in range(EPOCHS)]
    return Outcome(
        run=f"r-s{seed}",
        seed=seed,
        status="done",
        diverged_at=None,
        figures={
            "train_loss": train_loss,
            "test_loss": loss,
            "train_error": train_error,
            "test_error": error,
            "gap_loss": loss - train_loss,
            "gap_error": error - train_error,
            "train_running_error": running_error,
            "train_seconds": 3.0,
        },
        curve={
            "epoch": list(range(1, EPOCHS + 1)),
            "train_loss": [train_loss * factor for factor in fall],
            "test_loss": [loss * factor for factor in fall],
            **(curve or {}),
        },
    )


def diverged(seed: int, step: int = 12) -> Outcome:
    """A run whose loss was no longer finite."""
    return Outcome(f"r-s{seed}", seed, "diverged", DivergedAt(step, 0.5, 1), None, {})


def cell(name: str, runs: list[Outcome], changes: dict[str, Any] | None = None, parameters: int = 1000) -> Cell:
    """A cell of these runs; its recipe has no augmentation."""
    off = ("rotation", "translation", "scale", "shear", "crop_size", "crop_padding", "brightness", "contrast")
    recipe = {**dict.fromkeys((*off, "erase_size"), 0), "schedule": "constant", **(changes or {})}
    return Cell(name=name, changes=changes or {}, recipe=recipe, parameters=parameters, runs=runs)


def errors(base: float, count: int = 5, train_loss: float = 0.04, **more: Any) -> list[Outcome]:
    """Runs of so many seeds, their errors scattered a little and alike in every cell, each cell in its own way too."""
    scatter = [0.0003, -0.0004, 0.0001, 0.0005, -0.0005, 0.0002]
    own = [random.Random(f"{base} {seed}").gauss(0, 1e-4) for seed in range(count)]
    return [
        run(seed, error=base + scatter[seed % 6] + own[seed], train_loss=train_loss + own[seed], **more)
        for seed in range(count)
    ]


def study(question: str, cells: list[Cell], axes: dict[str, list[Any]] | None = None, dataset: str = "mnist") -> Study:
    """A study of these cells."""
    return Study(
        question=question,
        title=f"{question} of nothing",
        dataset=dataset,
        part="test",
        num_images=60000,
        num_classes=10,
        seeds=[run.seed for run in cells[0].runs],
        axes=axes or {},
        cells=cells,
        machine=Machine(
            processor="abacus",
            cores=10,
            system="wood",
            engine="reference",
            threads=1,
            **dict.fromkeys(("lenette", "python", "torch", "numpy"), "1.0"),
        ),
    )


def rates(**cells: list[Outcome]) -> Study:
    """A learning-rate study: rates(r0_1=runs, r0_5=runs)."""
    values = {name: float(name[1:].replace("_", ".")) for name in cells}
    made = [cell(f"lr {values[name]:g}", runs, {"lr": values[name]}) for name, runs in cells.items()]
    return study("learning-rate", made, {"lr": list(values.values())})
