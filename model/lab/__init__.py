"""Many sentences, every head; and which published findings hold for a model."""

from model.lab.measurement import LeftOut, Measurement
from model.lab.measuring import measure

__all__ = ["LeftOut", "Measurement", "measure"]
