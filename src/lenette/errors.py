"""The few errors that a user meets. Each message names the thing, the value, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class LenetteError(Exception):
    """Base of every error that is the user's to mend; the command line prints it without a traceback."""


class RecipeError(LenetteError):
    """A field of a recipe is unknown, of the wrong type, out of range, or not used by the choices around it."""


class DataError(LenetteError):
    """A data set is missing, damaged, or not what it says it is."""


class ModelError(LenetteError):
    """A network is unknown, can't be built, or doesn't fit its input."""


class BudgetError(LenetteError):
    """A network or a run exceeds a budget that its recipe names."""


class RunError(LenetteError):
    """A run can't be found, read, resumed or trained."""


class Diverged(RunError):
    """The training loss is no longer a finite number; `key` is that of the run."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class DiskFull(LenetteError):
    """A disk, or a quota, has no room left for a file."""


class NoRoom(LenetteError):
    """The machine grants no more memory, or no more threads."""


class UnsupportedByEngine(LenetteError):
    """The chosen engine doesn't know a layer or a field; the message names it."""


class SealedError(LenetteError):
    """The test set was asked for where the sealed protocol forbids it."""


def nearest(value: str, choices: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the choice nearest to `value`, or "" where none is near."""
    close = get_close_matches(value, list(choices), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
