"""Headlight's model side: open a model, trace a sentence, read every number of that pass.

lens = model.load("en-fr")
trace = lens.trace("The red car stopped.")
trace.attentions["cross"].weights(layer=2)
"""

from model.catalog import load
from model.edits import Edits
from model.trace import Attention, Check, Trace

__all__ = ["Attention", "Check", "Edits", "Trace", "load"]
