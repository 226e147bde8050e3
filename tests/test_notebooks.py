"""The notebooks run from top to bottom on a small budget, and the executed ones are those of the text beside them."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

import lenette

FOLDER = Path(__file__).parents[1] / "notebooks"
MOST_BYTES = 1_000_000


def _execute_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXECUTE = _execute_module()
NAMES = EXECUTE.names()


def test_there_is_a_notebook_for_every_document() -> None:
    assert set(NAMES) == {
        "backpropagation",
        "document_a_lenet5",
        "document_a_sigmoid_mlp",
        "four_conv_593k",
        "ladder_7k",
        "under_20k",
    }


@pytest.mark.parametrize("name", NAMES)
def test_runs_on_a_small_budget(name: str, tmp_path: Path) -> None:
    notebook = EXECUTE.execute(name, tmp_path, small=True)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert len(nbformat.writes(notebook)) < MOST_BYTES


def test_small_takes_the_place_of_the_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '# %% tags=["parameters"]\nEPOCHS = 20\n\n# %%\nprint(DATASET, EPOCHS, SEEDS, PROCESSES)\n'
    (tmp_path / "one.py").write_text(text)
    monkeypatch.setattr(EXECUTE, "HERE", tmp_path)
    notebook = EXECUTE.execute("one", tmp_path, small=True)
    assert notebook.cells[-1].outputs[0].text == "optdigits 1 1 1\n"


@pytest.mark.parametrize("name", NAMES)
def test_uses_public_names_only(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr
            if isinstance(node.value, ast.Name) and node.value.id == "lenette":
                assert node.attr in lenette.__all__


@pytest.mark.parametrize("name", NAMES)
def test_first_cell_installs_and_one_cell_holds_the_parameters(name: str) -> None:
    first, *rest = [cell for cell in EXECUTE.read(name).cells if cell.cell_type == "code"]
    assert '"pip", "install", "--quiet", ".."]' in first.source  # the clone: no index has a package of ours
    assert len([cell for cell in rest if cell.metadata.get("tags") == ["parameters"]]) == 1


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_executed_notebook_is_that_of_its_text(path: Path) -> None:
    notebook, text = nbformat.read(path, as_version=4), EXECUTE.read(path.stem)
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in text.cells]
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert path.stat().st_size < MOST_BYTES
