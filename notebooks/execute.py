"""Turn the notebooks into executed .ipynb files: python notebooks/execute.py [--small] [--to FOLDER] [NAME ...]."""

import argparse
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
# What takes the place of the values in the cell tagged "parameters", to see in seconds that all cells run.
SMALL = 'DATASET = "optdigits"\nEPOCHS = 1\nSEEDS = 1\nPROCESSES = 1'


def names() -> list[str]:
    """Return the names of the notebooks."""
    return sorted(path.stem for path in HERE.glob("*.py") if path != Path(__file__))


def read(name: str) -> nbformat.NotebookNode:
    """Return the notebook of that name as its text has it, without outputs."""
    notebook = jupytext.read(HERE / f"{name}.py")
    for number, cell in enumerate(notebook.cells):
        cell.id = (
            f"cell-{number}"  # jupytext draws them by lot, and a repository would see a change where there is none
        )
    return notebook


def execute(name: str, folder: Path, small: bool = False) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of all its cells, executed in `folder`, where its runs are kept.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = read(name)
    if small:
        place = next(
            place for place, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])
        )
        notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(SMALL, id="small"))
    NotebookClient(
        notebook,
        timeout=None,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
    ).execute()
    return notebook


def main() -> None:
    """Execute the named notebooks, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", default=names(), help=", ".join(names()))
    parser.add_argument("--small", action="store_true", help="few images, one epoch, one seed")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=HERE, help="where the .ipynb are written")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names()):
        parser.error(f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    for name in arguments.names:
        path = arguments.to / f"{name}.ipynb"
        nbformat.write(execute(name, arguments.to, arguments.small), path)
        print(f"{path} ({path.stat().st_size / 1000:,.0f} kB)", flush=True)


if __name__ == "__main__":
    main()
