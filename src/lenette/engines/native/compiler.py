"""Compile C++ with the system's compiler for this machine, once; other processes find it in the user's cache."""

import ctypes
import hashlib
import os
import platform
import re
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
CPUINFO = Path("/proc/cpuinfo")
# What that file calls a processor's model (x86, then ARM), and its instructions for vectors and floating point.
MODEL = ("vendor_id", "cpu family", "model", "model name", "CPU implementer", "CPU part")
VECTORS = {"flags": "s?sse|pni|avx|fma|f16c|xop|amx|bmi", "Features": "fp|asimd|sve|sme|fcma|frint|bf16|i8mm"}


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
def version(command: tuple[str, ...]) -> str:
    """Return the first line of what the compiler says of its version.

    Raises:
        UnsupportedByEngine: it says nothing.
    """
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        raise UnsupportedByEngine(f"'{shlex.join(command)} --version' fails, so it is no C++ compiler: set CXX to one")
    return done.stdout.splitlines()[0]


@cache
def processor() -> str:
    """Return what of this processor decides the bits of code compiled for it: its model and vector instructions.

    The instruction sets decide how many images a vector holds and whether a multiply-add is fused. The compiler takes
    its tuning from the model, and that may decide which of two products it fuses. All else that /proc/cpuinfo says
    (mitigations, virtualisation, clocks, ciphers) changes no sum, and comes and goes with the kernel. Where there is no
    such file, the answer is what Python's `platform` knows.
    """
    try:
        lines = CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    found: dict[str, None] = {}
    for line in lines:
        name, _, value = (part.strip() for part in line.partition(":"))
        if name in MODEL:
            found[value] = None
        elif name in VECTORS:
            found |= dict.fromkeys(sorted(word for word in value.split() if re.match(VECTORS[name], word)))
    return " ".join(found) or f"{platform.machine()} {platform.processor()}"


def machine() -> str:
    """Return the flag that has the code compiled for this processor."""
    return "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"


def build_of(scalar: str = "float") -> dict[str, str]:
    """Return what turns the C++ into instructions, and so decides how its sums are rounded."""
    command = find()
    return {
        "compiler": f"{shlex.join(command)}: {version(tuple(command))}",
        "flags": shlex.join([*FLAGS, machine(), f"-DLENETTE_SCALAR={scalar}"]),
        "processor": processor(),
    }


def compile_library(source: str, scalar: str = "float") -> ctypes.CDLL:
    """Return the compiled library of that C++ source; the cache goes by all that is compiled and by the build.

    Several processes may ask for it at the same time: each writes a file of its own, and the last one stays.

    Raises:
        UnsupportedByEngine: there is no compiler or cache, or the compiler fails; the message holds its words.
    """
    build = build_of(scalar)
    headers = (path.read_text(encoding="utf-8") for path in sorted(HEADERS.glob("*.hpp")))
    digest = hashlib.sha256("\0".join([source, *headers, *build.values()]).encode()).hexdigest()
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
