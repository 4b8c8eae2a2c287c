"""The clock is passed in, so that a test can say what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], int]
"""UTC, in whole seconds since 1970-01-01."""


def system_clock() -> int:
    """The machine's clock."""
    return int(time.time())
