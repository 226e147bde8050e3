"""One look for every figure: few inks, told apart by line, marker and hatch as well, so that print and every eye do."""

import functools
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from lenette.errors import LenetteError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

INK, GREY, RULE = "#1c1c21", "#6b6b76", "#d9d9de"
# Okabe and Ito, "Color universal design" (2008): told apart by people with any kind of colour vision.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
# One way to draw each series, the colour never alone.
SERIES: tuple[dict[str, Any], ...] = tuple(
    {"color": color, "linestyle": line, "marker": marker}
    for color, line, marker in (
        (BLUE, "-", "o"),
        (VERMILLION, "--", "s"),
        (GREEN, "-.", "^"),
        (PURPLE, ":", "D"),
        (ORANGE, (0, (6, 1, 1, 1, 1, 1)), "v"),
        (SKY, (0, (8, 2)), "P"),
        (INK, "-", "X"),
    )
)

RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib, so that a figure is the same everywhere
    "font.size": 9.5,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # text stays text: small, selectable, read aloud
    "svg.hashsalt": "lenette",
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$"
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 9,
}


def styled(draw: Callable[P, "Figure"]) -> Callable[P, "Figure"]:
    """Let a function draw in the house style."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        from matplotlib import rc_context

        with rc_context(RC):
            return draw(*args, **kwargs)

    return wrapped


def new(width: float = 4.8, height: float = 3.1, **layout: Any) -> tuple["Figure", Any]:
    """Return a Figure of that size in inches, tied to no window, and its axes (an array where rows or columns ask)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(**{{"rows": "nrows", "columns": "ncols"}.get(k, k): v for k, v in layout.items()})


def bare(axes: "Axes") -> None:
    """Take everything but the picture from the axes."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def to_svg(figure: "Figure") -> str:
    """Return the figure as an <svg> element; the same figure gives the same text."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context(RC):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    return re.sub(r' (d|transform|x|y)="([^"]*)"', _rounded, svg)


def save(figure: "Figure", path: str | Path) -> Path:
    """Write the figure as its path's suffix says: .svg, or .png at 200 dots an inch on white.

    Raises LenetteError for another suffix.
    """
    from lenette.files import replacing, write_text

    path = Path(path)
    if path.suffix == ".svg":
        write_text(path, to_svg(figure))
    elif path.suffix == ".png":
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    else:
        raise LenetteError(f"a figure is saved as .svg or .png, not as '{path.name}'")
    return path


def _rounded(found: re.Match[str]) -> str:
    digits = re.sub(r"-?\d+\.\d{3,}", lambda value: f"{float(value.group()):.2f}".rstrip("0").rstrip("."), found[2])
    return f' {found[1]}="{" ".join(digits.split())}"'
