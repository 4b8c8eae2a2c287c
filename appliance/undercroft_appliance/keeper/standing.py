"""What a transaction is weighed against, and the case that every rule looks at."""

from __future__ import annotations

from dataclasses import dataclass

from undercroft_protocol.messages import Policy

from .history import History
from .ledger import Ledger
from .proven import ProvenTransaction
from .signed import PastTransaction


@dataclass(frozen=True, slots=True)
class Standing:
    """Clocks (monotonic seconds, seconds since 1970) and what went before.

    ``height`` is the host's last one in this activation; what was heard before it stands in the history.
    """

    now: float
    utc: int
    ledger: Ledger
    history: History
    height: int | None


@dataclass(frozen=True, slots=True)
class Case:
    """One transaction under one policy.

    ``past`` is what would be remembered of it, ``rivals`` the transactions that were signed for any of its coins, and
    ``debit_sats`` what would be counted; it is less than what leaves only for a fee bump.
    """

    proven: ProvenTransaction
    policy: Policy
    standing: Standing
    past: PastTransaction
    rivals: tuple[PastTransaction, ...]
    debit_sats: int

    @classmethod
    def of(cls, proven: ProvenTransaction, policy: Policy, standing: Standing) -> Case:
        """What the rules look at."""
        past = PastTransaction.of(proven)
        rivals = standing.history.rivals(past)
        return cls(proven, policy, standing, past, rivals, standing.history.debit_sats(proven.leaves_sats, rivals))
