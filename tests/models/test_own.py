import sys

import pytest
import torch
from torch import nn

from lenette.errors import ModelError
from lenette.models import MODELS, assumed, build, source

TINY = """\
from torch import nn

def tiny(num_classes=10, in_channels=1, image_size=28):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, {last}))
"""


@pytest.fixture
def tiny_file(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(TINY.format(last="num_classes"))
    return path


def test_from_a_file(tiny_file):
    model = build(f"{tiny_file}:tiny", num_classes=26, in_channels=3, image_size=8)
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 26)


def test_from_a_relative_path_and_from_home(tiny_file, monkeypatch):
    monkeypatch.chdir(tiny_file.parent)
    monkeypatch.setenv("HOME", str(tiny_file.parent))
    assert isinstance(build("tiny.py:tiny"), nn.Sequential)
    assert isinstance(build("~/tiny.py:tiny"), nn.Sequential)
    assert source("tiny.py:tiny") == source("~/tiny.py:tiny") == source(f"{tiny_file}:tiny")


def test_a_file_is_read_afresh_and_its_source_shows_the_edit(tiny_file):
    name = f"{tiny_file}:tiny"
    before = source(name)
    assert before == tiny_file.read_text()
    assert build(name)[1].out_features == 10
    # Same length and, as likely as not, same time stamp: Python's own cache of compiled files would miss this edit.
    tiny_file.write_text(TINY.format(last="7 + 5      "))
    assert build(name)[1].out_features == 12
    assert source(name) != before
    assert build(name, source=before)[1].out_features == 10


def test_line_ends_and_encodings_are_those_of_python(tiny_file):
    text = tiny_file.read_text()
    tiny_file.write_bytes(text.replace("\n", "\r\n").encode())
    assert source(f"{tiny_file}:tiny") == text
    tiny_file.write_bytes(b"# coding: latin-1\n# gr\xfc\xdfe\n" + text.encode())
    assert "grüße" in source(f"{tiny_file}:tiny")
    assert build(f"{tiny_file}:tiny")[1].out_features == 10
    tiny_file.write_bytes(b"# gr\xfc\xdfe\n" + text.encode())
    with pytest.raises(ModelError, match="can't be read as Python"):
        source(f"{tiny_file}:tiny")


def test_a_file_does_not_clash_with_a_module_of_its_name(tmp_path):
    path = tmp_path / "json.py"
    path.write_text(TINY.format(last="num_classes"))
    import json

    assert isinstance(build(f"{path}:tiny"), nn.Module)
    assert sys.modules["json"] is json
    assert json.loads("1") == 1


def test_two_files_of_one_name_are_two(tmp_path):
    for folder, last in (("a", 3), ("b", 4)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.py").write_text(TINY.format(last=last))
    assert [build(f"{tmp_path / folder}/net.py:tiny")[1].out_features for folder in "abab"] == [3, 4, 3, 4]


def test_a_class_with_dataclasses_beside_it(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom torch import nn\n"
        "@dataclass\nclass Sizes:\n    hidden: int = 5\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, num_classes=10, in_channels=1, image_size=28):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(Sizes().hidden, num_classes)\n"
    )
    assert build(f"{path}:Net", num_classes=4).fc.out_features == 4


def test_from_a_module(tiny_file, monkeypatch):
    package = tiny_file.parent / "own_networks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "small.py").write_text(TINY.format(last="num_classes"))
    monkeypatch.syspath_prepend(str(tiny_file.parent))
    name = "own_networks.small:tiny"
    assert build(name, num_classes=3)[1].out_features == 3
    assert source(name) == (package / "small.py").read_text()


@pytest.mark.parametrize("name", MODELS)
def test_shipped_networks_have_no_source_of_the_users(name):
    assert source(name) == ""


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("1/0", "can't be loaded: ZeroDivisionError: division by zero"),
        ("def tiny(:", r"can't be loaded: SyntaxError: .*line 1"),
        ("import not_there_at_all", "can't be loaded: ModuleNotFoundError: .*not_there_at_all"),
        ("raise SystemExit(2)", "can't be loaded: SystemExit"),
        ("def tin(): ...", r"has no function 'tiny'; did you mean 'tin'\?; write there: def tiny\(num_classes=10"),
        ("tiny = 3", r"is an int, not a function; write: def tiny\(num_classes=10"),
        ("def tiny(): ...", "returned None of type NoneType"),
        ("def tiny(a, num_classes, in_channels, image_size): ...", "it also takes a, without a default; give it one"),
        ("def tiny(**any): return 1 + ''", "failed when called with num_classes=10, .*: TypeError: unsupported"),
        ("def tiny(**any): return None", "returned None of type NoneType, not a network; end it with: return nn"),
        (
            "from torch.nn import LazyLinear\ndef tiny(**any): return LazyLinear(10)",
            "'weight' has no size yet; write how",
        ),
        ("def tiny(**any): from lenette.errors import ModelError; raise ModelError('too small')", "^too small$"),
    ],
)
def test_broken_files(tmp_path, body, says):
    path = tmp_path / "net.py"
    path.write_text(body)
    before = set(sys.modules)
    with pytest.raises(ModelError, match=says):
        build(f"{path}:tiny")
    if "can't be loaded" in says:
        assert not [name for name in set(sys.modules) - before if name.startswith("lenette_own")]


@pytest.mark.parametrize("function", [build, source])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ladder_7", r"unknown model 'ladder_7'; did you mean 'ladder_7k'\?; the models are sigmoid_mlp, "),
        ("", "unknown model ''"),
        ("net.py", r"name the function in it too, net\.py:function"),
        ("net.py:", "names no network: write package.module:function or path/file.py:function"),
        (":tiny", "names no network"),
        ("tiny.p:tiny", "module 'tiny.p' can't be"),
        ("nowhere/net.py:tiny", r"there is no file 'nowhere/net\.py'"),
        ("tny.py:tiny", r"there is no file 'tny\.py'; did you mean 'tiny\.py'\?"),
    ],
)
def test_unknown_names(function, name, says, tiny_file, monkeypatch):
    monkeypatch.chdir(tiny_file.parent)
    with pytest.raises(ModelError, match=says):
        function(name)


def test_a_module_that_is_a_file_here(tiny_file, monkeypatch):
    monkeypatch.chdir(tiny_file.parent)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    with pytest.raises(ModelError, match=r"the file is here: write tiny\.py:tiny"):
        build("tiny:tiny")


@pytest.mark.parametrize("field", ["num_classes", "in_channels", "image_size"])
def test_numbers_must_be_positive(field):
    with pytest.raises(ModelError, match=f"{field} = 0: it must be at least 1"):
        build("lenet5", **{field: 0})


OTHERS = {
    "class Net(nn.Sequential):\n    def __init__(self): super().__init__(nn.Flatten(), nn.Linear(784, 10))": "Net()",
    "class Net(nn.Sequential):\n    def __init__(self, N_Classes, in_ch=3, *, size=9):\n"
    "        super().__init__(nn.Flatten(), nn.Linear(in_ch * size**2, N_Classes))": "Net(N_Classes=10, in_ch=1, size=28)",  # noqa: E501
    "def Net(classes, /, input_dim): return nn.Sequential(nn.Flatten(), nn.Linear(input_dim, classes))": "Net(10, input_dim=784)",  # noqa: E501
    "def Net(num_classes): return nn.Sequential(nn.Flatten(), nn.Linear(784, num_classes))": "Net(num_classes=10)",
    "Net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))": "",
    "def Net(**sizes): return nn.Sequential(nn.Flatten(), nn.Linear(784, sizes['num_classes']))": "",
}


@pytest.mark.parametrize(("body", "call"), OTHERS.items())
def test_what_it_takes_is_tried_and_said(tmp_path, body, call):
    path = tmp_path / "net.py"
    path.write_text(f"from torch import nn\n{body}\n")
    assert build(f"{path}:Net")(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    said = assumed(f"{path}:Net", 10, 1, 28)
    assert said == (f"the network was made by {call}: what it takes of classes and sizes" if call else "")
