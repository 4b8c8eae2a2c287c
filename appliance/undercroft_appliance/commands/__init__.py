"""The commands of `undercroft-appliance` that an appliance's image has; what all commands share."""

from __future__ import annotations

import argparse
from typing import Final, TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where a command adds its parser."""

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_USAGE: Final = 2
EXIT_REFUSED: Final = 5
EXIT_HELD: Final = 6
EXIT_INTERRUPTED: Final = 130
