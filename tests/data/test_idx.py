import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenette.data import idx
from lenette.errors import DataError
from tests.conftest import encode_idx

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([3, 1, 2], dtype=np.uint8)
TABLE = np.array([[7, -2, 70000], [1, 2, 3]], dtype=np.int32)
PLAIN = encode_idx(IMAGES)


@pytest.mark.parametrize(("kind", "array"), [("images", IMAGES), ("labels", LABELS), ("table", TABLE)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_plain_and_gzip(tmp_path, kind, array, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(encode_idx(array)))
    read = idx.read(path, kind, hashlib.sha256(encode_idx(array)).hexdigest())
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype
    assert read.flags.writeable


def test_reads_gzip_of_several_members():
    np.testing.assert_array_equal(
        idx.parse(gzip.compress(PLAIN[:30]) + gzip.compress(PLAIN[30:]), "images", "x"), IMAGES
    )


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not an IDX file"),
        (b"<!DOCTYPE html>", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\0\0\x0e" + PLAIN[3:], "type 0x0E is not known"),
        (encode_idx(LABELS), "1 dimensions; images have type 0x08 and 3"),
        (encode_idx(TABLE), "type 0x0C with 2 dimensions"),
        (PLAIN[:9], "truncated within its header"),
        (PLAIN[:-1], "truncated: 75 of the 76 bytes"),
        (PLAIN + b"\0", "too long"),
        (PLAIN[:4] + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1), "absurd dimensions"),
        (PLAIN[:4] + struct.pack(">III", 0, 28, 28), "absurd dimensions"),
        (gzip.compress(PLAIN[:-1], mtime=0), "truncated: 75 of the 76 bytes"),
        (gzip.compress(PLAIN + b"\0", mtime=0), "too long"),
        (gzip.compress(PLAIN, mtime=0)[:-1], "truncated gzip"),
        (gzip.compress(PLAIN, mtime=0)[:-20], "truncated gzip"),
        (gzip.compress(PLAIN, mtime=0) + b"junk", "damaged gzip"),
        (gzip.compress(PLAIN, mtime=0)[:-8] + b"\0" * 8, "damaged gzip"),
        (gzip.compress(b"", mtime=0), "not an IDX file"),
        (b"\x1f\x8bnot gzip at all", "damaged gzip"),
    ],
)
def test_refuses_bad_files(raw, message):
    with pytest.raises(DataError, match=message) as caught:
        idx.parse(raw, "images", "the-file")
    assert "the-file" in str(caught.value)


def test_a_gzip_bomb_is_not_unpacked():
    import tracemalloc

    bomb = gzip.compress(PLAIN + bytes(200_000_000), 1)
    tracemalloc.start()
    with pytest.raises(DataError, match="too long"):
        idx.parse(bomb, "images", "bomb")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_digest_that_does_not_match_names_both(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(PLAIN)
    with pytest.raises(DataError) as caught:
        idx.read(path, "images", "0" * 64)
    assert hashlib.sha256(PLAIN).hexdigest() in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as stream:
        stream.truncate(idx.MAX_BYTES + 1)
    with pytest.raises(DataError, match="more than any IDX file"):
        idx.read(path, "images")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(DataError, match="absent"):
        idx.read(tmp_path / "absent", "images")


@given(st.binary(max_size=200), st.sampled_from(sorted(idx.KINDS)), st.booleans())
def test_any_bytes_are_read_or_refused(raw, kind, packed):
    try:
        array = idx.parse(gzip.compress(raw) if packed else raw, kind, "x")
    except DataError:
        return
    assert encode_idx(array) == raw


@given(
    position=st.integers(0, len(PLAIN) - 1),
    value=st.integers(0, 255),
    cut=st.integers(0, 80),
    tail=st.binary(max_size=9),
)
def test_damaged_files_are_refused_or_hold_what_they_say(position, value, cut, tail):
    raw = bytearray(PLAIN)
    raw[position] = value
    damaged = bytes(raw[: len(raw) - cut]) + tail
    try:
        array = idx.parse(damaged, "images", "x")
    except DataError:
        return
    assert encode_idx(array) == damaged


@given(position=st.integers(0, 10_000), value=st.integers(1, 255))
def test_a_damaged_gzip_never_yields_other_values(position, value):
    raw = bytearray(gzip.compress(PLAIN, mtime=0))
    raw[position % len(raw)] ^= value
    try:
        array = idx.parse(bytes(raw), "images", "x")
    except DataError:
        return
    np.testing.assert_array_equal(array, IMAGES)
