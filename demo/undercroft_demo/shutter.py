"""A rolling shutter before a screen that changes: which share of a picture's rows shows which of the codes.

The rows are read one after the other, each sees the light of its exposure, and a screen's pixels follow a change
slowly. A change takes place everywhere on the screen at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

READOUT_SECONDS: Final = 0.025
"""From the first row to the last."""
EXPOSURE_SECONDS: Final = 0.008
RESPONSE_SECONDS: Final = 0.005
"""After so long a pixel of the screen has done 1 - 1/e of its change."""
_MOMENTS: Final = 8
"""At which the light of an exposure is taken."""


def row_shares(shown_at: Sequence[float], began: float, rows: int) -> NDArray[np.float32]:
    """For each screen (a line; shown one after the other from these times on, the first at least before ``began``) its
    share of the light of every row (a column) of a picture whose first row is exposed from ``began`` on."""
    starts = began + np.arange(rows) * (READOUT_SECONDS / rows)
    moments = starts[:, None] + (np.arange(_MOMENTS) + 0.5) * (EXPOSURE_SECONDS / _MOMENTS)
    left = np.ones_like(moments)
    shares = np.empty((len(shown_at), rows), np.float32)
    for number in range(len(shown_at) - 1, 0, -1):
        since = np.maximum(moments - shown_at[number], 0.0)
        old = np.exp(-since / RESPONSE_SECONDS)
        shares[number] = (left * (1.0 - old)).mean(axis=1)
        left = left * old
    shares[0] = left.mean(axis=1)
    return shares
