import os
import subprocess
import sys

import pytest

from lenette.errors import ModelError
from lenette.models import trust

SOURCE = "def net():\n    return 1\n"
ASKS = r"^network.py of run x is code that you have not trained with here: read it, then say --run-code$"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user's data folder that isn't there yet, and a process that has agreed to nothing."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(trust, "_agreed", set())
    return tmp_path / "home" / "lenette"


def anew(monkeypatch):
    monkeypatch.setattr(trust, "_agreed", set())


def test_what_was_never_run_here_is_asked_for(home):
    assert not trust.is_known(SOURCE)
    with pytest.raises(ModelError, match=ASKS):
        trust.require(SOURCE, "network.py of run x", False)
    assert not home.exists()


def test_what_was_trained_with_runs_in_later_processes_too(home, monkeypatch):
    trust.remember(SOURCE)
    anew(monkeypatch)
    trust.require(SOURCE, "network.py of run x", False)
    assert trust.known_sources() == home / "sources"


def test_what_was_allowed_once_is_remembered(monkeypatch):
    trust.require(SOURCE, "network.py of run x", True)
    anew(monkeypatch)
    trust.require(SOURCE, "network.py of run x", False)


def test_a_source_has_one_line(home):
    for _ in range(3):
        trust.remember(SOURCE)
    assert len((home / "sources").read_text().splitlines()) == 1


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_do_not_count(end):
    trust.remember(SOURCE)
    assert trust.is_known(SOURCE.replace("\n", end))


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_what_only_looks_like_a_line_end_does(mark):
    """Python runs `# a\\nevil()` and not `# a\\u2028evil()`."""
    trust.remember(f"# a{mark}evil()\n")
    assert not trust.is_known("# a\nevil()\n")


@pytest.mark.parametrize("other", [SOURCE + " ", SOURCE.upper(), "", SOURCE[:-1]])
def test_any_other_character_does(other):
    trust.remember(SOURCE)
    assert not trust.is_known(other)


def test_a_home_that_can_not_be_written_asks_in_each_process_and_stops_nobody(home, monkeypatch):
    home.parent.write_text("a file, where a folder should be")
    trust.require(SOURCE, "network.py of run x", True)
    trust.require(SOURCE, "network.py of run x", False)
    anew(monkeypatch)
    with pytest.raises(ModelError, match=ASKS):
        trust.require(SOURCE, "network.py of run x", False)


def test_a_damaged_file_knows_nothing_more_and_can_be_added_to(home):
    home.mkdir(parents=True)
    (home / "sources").write_bytes(os.urandom(4096) + b"\n")
    assert not trust.is_known(SOURCE)
    trust.remember(SOURCE)
    assert trust._digest(SOURCE).encode() in (home / "sources").read_bytes().splitlines()


def test_a_beginning_of_a_digest_is_none(home):
    home.mkdir(parents=True)
    (home / "sources").write_text(trust._digest(SOURCE)[:-1] + "\n")
    assert not trust.is_known(SOURCE)


def test_two_processes_remember_at_once(home):
    program = "import sys; from lenette.models import trust\nfor i in range(200): trust.remember(f'{sys.argv[1]} {i}')"
    processes = [subprocess.Popen([sys.executable, "-c", program, name]) for name in ("one", "two")]
    assert [process.wait() for process in processes] == [0, 0]
    assert all(trust.is_known(f"{name} {number}") for name in ("one", "two") for number in range(200))
    assert {len(line) for line in (home / "sources").read_text().splitlines()} == {64}
