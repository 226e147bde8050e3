"""A network's file with what lies beside it, as one text."""

import shutil
import sys

import pytest
import torch

from lenette.errors import ModelError
from lenette.models import build, source
from lenette.models.beside import apart, together

NET = """\
from torch import nn
{lines}

def net(num_classes=10, in_channels=1, image_size=28):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, {width}), nn.Linear({width}, num_classes))
"""


@pytest.fixture
def write(tmp_path):
    def write(lines, width, **files):
        folder = tmp_path / "nets"
        shutil.rmtree(folder, ignore_errors=True)
        for name, content in {"net.py": NET.format(lines=lines, width=width), **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return f"{folder}/net.py:net"

    return write


BESIDE = {
    "a module": (
        "from blocks import WIDTH",
        "WIDTH",
        {"blocks.py": "from more import WIDTH\n", "more.py": "WIDTH = 5\n"},
    ),
    "a package": (
        "import parts.sizes",
        "parts.sizes.W",
        {"parts/sizes.py": "from .all import W", "parts/all.py": "W = 5"},
    ),
    "a package's init": ("from parts import W", "W", {"parts/__init__.py": "W = 5\n"}),
    "a text": (
        "import json, pathlib\nW = json.loads((pathlib.Path(__file__).parent / 'width.json').read_text())",
        "W",
        {"width.json": "5\n"},
    ),
    "a text by the current folder": (
        "from pathlib import Path\nW = int(Path('data/width').read_text())",
        "W",
        {"data/width": "5"},
    ),
    "bytes": (
        "from pathlib import Path as P\nW = P(__file__).with_name('w.bin').read_bytes()[3]",
        "W",
        {"w.bin": b"\0\r\xff\5"},
    ),
}


@pytest.mark.parametrize(("lines", "width", "files"), BESIDE.values(), ids=BESIDE)
def test_what_lies_beside_it_is_kept_in_one_text(write, tmp_path, lines, width, files):
    name = write(lines, width, **files)
    text = source(name)
    assert build(name)[1].out_features == 5
    shutil.rmtree(tmp_path / "nets")
    before = set(sys.modules)
    assert build(name, source=text)[1].out_features == 5
    assert {key for key in sys.modules if not key.startswith("lenette_own_")} <= before
    own, code, kept = apart(text, "network.py")
    assert own == "net.py"
    assert code == NET.format(lines=lines, width=width)
    assert len(kept) == len(files)


def test_a_text_of_several_files_is_kept_as_it_is(write, tmp_path):
    text = source(write("from blocks import W", "W", **{"blocks.py": "W = 5"}))
    path = tmp_path / "run" / "network.py"
    path.parent.mkdir()
    path.write_text(text)
    assert source(f"{path}:net") == together(text, path) == text
    assert build(f"{path}:net")[1].out_features == 5


def test_two_networks_with_other_modules_of_one_name(write):
    one = source(write("from blocks import W", "W", **{"blocks.py": "W = 5"}))
    name = write("from blocks import W", "W", **{"blocks.py": "W = 6"})
    assert [build(name, source=text)[1].out_features for text in (one, None, one)] == [5, 6, 5]


def test_what_was_not_found_is_refused_with_words(write):
    lines = "from pathlib import Path\nW = int(Path(__file__).with_suffix('.txt').read_text())"
    with pytest.raises(ModelError, match=r"net.txt' is not kept with the run. .*write their names in one piece"):
        build(write(lines, "W", **{"net.txt": "5"}))
    with pytest.raises(ModelError, match=r"w\.pt' is not kept with the run"):
        build(write("import torch\nW = torch.load('../w.pt')", "W"))


def test_too_large(write, monkeypatch):
    monkeypatch.setattr("lenette.models.beside.MAX_BYTES", 10)
    with pytest.raises(ModelError, match=r"\(big.txt\) have 11 bytes; the most that is kept with a run is 10"):
        source(write("open('big.txt')", "5", **{"big.txt": "0123456789\n"}))


def test_a_file_alone_is_its_own_text(write):
    name = write("import json, torch", "5", **{"json.py": "raise SystemExit", "other.py": "1/0"})
    assert source(name) == NET.format(lines="import json, torch", width="5")
    assert build(name)(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
