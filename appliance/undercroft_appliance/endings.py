"""The exit codes by which the processes of an appliance tell each other why they ended."""

from __future__ import annotations

from typing import Final

EXIT_CODES: Final = {"port": 10, "panel": 11, "keeper": 12}
"""The supervisor's, when this process was the first to end by itself."""
OTHER_GONE: Final = 3
"""Of a process that ends because the other end of a channel is closed: that one was the first."""
HANDED_OVER: Final = 4
"""Of a keeper that has wiped what it held and left its handover: a fresh one is to be started."""
