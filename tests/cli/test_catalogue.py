import re

from lenette import recipes
from lenette.data import DATASETS
from lenette.models import MODELS
from tests.models.test_networks import COUNTS

OWN = """from torch import nn


def small(num_classes=10, in_channels=1, image_size=28):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size * image_size, num_classes))
"""


def test_recipes(cli):
    text = cli("recipes").stdout
    rows = cli.json("recipes")
    assert [row["name"] for row in rows] == recipes.names()
    assert recipes.from_mapping(rows[0]) == recipes.load(rows[0]["name"])
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["recipe", "model"]
    assert len(lines) == 1 + len(rows)
    assert "99.45% (best)" in next(line for line in lines if line.startswith("ladder_7k_step"))


def test_a_recipe_goes_out_as_a_file_and_comes_back_as_the_same(cli, run, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in recipes.names():
        (tmp_path / "mine.toml").write_text(cli("recipe", name).stdout)
        there = recipes.load("mine.toml")
        assert there.numbers() == recipes.load(name).numbers()
        assert there.values("budget") == recipes.load(name).values("budget")
        assert (there.name, there.title, there.claim_test_accuracy) == ("mine", "", 0)
    (tmp_path / "mine.toml").write_text(cli("recipe", "digits", "--store", store).stdout)
    again = cli.json("train", "mine.toml", "--threads", 1, "--store", store)
    assert again["id"] == run.id
    assert "unknown recipe 'ladder7k'; did you mean 'ladder_7k'" in cli.error("recipe", "ladder7k")


def test_the_recipe_of_a_run_of_ones_own_network_is_the_same_question(cli, tmp_path, monkeypatch):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "net.py").write_text(OWN)
    monkeypatch.chdir(tmp_path / "nets")
    trained = cli.json("train", "net.py:small", "--dataset", "optdigits", "--epochs", 1, "--threads", 1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name, model in (
        (f"../nets/runs/{trained['id']}", "network.py:small"),
        ("../nets/net.py:small", "net.py:small"),
    ):
        text = cli("recipe", name).stdout
        assert f'{model}"' in text
        assert str(tmp_path) not in text
        (tmp_path / "elsewhere" / "mine.toml").write_text(text)
        monkeypatch.chdir(tmp_path)
        again = ("train", "elsewhere/mine.toml", "--dataset", "optdigits", "--epochs", 1, "--threads", 1)
        assert cli.json(*again, "--store", "nets/runs")["id"] == trained["id"]
        monkeypatch.chdir(tmp_path / "elsewhere")


def test_models(cli):
    rows = cli.json("models")
    assert {row["model"]: row["parameters"] for row in rows} == COUNTS
    assert all(row["what"] for row in rows)
    assert all(name in cli("models").stdout for name in MODELS)


def test_summary(cli):
    found = cli.json("summary", "ladder_7k")
    assert found["error"] is None
    assert "7,596" in cli("summary", "ladder_7k").stdout


def test_summary_says_which_engine_would_train_it_and_why(cli, tmp_path):
    (tmp_path / "odd.py").write_text(OWN.replace("nn.Flatten(), ", "nn.Flatten(), nn.Hardshrink(), "))
    (tmp_path / "small.py").write_text(OWN)
    last = cli("summary", f"{tmp_path}/odd.py:small").stdout.splitlines()[-1]
    assert last.startswith("engine: reference, ")
    assert "Hardshrink" in last
    assert "Hardshrink" in cli.json("summary", f"{tmp_path}/odd.py:small")["engine"]["why"]
    last = cli("summary", f"{tmp_path}/small.py:small").stdout.splitlines()[-1]
    assert cli.json("summary", f"{tmp_path}/small.py:small")["engine"]["name"] in last
    assert re.fullmatch(r"engine: \w+, .+: .+", last)


def test_summary_of_a_broken_network_fails(cli, tmp_path):
    file = tmp_path / "broken.py"
    file.write_text(
        "from torch import nn\ndef net(num_classes=10, in_channels=1, image_size=28):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(99, 10))\n"
    )
    assert "784" in cli("summary", f"{file}:net", code=1).stdout
    assert cli.json("summary", f"{file}:net", code=1)["error"]


def test_data_list(cli, tiny_mnist):
    rows = cli.json("data", "list")
    assert [row["name"] for row in rows] == list(DATASETS)
    assert rows[0]["folder"] == str(tiny_mnist)
    text = cli("data", "list").stdout
    assert "missing: lenette data fetch kmnist" in text


def test_data_verify(cli, tiny_mnist):
    rows = cli.json("data", "verify", "mnist")
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert cli.json("data", "verify", "kmnist", code=1)[0]["status"] == "missing"
    assert "missing" in cli("data", "verify", "kmnist", code=1).stdout


def test_data_import(cli, tiny_mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("LENETTE_DATA")
    place = cli("data", "import", "mnist", tiny_mnist).stdout.strip()
    assert place.startswith(f"mnist lies in {tmp_path}")
    assert cli.json("data", "verify", "mnist")[0]["status"] == "ok"
