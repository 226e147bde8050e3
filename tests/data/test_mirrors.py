"""fetch against a server of our own that misbehaves in every way that mirrors are known to."""

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from lenette import data
from lenette.errors import DataError

IMAGES = "train-images-idx3-ubyte.gz"


class Handler(BaseHTTPRequestHandler):
    """Serve /FAULT/FILE: the file as the fault would have it."""

    def do_GET(self):
        _, fault, name = self.path.split("/")
        self.server.asked.append((fault, name))
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, fault)(self.server.files[name])

    def answer(self, body, length=None, status=200, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if length != "none":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def good(self, body):
        self.answer(body)

    def forbidden(self, body):
        self.answer(b"no", status=403)

    def overloaded(self, body):
        self.answer(b"later", status=503)

    def html(self, body):
        self.answer(b"<!DOCTYPE html><html>This mirror has moved</html>")

    def other(self, body):
        self.answer(self.server.others[self.path.split("/")[-1]])

    def truncated(self, body):
        self.answer(body[: len(body) // 2], length=len(body))

    def cut(self, body):
        self.answer(body[: len(body) // 2], length="none")

    def longer(self, body):
        self.answer(body + b"more")

    def announced(self, body):
        self.answer(b"", length=2**40)

    def endless(self, body):
        self.answer(b"", length="none")
        while True:
            self.wfile.write(bytes(2**16))

    def silent(self, body):
        self.answer(body[:10], length=len(body))
        self.server.closing.wait(10)

    def mute(self, body):
        self.server.closing.wait(10)

    def drip(self, body):
        self.answer(b"", length=len(body))
        for byte in body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.closing.wait(0.05):
                return

    def reset(self, body):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.answer(body[:10], length=len(body))
        self.close_connection = True
        self.connection.close()

    def garbage(self, body):
        self.wfile.write(b"this is not HTTP\r\n\r\n")

    def moved(self, body):
        self.answer(b"", status=302, Location=f"/good/{self.path.split('/')[-1]}")

    def loop(self, body):
        self.answer(b"", status=302, Location=self.path)

    def to_disk(self, body):
        self.answer(b"", status=302, Location="file:///etc/passwd")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("lenette.data.mirrors.TIMEOUT_SECONDS", 0.3)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *arguments: None
    server.files, server.others, server.asked, server.closing = {}, {}, [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def offer(server, small, user, monkeypatch):
    """A function that puts a small set's mirrors in the catalogue, by their faults, and returns the set."""

    def offer(name, *faults):
        made = small(name)
        server.files |= made.contents
        mirrors = tuple(fault if "://" in fault else f"{server.url}/{fault}/" for fault in faults)
        monkeypatch.setitem(data.DATASETS, name, replace(made.entry, mirrors=mirrors))
        return made

    return offer


FAULTS = {
    "forbidden": "answered 403",
    "overloaded": "answered 503",
    "html": "sent a web page",
    "other": "it is train-images-idx3-ubyte of 'kmnist'",
    "truncated": "truncated: ",
    "cut": "truncated gzip",
    "longer": "damaged gzip",
    "announced": "too long: it announces 1,099,511,627,776",
    "endless": "too long: more than",
    "silent": "stalled",
    "mute": "stalled",
    "drip": "stalled",
    "reset": "the connection broke",
    "garbage": "the connection broke",
    "loop": "answered 302",
    "to_disk": "answered 302",
    "http://127.0.0.1:1/": "can't be reached",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_mirror_is_named_and_the_next_one_serves(offer, server, small, user, monkeypatch, fault):
    monkeypatch.setattr("lenette.data.mirrors.MAX_BYTES", 2**20)
    server.others = small("kmnist").contents
    mnist = offer("mnist", fault)
    with pytest.raises(DataError) as caught:
        data.fetch("mnist")
    message = str(caught.value)
    assert FAULTS[fault] in message
    assert f"{fault if '://' in fault else f'{server.url}/{fault}/'}{IMAGES}" in message
    for way in ("data fetch mnist", "data import mnist", "LENETTE_DATA"):
        assert way in message
    assert os.listdir(user / "mnist") == []

    offer("mnist", fault, "good")
    folder = data.fetch("mnist")
    assert sorted(os.listdir(folder)) == sorted(mnist.contents)
    np.testing.assert_array_equal(data.load("mnist").labels.numpy(), mnist.arrays["train-labels-idx1-ubyte"])


@pytest.mark.parametrize("fault", ["cut", "longer", "html", "other"])
def test_sets_whose_packed_files_alone_are_known_are_checked_too(offer, server, small, fault):
    server.others = small("kmnist").contents
    offer("fashion_mnist", fault)
    with pytest.raises(DataError, match=r"sha256|web page"):
        data.fetch("fashion_mnist")
    offer("qmnist", "cut")
    with pytest.raises(DataError, match="md5"):
        data.fetch("qmnist")
    offer("qmnist", "good")
    data.fetch("qmnist")
    assert len(data.load("qmnist", "extra")) == 6


def test_every_mirror_is_listed_with_its_own_fault(offer):
    offer("mnist", "forbidden", "html", "truncated")
    with pytest.raises(DataError, match=r"(?s)answered 403.*web page.*truncated"):
        data.fetch("mnist")


def test_a_bad_mirror_is_asked_once_and_not_for_every_file(offer, server):
    offer("mnist", "silent", "good")
    data.fetch("mnist")
    assert [fault for fault, _ in server.asked] == ["silent", "good", "good", "good", "good"]


def test_what_killed_downloads_left_is_swept_away(offer, user):
    offer("mnist", "good")
    (user / "mnist").mkdir(parents=True)
    old, fresh = user / "mnist" / f".{IMAGES}.old", user / "mnist" / f".{IMAGES}.fresh"
    old.write_bytes(b"half")
    fresh.write_bytes(b"half")
    os.utime(old, (0, 0))
    data.fetch("mnist")
    assert (old.exists(), fresh.exists()) == (False, True)


def test_redirects_are_followed(offer):
    offer("mnist", "moved")
    data.fetch("mnist")
    assert len(data.load("mnist", "test")) == 12


def test_progress_is_told(offer, tmp_path):
    mnist = offer("mnist", "good")
    told = []
    folder = data.fetch("mnist", tmp_path / "there", told.append)
    assert folder == tmp_path / "there" / "mnist"
    last = {row["file"]: row for row in told}
    assert {name: row["bytes"] for name, row in last.items()} == {
        name: len(raw) for name, raw in mnist.contents.items()
    }
    assert all(row["total"] == row["bytes"] and row["url"].endswith(name) for name, row in last.items())


def test_only_what_is_missing_or_wrong_is_fetched(offer, server):
    offer("mnist", "good")
    folder = data.fetch("mnist")
    server.asked.clear()
    data.fetch("mnist")
    assert server.asked == []
    (folder / IMAGES).write_bytes(b"damaged")
    (folder / "train-labels-idx1-ubyte").write_bytes(b"damaged, and looked at before the .gz")
    data.fetch("mnist")
    assert sorted(name for _, name in server.asked) == [IMAGES, "train-labels-idx1-ubyte.gz"]
    assert len(data.load("mnist")) == 12


def test_an_interrupt_leaves_nothing(offer, user):
    offer("mnist", "good")

    def interrupt(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.fetch("mnist", progress=interrupt)
    assert os.listdir(user / "mnist") == []


def test_a_kill_leaves_nothing_that_is_taken_for_whole(offer, server, user, monkeypatch, tmp_path):
    mnist = offer("mnist", "good")
    child = (
        "import dataclasses; from lenette import data; from lenette.data import mirrors\n"
        "mirrors.TIMEOUT_SECONDS = 60\n"
        f"entry = dataclasses.replace(data.DATASETS['mnist'], mirrors=('{server.url}/silent/',))\n"
        "data.DATASETS['mnist'] = entry\n"
        "data.fetch('mnist', progress=lambda row: print('begun', flush=True))\n"
    )
    with subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGKILL)
    assert [name for name in os.listdir(user / "mnist") if not name.startswith(".")] == []
    assert data.find("mnist") is None
    data.fetch("mnist")
    np.testing.assert_array_equal(data.load("mnist").labels.numpy(), mnist.arrays["train-labels-idx1-ubyte"])


def test_a_folder_that_cannot_be_written_is_named(offer, tmp_path):
    offer("mnist", "good")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="can't be written"):
        data.fetch("mnist", tmp_path / "file")


def test_emnist_extracts_only_the_split_that_is_asked_for(server, small_emnist, user, monkeypatch):
    letters, path = small_emnist
    server.files["gzip.zip"] = path.read_bytes()
    mirrors = (f"{server.url}/cut/", f"{server.url}/good/")
    monkeypatch.setitem(data.DATASETS, "emnist_letters", replace(letters.entry, mirrors=mirrors))
    folder = data.fetch("emnist_letters")
    assert folder == user / "emnist"
    assert sorted(os.listdir(folder)) == sorted([*letters.contents, "gzip.zip"])
    assert len(data.load("emnist_letters")) == 12

    for name in letters.contents:
        (folder / name).unlink()
    server.asked.clear()
    data.fetch("emnist_letters")
    assert server.asked == []
    assert len(data.load("emnist_letters", "test")) == 12


def test_names_that_cannot_be_fetched_are_refused():
    with pytest.raises(DataError, match="comes with scikit-learn"):
        data.fetch("optdigits")
    with pytest.raises(DataError, match="did you mean 'qmnist'"):
        data.fetch("qmnst")
