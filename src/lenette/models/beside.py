"""What a network's file needs from beside it, kept with it in one text: modules that it imports, files that it names.

The text of several files is that of each under a line `#: beside NAME`, and the network's own, `#: network NAME`, last.
What is no Python stands there as comments: text behind `#| `, bytes in base64 behind `#= `.
"""

import ast
import base64
import hashlib
import os
import re
import shutil
import sys
import tempfile
from atexit import register
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from lenette.errors import ModelError

MAX_BYTES = 16 << 20  # of all files beside one network
HEAD = re.compile(r"^#: (beside|network) (.+)\n", re.MULTILINE)


def together(text: str, path: Path) -> str:
    """Return the text of a network's file with what it needs from beside it; the text alone where that is nothing.

    Found are modules and packages that an import names, in modules beside it too, and files whose names, seen from the
    file's folder, stand in the text as a whole.

    Raises:
        ModelError: these are too large to be kept with a run.
    """
    if HEAD.search(text):
        return text
    found: dict[str, bytes] = {}
    _collect(text, path.parent, path.parent, found)
    found.pop(path.name, None)
    if (size := sum(map(len, found.values()))) > MAX_BYTES:
        raise ModelError(
            f"{path}: the files beside it that it needs ({', '.join(sorted(found))}) have {size:,} bytes; "
            f"the most that is kept with a run is {MAX_BYTES:,}"
        )
    return joined(path.name, text, found)


def joined(name: str, text: str, files: dict[str, bytes]) -> str:
    """Return the text of the network's file `name` and of the files beside it as one."""
    if not files:
        return text
    parts = [f"#: beside {beside}\n{_written(beside, files[beside])}" for beside in sorted(files)]
    return "".join([*parts, f"#: network {name}\n{text}"])


def apart(text: str, name: str) -> tuple[str, str, dict[str, bytes]]:
    """Return a network's file's name, `name` where the text is no other's, its own text, and the files beside it."""
    heads = list(HEAD.finditer(text))
    if not heads:
        return name, text, {}
    ends = [head.start() for head in heads[1:]] + [len(text)]
    parts = {head[2]: text[head.end() : end] for head, end in zip(heads, ends, strict=True)}
    last = heads[-1][2]
    return last, parts.pop(last), {beside: _read(content) for beside, content in parts.items()}


@contextmanager
def laid_out(text: str, name: str) -> Iterator[tuple[Path, str]]:
    """Lay the files out in a folder of their own and work there; yield the network's file and its own text.

    Imports find what lies there first. A name that is missing there is a ModelError.
    """
    name, own, files = apart(text, name)
    folder = _folder(text, name)
    modules = {beside.partition("/")[0].removesuffix(".py") for beside in files if beside.endswith(".py")}
    former = {key: sys.modules.pop(key) for key in list(sys.modules) if key.partition(".")[0] in modules}
    here = os.getcwd()
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    try:
        yield folder / name, own
    finally:
        os.chdir(here)
        sys.path.remove(str(folder))
        for key in [key for key in sys.modules if key.partition(".")[0] in modules]:
            del sys.modules[key]
        sys.modules.update(former)


def missing(error: BaseException) -> str:
    """Say what to do where a network's file reads what was not kept with it; "" for any other error."""
    name = getattr(error, "filename", None)
    if not isinstance(error, FileNotFoundError) or not isinstance(name, str | os.PathLike):
        return ""
    return (
        f": '{Path(name).name}' is not kept with the run. Files are looked for beside the network's own; write their "
        "names in one piece, as in open(Path(__file__).parent / 'sizes/width.json')"
    )


def _collect(text: str, folder: Path, root: Path, found: dict[str, bytes]) -> None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # who runs it will say so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                _take_file(node.value, folder, root, found)
            continue
        for name in names:
            _take_module(name.partition(".")[0], root, found)


def _take_module(name: str, root: Path, found: dict[str, bytes]) -> None:
    if name in sys.stdlib_module_names:
        return
    module, package = root / f"{name}.py", root / name
    files = [module] if module.is_file() else sorted(package.rglob("*.py")) if package.is_dir() else []
    for file in files:
        key = file.relative_to(root).as_posix()
        if key not in found:
            found[key] = file.read_bytes()
            _collect(found[key].decode(errors="replace"), file.parent, root, found)


def _take_file(name: str, folder: Path, root: Path, found: dict[str, bytes]) -> None:
    name = name.strip("/").removeprefix("./")
    if not name or len(name) > 200 or "\n" in name or "\0" in name or ".." in name:
        return
    file = folder / name
    if file.suffix != ".py" and file.is_file():
        found[file.relative_to(root).as_posix()] = file.read_bytes()


def _written(name: str, content: bytes) -> str:
    if name.endswith(".py"):
        text = content.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
        return text if text.endswith("\n") else text + "\n"
    if content.isascii() and b"\r" not in content and content.endswith(b"\n"):
        return "".join(f"#| {line}\n" for line in content.decode()[:-1].split("\n"))
    code = base64.b64encode(content).decode()
    return "".join(f"#= {code[at : at + 96]}\n" for at in range(0, len(code), 96))


def _read(text: str) -> bytes:
    lines = text.split("\n")[:-1]
    if lines and all(line.startswith("#| ") for line in lines):
        return "".join(f"{line[3:]}\n" for line in lines).encode()
    if lines and all(line.startswith("#= ") for line in lines):
        return base64.b64decode("".join(line[3:] for line in lines))
    return text.encode("utf-8", "surrogateescape")


def _folder(text: str, name: str) -> Path:
    return _made(hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest(), text, name)


@cache
def _made(_: str, text: str, name: str) -> Path:
    """Return a new folder with the files, which is gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="lenette-network-")).resolve()
    register(shutil.rmtree, folder, ignore_errors=True)
    _, own, files = apart(text, name)
    for beside, content in {**files, name: own.encode()}.items():
        file = (folder / beside).resolve()
        if not file.is_relative_to(folder):
            raise ModelError(f"'{beside}' lies outside of the network's folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder
