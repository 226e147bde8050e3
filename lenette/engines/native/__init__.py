"""The native engine: C++ kernels for small channel counts on a CPU; see README.md in this folder."""

from lenette.engines.native.engine import Engine
from lenette.engines.native.generate import supports

__all__ = ["Engine", "supports"]
