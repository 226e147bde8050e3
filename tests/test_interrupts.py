import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from lenette import interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_next_is_itself(number):
    with interrupts.sigterm_as_ctrl_c(), interrupts.interruptible() as interrupted:
        assert not interrupted()
        signal.raise_signal(number)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_handlers_are_put_back():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    with interrupts.sigterm_as_ctrl_c(), interrupts.interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number in numbers] == before


def test_another_thread_leaves_signals_alone():
    def inside():
        with interrupts.sigterm_as_ctrl_c(), interrupts.interruptible() as interrupted:
            return interrupted()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() is False


def test_a_blocked_ctrl_c_comes_afterwards():
    reached = []

    def block():
        with interrupts.ctrl_c_blocked():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached
