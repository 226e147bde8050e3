"""The clone's folder may lie beside a user's script, and be called lenette: the package is what is imported."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_script_beside_the_clone_imports_the_package(tmp_path):
    clone = tmp_path / "lenette"
    for folder in (path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."):
        (clone / folder.name).mkdir(parents=True)
    (tmp_path / "script.py").write_text("import lenette\nprint(lenette.train.__module__, lenette.__file__)\n")
    command = [sys.executable, "script.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    module, _, file = said.stdout.strip().partition(" ")
    assert module == "lenette.training"
    assert Path(file).parts[-3:] == ("src", "lenette", "__init__.py")
    assert not (ROOT / "lenette").exists()
