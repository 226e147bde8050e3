import os
import signal
import subprocess
import sys
import time
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


# Before a fifth of a second it may be Python's own start that is interrupted, on a busy machine.
@pytest.mark.parametrize("hundredths", [20, 25, 30, 35, 40, 50, 60, 70, 80, 100, 130, 170])
def test_ctrl_c_in_the_first_second_ends_the_command_without_a_word(hundredths, tmp_path):
    command = [sys.executable, "-m", "lenette", "train", "lenet5", "--dataset", "optdigits", "--epochs", "5000"]
    with subprocess.Popen([*command, "--store", tmp_path], stderr=subprocess.PIPE, text=True) as process:
        time.sleep(hundredths / 100)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in errors
    assert "rror" not in errors


def test_ctrl_c_during_an_import_waits_for_its_end(tmp_path):
    (tmp_path / "slow.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(0.1)\nprint('whole', flush=True)\n"
    )
    code = (
        "import time\nfrom lenette.interrupts import take_ctrl_c\ntake_ctrl_c()\n"
        "try:\n    import slow\n    time.sleep(5)\nexcept KeyboardInterrupt:\n    print('then stopped')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "whole\nthen stopped\n"


def test_a_ctrl_c_that_was_swallowed_still_stops_a_training(monkeypatch):
    monkeypatch.setattr(interrupts, "_taken", [signal.SIGINT])
    with interrupts.interruptible() as interrupted:
        assert interrupted()
