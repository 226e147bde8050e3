"""A trained network on whole numbers: what is shipped, and the arithmetic that every form of it keeps to."""

from lenette.integer.interpreter import logits
from lenette.integer.network import IntegerNetwork
from lenette.integer.quantise import quantise

__all__ = ["IntegerNetwork", "logits", "quantise"]
