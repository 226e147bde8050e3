"""What an integer network is made of: nodes on whole numbers, each with the format of what it gives.

The arithmetic is defined by `interpreter`; docs/INTEGER.md says the same in formulas.
"""

from dataclasses import dataclass

import numpy as np

from lenette.models.windows import Window

Shape = tuple[int, int, int]  # channels, height, width; a flat value is (features, 1, 1)


@dataclass(frozen=True)
class Format:
    """How whole numbers stand for real ones: real = (number - zero) * step.

    They are uint8, or int16 where `wide`: the logits, and what leads to them without weights in between.
    """

    step: float
    zero: int
    wide: bool = False

    @property
    def low(self) -> int:
        """The smallest number."""
        return -32768 if self.wide else 0

    @property
    def high(self) -> int:
        """The largest number."""
        return 32767 if self.wide else 255


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """One operation: `inputs` are the places of the nodes that it reads, `shape` is that of what it gives."""

    name: str
    inputs: tuple[int, ...]
    shape: Shape
    format: Format


@dataclass(frozen=True, eq=False, kw_only=True)
class Input(Node):
    """The image, its pixels as they are."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Scaled(Node):
    """What brings a sum to its format: with a multiplier and a shift, then kept within `low` and `high`."""

    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Convolution(Scaled):
    """A convolution, a linear layer (a kernel of 1x1 over a flat value), or a factor and an offset for each channel.

    `weight` is int8 [out, in / groups, height, width]; `bias` int32, `multiplier` int32 in 0..32768 and `shift` int32
    in 17..46, each [out]; `padding` is (top, bottom, left, right), filled with `border`, uint8 [in].
    """

    weight: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: np.ndarray
    border: np.ndarray
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Add(Scaled):
    """The sum of values of one shape: `factors`, one for each, and one `shift` in 1..30."""

    factors: tuple[int, ...]
    shift: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Multiply(Scaled):
    """The product of two values; the second may be (channels, 1, 1), a gate for each channel."""

    multiplier: int
    shift: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Pool(Node):
    """The largest number of each window, or the mean; the format is that of what it reads.

    `rows` and `columns` say where the windows lie: `taps` numbers from `start`; a mean is over `divisor` numbers, those
    that are missing being the format's zero.
    """

    maximum: bool
    rows: tuple[Window, ...]
    columns: tuple[Window, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Clamp(Node):
    """Numbers kept within `low` and `high`; the format is that of what it reads."""

    low: int
    high: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Table(Node):
    """Any function of one uint8: `table`, [256], holds its results, uint8 or int16 as the format says."""

    table: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Concatenate(Node):
    """The channels of several values, one after the other; all have the node's format."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Reshape(Node):
    """The same numbers in another shape, in the order channels, rows, columns; the format is that of what it reads."""


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Nodes in order, the input first and the logits, (classes, 1, 1), last; each is read, but for the last."""

    nodes: tuple[Node, ...]
    classes: tuple[str, ...]

    @property
    def step(self) -> float:
        """What one step of a logit is worth: softmax(logits * step) are the probabilities."""
        return self.nodes[-1].format.step
