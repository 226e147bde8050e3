"""Finding the compiler, and many processes that compile the same at once."""

import platform
import subprocess
import sys

import pytest

from lenette.engines.native import compiler
from lenette.errors import UnsupportedByEngine

SOURCE = 'extern "C" int answer() { return 42; }'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_compiles_once(cache, monkeypatch):
    assert compiler.compile_library(SOURCE).answer() == 42
    (library,) = cache.rglob("*.so")
    before = library.stat().st_mtime_ns
    assert compiler.compile_library(SOURCE).answer() == 42
    assert library.stat().st_mtime_ns == before
    compiler.compile_library(SOURCE, "double")
    monkeypatch.setattr(compiler, "FLAGS", (*compiler.FLAGS, "-DANOTHER"))
    compiler.compile_library(SOURCE)
    assert len(list(cache.rglob("*.so"))) == 3


def test_compiles_anew_for_other_headers(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "HEADERS", tmp_path)
    for answer in (1, 2, 1):
        (tmp_path / "answer.hpp").write_text(f"constexpr int kAnswer = {answer};")
        source = '#include "answer.hpp"\nextern "C" int answer() { return kAnswer; }'
        assert compiler.compile_library(source).answer() == answer
    assert len(list(cache.rglob("*.so"))) == 2


INTEL = """
processor       : 0
vendor_id       : GenuineIntel
cpu family      : 6
model           : 85
model name      : Intel(R) Xeon(R) Gold 6148
microcode       : 0x1
flags           : fpu sse2 pni ssse3 {sets} hypervisor smep
bugs            : spectre_v1
"""
ARM = """
CPU implementer : 0x41
CPU part        : 0xd0c
Features        : {sets} fp asimd aes
"""


@pytest.mark.parametrize("cpuinfo", [INTEL, ARM])
def test_a_processor_is_its_model_and_its_vectors(cpuinfo, tmp_path, monkeypatch):
    def processor(text):
        (tmp_path / "cpuinfo").write_text(text)
        return compiler.processor.__wrapped__()

    monkeypatch.setattr(compiler, "CPUINFO", tmp_path / "cpuinfo")
    first = processor(cpuinfo.format(sets="avx2 fma asimdhp"))
    after_an_update = {
        "0x1": "0x2",
        "hypervisor": "flush_l1d",
        "spectre_v1": "spectre_v1 gds",
        " aes": " aes ssbs evtstrm",
    }
    updated = cpuinfo
    for old, new in after_an_update.items():
        updated = updated.replace(old, new)
    assert processor(updated.format(sets="fma  asimdhp avx2")) == first
    assert processor(cpuinfo.format(sets="avx2 fma asimdhp") * 2) == first
    others = [
        cpuinfo.format(sets="fma"),
        updated.replace("85", "86").replace("0xd0c", "0xd40").format(sets="avx2 fma asimdhp"),
    ]
    assert len({first, *map(processor, others)}) == 3


def test_a_processor_without_that_file_has_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "CPUINFO", tmp_path / "none")
    assert platform.machine() in compiler.processor.__wrapped__()


def test_processes_may_compile_at_once(cache):
    code = f"from lenette.engines.native.compiler import compile_library as c; assert c({SOURCE!r}).answer() == 42"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert [path.suffix for path in (cache / "lenette" / "native").iterdir()] == [".so"]


def test_names_what_it_sought(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UnsupportedByEngine, match=r"c\+\+, g\+\+, clang\+\+"):
        compiler.find()
    monkeypatch.setenv("CXX", "mycc --fast")
    with pytest.raises(UnsupportedByEngine, match="CXX = 'mycc --fast'"):
        compiler.find()


def test_takes_the_environments_compiler(monkeypatch):
    monkeypatch.setenv("CXX", f"{sys.executable} -x")
    assert compiler.find() == [sys.executable, "-x"]


def test_refuses_windows(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Windows")
    with pytest.raises(UnsupportedByEngine, match="Windows"):
        compiler.find()


def test_refuses_what_is_no_compiler_and_a_cache_that_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with pytest.raises(UnsupportedByEngine, match="keeps its libraries in"):
        compiler.compile_library(SOURCE)
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(UnsupportedByEngine, match="'false --version' fails"):
        compiler.compile_library(SOURCE)


def test_shows_the_compilers_words(cache):
    with pytest.raises(UnsupportedByEngine, match="error"):
        compiler.compile_library("int broken(")
    assert not list(cache.rglob("*.so"))
