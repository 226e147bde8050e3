"""Write the README's tree from the first sentence of every file: python docs/tree.py."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- tree:begin -->\n", "<!-- tree:end -->"
FOLDERS = {
    "lenette/recipes": "the ten recipes, one TOML file each; and what a recipe is",
    "tests": "mirrors lenette/",
    "results": "committed evidence: proofs, studies, benchmarks",
    "docs": "what the README shows, and the script that makes this tree",
}


def tree() -> str:
    """Return the tree as a Markdown code block, a line a file."""
    lines = []
    for top in ("lenette", "notebooks", "benchmarks"):
        lines += _folder(ROOT / top, 0)
    for name in ("docs", "results", "tests"):
        lines.append(_line(0, f"{name}/", FOLDERS[name]))
    return "```text\n" + "\n".join(lines) + "\n```\n"


def with_tree(readme: str) -> str:
    """Return the README's text with the tree between its two marks."""
    before, _, rest = readme.partition(BEGIN)
    return before + BEGIN + tree() + END + rest.partition(END)[2]


def _folder(folder: Path, depth: int) -> list[str]:
    name = str(folder.relative_to(ROOT))
    initial = folder / "__init__.py"
    lines = [
        _line(depth, f"{folder.name}/", FOLDERS.get(name) or (first_sentence(initial) if initial.exists() else ""))
    ]
    kept = [path for path in sorted(folder.iterdir()) if path.suffix in (".py", ".hpp") and path.name != "__init__.py"]
    lines += [_line(depth + 1, path.name, first_sentence(path)) for path in kept]
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir() and any(path.glob("*.py"))]
    return lines + [line for path in folders for line in _folder(path, depth + 1)]


def first_sentence(path: Path) -> str:
    """Return what a file says of itself: its docstring's, heading's or comment's first sentence."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".hpp":
        said = " ".join(line.removeprefix("//") for line in re.match(r"(//.*\n)+", text)[0].splitlines())
    else:
        said = ast.get_docstring(ast.parse(text)) or next(
            (line.removeprefix("# # ") for line in text.splitlines() if line.startswith("# # ")), ""
        )
    said = " ".join(said.split("\n\n")[0].split())
    return re.split(r"(?<=[^.])\.(?: |$)", said)[0]


def _line(depth: int, name: str, said: str) -> str:
    return f"{'  ' * depth + name:28}{said}".rstrip()


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(with_tree(path.read_text(encoding="utf-8")), encoding="utf-8")
