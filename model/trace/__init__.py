"""Frozen results of one forward pass, and the protocols of a model and of a recorded layer (NumPy only)."""

from model.trace.attention import Attention
from model.trace.check import Check
from model.trace.trace import Trace

__all__ = ["Attention", "Check", "Trace"]
