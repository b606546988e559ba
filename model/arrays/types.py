"""Names for array types (NumPy only)."""

import numpy as np

Array = np.ndarray
