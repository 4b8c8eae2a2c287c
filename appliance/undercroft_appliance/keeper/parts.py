"""What every handler works with."""

from __future__ import annotations

from dataclasses import dataclass

from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Value, sign_statement

from .addresses import FILLED_AT_UNLOCK
from .keys import Keys
from .log import Log
from .owner import OwnerScreen
from .session import Session


@dataclass(frozen=True, slots=True)
class Setup:
    """What the keeper was started with; ``ask_seconds`` is how long a question stays open.

    ``walls``: lines that say what keeps the process apart; ``warnings``: what the owner must know about this machine;
    ``addresses``: how many of each branch are derived at unlock, so that signing need not wait for them; ``codes``:
    there is a screen for codes.
    """

    network: Network
    firmware_hash: bytes
    ask_seconds: float
    walls: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    addresses: int = FILLED_AT_UNLOCK
    codes: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """One keeper's parts."""

    setup: Setup
    session: Session
    keys: Keys
    screen: OwnerScreen
    log: Log
    tty_fd: int

    def state(self, statement: Value) -> bytes:
        """A statement signed by the owner's identity; raises KeyringLockedError."""
        return sign_statement(statement, self.keys.identity_public_key, self.keys.sign_identity)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A handler's answer: the body of the reply, what the owner is told, and what happens after the reply is sealed.

    A body of bytes is a PSBT, which is the reply itself. ``lock``: why to lock then. ``refused``: it counts towards the
    ten refusals after which an armed appliance wipes itself. ``waits_for``: the held transactions (txids) whose
    verdicts in this reply are still open. ``kept``: the same bytes again get the same reply.
    """

    body: Value | bytes
    title: str
    lines: tuple[str, ...] = ()
    lock: str | None = None
    refused: bool = False
    waits_for: frozenset[bytes] = frozenset()
    kept: bool = True
