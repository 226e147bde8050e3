"""Ctrl-C and SIGTERM, taken in such a way that what is under way can be saved."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

AGAIN_SECONDS = 0.02
PATIENCE_SECONDS = 2.0

_taken: list[int] = []  # Ctrl-Cs that raised KeyboardInterrupt; one that something swallowed is still here


def take_ctrl_c() -> None:
    """From now on let Ctrl-C raise KeyboardInterrupt only between imports: many a library can't bear it within one.

    An import that goes on for longer is left by ending the process: every file is whole or not there.
    """
    since: list[float] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame):
            since.append(time.monotonic())
            if since[-1] - since[0] > PATIENCE_SECONDS:
                os._exit(128 + number)
            again = threading.Timer(AGAIN_SECONDS, signal.raise_signal, (number,))
            again.daemon = True
            again.start()
            return
        since.clear()
        _taken.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a flag, so that the step under way is finished; a second one is itself."""
    seen: list[int] = list(_taken)
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:
        seen.append(number)
        signal.signal(number, former[signal.Signals(number)])

    for number in former:
        signal.signal(number, note)
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def ctrl_c_blocked() -> Iterator[None]:
    """Let the process that is started inherit a blocked Ctrl-C: a terminal sends it to all, and its parent decides."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
