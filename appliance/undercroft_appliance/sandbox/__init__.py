"""The walls around each process of an appliance: its own user, Landlock, and a seccomp filter.

They go up once everything is imported and opened, and never come down: what comes in from the line, from the owner
or from a library with a hole in it finds no file, no socket, no program and no other process behind them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from . import landlock, seccomp
from .process import USERS, become, give_up_capabilities, harden_process
from .profiles import KEEPER, PANEL, PORT, REFUSED
from .seccomp import Rule

__all__ = ["Walls", "confine"]

_NO_LANDLOCK: Final = "WARNING: this kernel has no Landlock; only seccomp keeps the processes from files and networks."
_PROFILES: Final[dict[str, Iterable[Rule]]] = {"keeper": KEEPER, "panel": PANEL, "port": PORT}


@dataclass(frozen=True, slots=True)
class Walls:
    """What stands around a process: its user id, whether that is its own, and the kernel's version of Landlock."""

    user: int
    own_user: bool
    landlock: int

    @property
    def lines(self) -> tuple[str, ...]:
        """For the owner's screen and the log."""
        user = f"own user {self.user}" if self.own_user else f"user {self.user}, who started it"
        return (f"Keeper: {user}; seccomp; Landlock {self.landlock or 'missing'}",)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the owner has to know."""
        return () if self.landlock else (_NO_LANDLOCK,)


def confine(name: str) -> Walls:
    """Put up the walls of the ``keeper``, the ``panel`` or the ``port`` around this process.

    Where the kernel has no Landlock the filter stands alone. Raises ConfigurationError where there can be no filter,
    or another part fails.
    """
    become(USERS[name])
    give_up_capabilities()
    harden_process()
    user, version = os.geteuid(), landlock.restrict()
    seccomp.install(_PROFILES[name], REFUSED)
    return Walls(user, user == USERS[name], version)
