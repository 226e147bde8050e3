"""Write the tables in docs/ of certificates and engines, and ARCHITECTURE.md's tree from every file's first sentence.

python docs/readme.py
"""

import ast
import json
import re
from pathlib import Path

from lenette.evidence.proof import read_done, recipe_of

ROOT = Path(__file__).parent.parent
ENGINES = ROOT / "results" / "benchmarks" / "engines.json"
CERTIFICATES = ROOT / "results" / "certificates"
FOLDERS = {
    "src/lenette/recipes": "the shipped recipes, one TOML file each; and what a recipe is",
    "tests": "mirrors src/lenette/",
    "results": "committed evidence: proofs, studies, benchmarks",
    "docs": "what the README shows, the script that makes its tables, the log of what was tried",
}


def tree() -> str:
    """Return the tree as a Markdown code block, a line a file."""
    lines = []
    for top in ("src/lenette", "notebooks", "benchmarks"):
        lines += _folder(ROOT / top, 0)
    for name in ("docs", "results", "tests"):
        lines.append(_line(0, f"{name}/", FOLDERS[name]))
    return "```text\n" + "\n".join(lines) + "\n```\n"


def certificates() -> str:
    """Return the table of our own recipes, as their proofs have it."""
    lines = [
        "\n| recipe | parameters | epochs | seeds | test, last epoch (95 % interval) | range | aim | verdict |",
        "|---|--:|--:|--:|---|---|--:|---|",
    ]
    proofs = [read_done(path) for path in CERTIFICATES.glob("*.json")]
    for proof in sorted(proofs, key=lambda proof: proof.network.counts.trainable):
        found = proof.summary
        mean, low, high, minimum, maximum = (
            f"{100 * getattr(found, name):.2f}" for name in ("mean", "low", "high", "minimum", "maximum")
        )
        cells = [
            f"`{proof.name}`",
            f"{proof.network.counts.trainable:,}",
            recipe_of(proof).epochs,
            found.num_seeds,
            f"{mean} ({low} to {high})",
        ]
        cells += [f"{minimum} to {maximum}", f"{100 * (proof.rule.accuracy or 0):.2f}", proof.verdict.verdict]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n\n"


def engines() -> str:
    """Return the table of the engines' speed, as the benchmark last measured it."""
    measured = json.loads(ENGINES.read_text(encoding="utf-8"))
    machine = measured["machine"]
    lines = [
        f"Seconds for an epoch of MNIST, training alone; {machine['processor']}, {machine['threads']} threads, "
        f"torch {machine['torch']} at its best of eager, channels_last and compile in float32 ({machine['date']}, "
        "`make bench`, [all of it](../results/benchmarks/engines.md)).\n",
        "| network | PyTorch | native | times faster |",
        "|---|--:|--:|--:|",
    ]
    for name, row in measured["networks"].items():
        seconds = row["epoch_seconds"]
        best = min(seconds[side] for side in ("eager", "channels_last", "compile"))
        lines.append(f"| `{name}` | {best:.2f} | {seconds['native']:.2f} | {row['times_faster']:.1f} |")
    whole = measured["whole_run"]
    lines.append(
        f"\n`lenette train ladder_7k_step`, 15 epochs, from start to report: {whole['seconds']:.1f} s "
        f"({whole['first_seconds']:.1f} s the first time, when the network is compiled)."
    )
    return "\n".join(lines) + "\n"


# What stands between two marks `<!-- NAME:begin -->` and `<!-- NAME:end -->` of these documents.
MADE = {
    "ARCHITECTURE.md": {"tree": tree},
    "docs/CERTIFICATES.md": {"certificates": certificates},
    "docs/ENGINES.md": {"engines": engines},
}


def renewed(document: str) -> str:
    """Return a document's text with what stands between its marks made anew."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for name, made in MADE[document].items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, _, rest = text.partition(begin)
        text = before + begin + made() + end + rest.partition(end)[2]
    return text


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
    for document in MADE:
        (ROOT / document).write_text(renewed(document), encoding="utf-8")
