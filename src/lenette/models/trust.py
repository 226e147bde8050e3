"""Whose code runs: the networks' sources that this user has trained with on this machine, or has agreed to run.

A run's folder, or a proof, may come from anybody, and building its network runs the Python file in it.
"""

import hashlib
from pathlib import Path

from lenette.errors import ModelError

_agreed: set[str] = set()  # in this process, so that a folder that can't be written stands in nobody's way


def require(source: str, what: str, run_code: bool) -> None:
    """Return if the source may run; that the user allows it (`run_code`) is remembered.

    Args:
        source: the text of the file.
        what: names it, in the error.

    Raises:
        ModelError: this user neither knows the source nor allows it.
    """
    if run_code:
        remember(source)
    elif not is_known(source):
        raise ModelError(f"{what} is code that you have not trained with here: read it, then say --run-code")


def remember(source: str) -> None:
    """Note that this user runs the source; it is noted for this process alone where their folder can't be written."""
    if is_known(source):
        return
    digest = _digest(source)
    _agreed.add(digest)
    path = known_sources()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(f"{digest}\n".encode())  # at once, at the end: other processes may write too
    except OSError:
        pass  # then the user is asked again


def is_known(source: str) -> bool:
    """Say whether this user has trained with the source here, or has agreed to run it; line ends don't count."""
    digest = _digest(source)
    if digest in _agreed:
        return True
    try:
        return digest in known_sources().read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False


def known_sources() -> Path:
    """Return this user's file of the digests of the sources, a line each."""
    from platformdirs import user_data_path

    return user_data_path("lenette", appauthor=False) / "sources"


def _digest(source: str) -> str:
    """Return the SHA-256 (hex) of the text with line ends as Python reads them; no other character may be one."""
    return hashlib.sha256(source.replace("\r\n", "\n").replace("\r", "\n").encode()).hexdigest()
