"""The native engine: C++ kernels for small channel counts on a CPU; see README.md in this folder."""

from lenette.engines.native.engine import Engine
from lenette.engines.native.stages import supports

__all__ = ["Engine", "supports"]
