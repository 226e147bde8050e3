"""The README's commands and programs run, and what a script writes in the documents is up to date."""

import re
import runpy
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from lenette import many
from lenette.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture
def place(tmp_path, monkeypatch, tiny_mnist):
    """A folder with the README's own network and picture; MNIST is a tiny one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(many, "cores", lambda: 1)  # processes of their own would not know the tiny one
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "seven.png").write_bytes((ROOT / "docs" / "seven.png").read_bytes())
    (tmp_path / "tiny.py").write_text(next(block for block in blocks("python") if "def tiny" in block))
    return tmp_path


def test_commands(place):
    commands = [command for command in COMMANDS if command.startswith("lenette ")]
    assert len(commands) > 10
    for command in commands:
        words = shlex.split(re.sub(r"--epochs \d+", "--epochs 1", command))[1:]
        if words[0] == "train" and "--epochs" not in words:
            words += ["--epochs", "1"]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{command}: {result.output}"


def test_it_is_short_and_its_links_lead_somewhere():
    assert len(README.encode()) <= 9_000
    for document in ("README.md", "docs/CLAIMS.md", "docs/CERTIFICATES.md", "docs/ENGINES.md"):
        path = ROOT / document
        for link in re.findall(r"\]\(([^)#:]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).exists(), f"{document}: {link}"


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = [command.split()[1] for command in COMMANDS if command.startswith("make ")]
    assert "demo" in targets
    for target in targets:
        assert f"\n{target}:" in makefile


def test_five_line_program(place, capsys):
    program = next(block for block in blocks("python") if "lenette.train" in block)
    assert len([line for line in program.splitlines() if line]) <= 5
    exec(program.replace("epochs=5", "epochs=1"), {})
    assert "epoch 1/1" in capsys.readouterr().out


@pytest.mark.parametrize("document", ["docs/CERTIFICATES.md", "docs/ENGINES.md", "ARCHITECTURE.md"])
def test_what_a_script_writes_is_up_to_date(document):
    renewed = runpy.run_path(str(ROOT / "docs" / "readme.py"))["renewed"]
    assert renewed(document) == (ROOT / document).read_text(encoding="utf-8"), "run: python docs/readme.py"
