"""The native engine: C++ kernels for small channel counts on a CPU; see README.md in this folder."""

from lenette.engines.native.engine import ARITHMETIC_VERSION, Engine

__all__ = ["ARITHMETIC_VERSION", "Engine"]
