"""The array type that signatures name (NumPy only)."""

import numpy as np

Array = np.ndarray
