"""How often an answer's sentences tell made-up cells apart that are all alike: at most 5 % of studies, or they lie.

python -m tests.studies.levels [--studies 2000]

makes studies whose cells all have one true error, has each answered in words (`studies.answer`), and counts the answers
that call any cell better or worse. A line for each question, number of cells and seeds, and for how cells scatter:
alike, one ten times as much as the others, or one a tenth; and with a fifth of the variance shared by a seed's runs,
which differences that are taken seed by seed don't see.
"""

import argparse
import re
from dataclasses import replace

import numpy as np

from lenette import studies
from lenette.studies import Study
from tests.studies.made_up import cell, run, study

TOLD_APART = re.compile(r"(is|are|:) (worse|better)\b|\b(lowers?|raises?) it\b")
CELLS, SEEDS = (3, 5, 6, 9), (3, 5, 10)
SCATTER = {"alike": 1.0, "one tenfold": 10.0, "one a tenth": 0.1}
SHARED = {"sweep": (0.0, 0.2), "ladder": (0.0,), "augmentation": (0.0,)}


def made(question: str, errors: np.ndarray) -> Study:
    """Return a study of these errors, [cells, seeds]."""
    cells = []
    for place, row in enumerate(errors):
        runs = [replace(run(seed, error=float(value)), curve={}) for seed, value in enumerate(row)]
        cells.append(cell(f"cell {place}", runs))
    return study(question, cells)


def tells_apart(question: str, errors: np.ndarray) -> bool:
    """Say whether the study's answer calls a cell better or worse than another."""
    return any(TOLD_APART.search(sentence) for sentence in studies.answer(made(question, errors)))


def rate(question: str, cells: int, seeds: int, last: float, shared: float, num_studies: int) -> float:
    """Return in what share of studies of equal cells the answer tells some apart.

    A run's error scatters by 0.1 points, the last cell's by `last` times that; the share `shared` of the others'
    variance is common to a seed's runs.
    """
    draw = np.random.default_rng([cells, seeds, num_studies])
    deviation = 0.001 * np.array([1.0] * (cells - 1) + [last])
    wrong = 0
    for _ in range(num_studies):
        own = draw.normal(size=(cells, seeds)) * deviation[:, None] * (1 - shared) ** 0.5
        common = draw.normal(size=seeds) * 0.001 * shared**0.5
        wrong += tells_apart(question, 0.1 + own + common)
    return wrong / num_studies


def main() -> None:
    """Print a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    num_studies = parser.parse_args().studies
    highest = 0.0
    for question, shares in SHARED.items():
        for scatter, last in SCATTER.items():
            for shared in shares:
                for cells in CELLS:
                    found = [rate(question, cells, seeds, last, shared, num_studies) for seeds in SEEDS]
                    highest = max(highest, *found)
                    rates = ", ".join(f"{s} seeds {r:5.1%}" for s, r in zip(SEEDS, found, strict=True))
                    print(f"{question:12} {scatter:12} shared {shared:.0%}  {cells} cells: {rates}", flush=True)
    print(f"highest: {highest:.1%}")


if __name__ == "__main__":
    main()
