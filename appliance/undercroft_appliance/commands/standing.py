"""What the commands judge against: nothing was signed before, and that is known."""

from __future__ import annotations

import math

from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import Standing
from undercroft_appliance.keeper.ledger import Ledger


def clean_standing(utc: int, height: int | None) -> Standing:
    """An empty, known ledger and history at this time (seconds since 1970); ``height``: the chain's last known one."""
    return Standing(0.0, utc, Ledger(-math.inf), History(), height)
