"""When the answer for a picture of a digit is unsure: below a threshold, the errors of which were measured.

The figures are those of results/unsure.json, which `python benchmarks/unsure.py` writes: the means over four networks.
"""

from collections.abc import Sequence

from lenette.data.preparation import MNIST, Preparation

THRESHOLD = 0.75  # of the first choice's probability
# The share that lies below it: of digits that were held out, and of made-up things that are no digits.
DIGITS, LETTERS, CLOTHES, NOISE = 0.019, 0.309, 0.302, 0.500


def unsure(share: float, preparation: Preparation, classes: Sequence[str]) -> str:
    """Say that an answer whose first choice has that probability is unsure; "" where it isn't.

    Nothing was measured, and "" is said, for classes that are no digits and images that aren't made as MNIST's.
    """
    if share >= THRESHOLD or preparation != MNIST or not all(name.isdigit() for name in classes):
        return ""
    return (
        f"unsure: under {THRESHOLD:.0%}, as {DIGITS:.1%} of held-out digits are, and {LETTERS:.0%} of letters, "
        f"{CLOTHES:.0%} of clothes, {NOISE:.0%} of noise (results/unsure.md)"
    )
