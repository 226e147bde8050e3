"""Compile C++ with the system's compiler for this machine, once; other processes find it in the user's cache."""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

from lenette.errors import UnsupportedByEngine

COMPILERS = ("c++", "g++", "clang++")
# Contraction to fused multiply-adds is most of the speed. None of these flags lets the compiler reorder a sum.
FLAGS = (
    "-std=c++17",
    "-O3",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-psabi",
    "-fPIC",
    "-shared",
    "-pthread",
)
HEADERS = Path(__file__).parent


def find() -> list[str]:
    """Return the C++ compiler's command: the environment's CXX, or the first of COMPILERS that is installed.

    Raises:
        UnsupportedByEngine: there is none.
    """
    if platform.system() == "Windows":
        raise UnsupportedByEngine("the native engine doesn't run on Windows: use the reference engine")
    named = shlex.split(os.environ.get("CXX", ""))
    for command in [named] if named else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    sought = f"CXX = '{os.environ['CXX']}'" if named else ", ".join(COMPILERS)
    raise UnsupportedByEngine(
        f"the native engine needs a C++ compiler and finds none (sought: {sought}): install g++ or clang++, or use the "
        "reference engine"
    )


@cache
def _version(command: tuple[str, ...]) -> str:
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        raise UnsupportedByEngine(f"'{shlex.join(command)} --version' fails, so it is no C++ compiler: set CXX to one")
    return done.stdout.splitlines()[0]


@cache
def processor() -> str:
    """Return what names this processor and what it can do, since the code is compiled for it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "CPU implementer", "CPU part", "Features")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def build_of(scalar: str) -> dict[str, str]:
    """Return what decides the bits of a compiled network, together with its source and the number of threads."""
    command = find()
    machine = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    headers = b"".join(path.read_bytes() for path in sorted(HEADERS.glob("*.hpp")))
    return {
        "engine": "native",
        "compiler": f"{shlex.join(command)}: {_version(tuple(command))}",
        "flags": shlex.join([*FLAGS, machine, f"-DLENETTE_SCALAR={scalar}"]),
        "headers": hashlib.sha256(headers).hexdigest(),
        "processor": hashlib.sha256(processor().encode()).hexdigest(),
    }


def compile_library(source: str, scalar: str = "float") -> ctypes.CDLL:
    """Return the compiled library of that C++ source.

    Several processes may ask for it at the same time: each writes a file of its own, and the last one stays.

    Raises:
        UnsupportedByEngine: there is no compiler or cache, or the compiler fails; the message holds its words.
    """
    build = build_of(scalar)
    digest = hashlib.sha256("\0".join([source, *build.values()]).encode()).hexdigest()
    folder = user_cache_path("lenette") / "native"
    library = folder / f"{digest[:32]}.so"
    if not library.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnsupportedByEngine(
                f"the native engine keeps its libraries in {folder}, which fails: {error}"
            ) from error
        with tempfile.TemporaryDirectory(dir=folder) as place:
            text, made = Path(place) / "network.cpp", Path(place) / "network.so"
            text.write_text(source)
            command = [*find(), *shlex.split(build["flags"]), f"-I{HEADERS}", str(text), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                words = "\n".join(done.stderr.splitlines()[:20])
                raise UnsupportedByEngine(f"the native engine's C++ doesn't compile: {shlex.join(command)}\n{words}")
            os.replace(made, library)
    return ctypes.CDLL(str(library))
