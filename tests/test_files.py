import errno
import json
import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenette import files
from lenette.errors import DiskFull

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_into_folders_that_it_makes(tmp_path):
    files.write_text(tmp_path / "a" / "b" / "text.txt", "grün\n")
    assert (tmp_path / "a" / "b" / "text.txt").read_text(encoding="utf-8") == "grün\n"
    assert names(tmp_path / "a" / "b") == ["text.txt"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    files.write_text(path, "old")

    def half():
        with files.replacing(path) as temporary:
            temporary.write_text("ne")
            assert path.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        ValueError("I/O error: No space left on device (os error 28)"),  # as safetensors says it
    ],
)
def test_a_full_disk_is_told_as_such(error, tmp_path):
    with (
        pytest.raises(DiskFull, match=r"the disk is full, no room for .*file: make room"),
        files.replacing(tmp_path / "file"),
    ):
        raise error
    assert names(tmp_path) == []


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), files.replacing(tmp_path / "file"):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_the_new_file_is_seen_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    with files.replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert not path.exists()
    assert path.read_text() == "new"


@pytest.fixture
def synced(monkeypatch):
    """What was synced since: its name, and whether the handle was for writing."""
    fcntl = pytest.importorskip("fcntl")
    told, fsync = [], os.fsync

    def note(handle):
        mode = fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE
        told.append((os.readlink(f"/proc/self/fd/{handle}"), mode in (os.O_WRONLY, os.O_RDWR)))
        fsync(handle)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("there is no /proc to tell which file a handle is of")
    monkeypatch.setattr(os, "fsync", note)
    return told


def test_the_file_is_synced_by_a_handle_for_writing_and_then_its_folder(synced, tmp_path):
    with files.replacing(tmp_path / "file") as temporary:
        temporary.write_text("new")
    assert synced == [(str(temporary), True), (str(tmp_path), False)]


def test_a_file_system_that_syncs_no_folders_will_do(tmp_path, monkeypatch):
    fsync = os.fsync

    def refuse(handle):
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", refuse)
    files.write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def as_windows(monkeypatch, reads):
    """Let the files be replaced as Windows does it while others read them that many times."""
    replace, left = os.replace, [reads]

    def busy(source, target):
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        replace(source, target)

    windows = type("Windows", (), {**vars(os), "name": "nt", "replace": staticmethod(busy)})
    monkeypatch.setattr(files, "os", windows)
    monkeypatch.setattr(files, "WINDOWS_PAUSE", 0.001)


def test_windows_waits_while_somebody_reads_the_old_file(tmp_path, monkeypatch):
    as_windows(monkeypatch, reads=3)
    files.write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def test_windows_gives_up_in_the_end(tmp_path, monkeypatch):
    as_windows(monkeypatch, reads=10**6)
    with pytest.raises(PermissionError):
        files.write_text(tmp_path / "file", "new")
    assert names(tmp_path) == []


def test_windows_own_number_of_a_full_disk(monkeypatch):
    as_windows(monkeypatch, reads=0)
    assert files.is_disk_full(ValueError("I/O error: There is not enough space on the disk. (os error 112)"))
    assert not files.is_disk_full(ValueError("I/O error: Access is denied. (os error 5)"))


def test_others_may_read_what_was_written(tmp_path):
    files.write_text(tmp_path / "file", "")
    assert os.stat(tmp_path / "file").st_mode & 0o777 == 0o644


@given(values)
def test_json_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    files.write_json(path, value)
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("\n")


def test_json_holds_null_for_what_is_not_finite(tmp_path):
    files.write_json(tmp_path / "value.json", {"a": math.nan, "b": [math.inf, (1.5, -math.inf)], "c": {"d": math.nan}})
    assert json.loads((tmp_path / "value.json").read_text()) == {"a": None, "b": [None, [1.5, None]], "c": {"d": None}}


def test_json_has_a_line_for_each_field_and_each_plain_list(tmp_path):
    files.write_json(tmp_path / "value.json", {"a": [1, 2], "b": {3: [[1], [2]]}, "c": {}, "d": []})
    assert (tmp_path / "value.json").read_text().splitlines() == [
        "{",
        ' "a": [1, 2],',
        ' "b": {',
        '  "3": [',
        "   [1],",
        "   [2]",
        "  ]",
        " },",
        ' "c": {},',
        ' "d": []',
        "}",
    ]
