"""What the prove stage hands on: a transaction in which nothing is left that a host merely claims.

Both doors make it, the batch's (`prove`) and the PSBT's (`psbt_door`); the stages behind them know no other form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction

CHANGE_BRANCH = 1


class ProvenInput(NamedTuple):
    """A coin of the quorum: the amount (sats) out of its previous transaction, the script rebuilt from the quorum.

    ``own_tweak`` is the address book's (see ``Address``). A tuple, since one is made for each of many inputs.
    """

    outpoint: Outpoint
    amount_sats: int
    branch: int
    index: int  # type: ignore[assignment]  # hides tuple.index
    witness_script: bytes
    own_tweak: bytes | None = None


@dataclass(frozen=True, slots=True)
class Payee:
    """Somebody else who gets something.

    In a batch it is what the risk service cleared, by which rules, until when (``expires``, seconds since 1970). In a
    PSBT nobody cleared it: withdrawal id, expiry and rules are None.
    """

    script: bytes
    amount_sats: int
    withdrawal_id: str | None = None
    expires: int | None = None
    ruleset_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class OwnOutput:
    """What comes back to the quorum: its script was rebuilt from branch and index."""

    script: bytes
    amount_sats: int
    branch: int
    index: int

    @property
    def is_change(self) -> bool:
        """Change lies on branch 1; what goes to a receiving address of ours is counted as if it left."""
        return self.branch == CHANGE_BRANCH


@dataclass(frozen=True, slots=True)
class ProvenTransaction:
    """A transaction that the appliance itself has put together or taken apart, and can vouch for.

    ``outputs`` are in the transaction's order; ``txid`` is 32 bytes in wire order.
    """

    transaction: Transaction
    inputs: tuple[ProvenInput, ...]
    outputs: tuple[Payee | OwnOutput, ...]
    fee_sats: int
    vsize: int
    txid: bytes = field(init=False)

    def __post_init__(self) -> None:
        # Hashed once: rules and records ask for it again and again.
        object.__setattr__(self, "txid", self.transaction.txid)

    @property
    def payees(self) -> tuple[Payee, ...]:
        """Who is paid."""
        return tuple(output for output in self.outputs if isinstance(output, Payee))

    @property
    def own(self) -> tuple[OwnOutput, ...]:
        """What comes back, on either branch."""
        return tuple(output for output in self.outputs if isinstance(output, OwnOutput))

    @property
    def change(self) -> tuple[OwnOutput, ...]:
        """What comes back on branch 1."""
        return tuple(output for output in self.own if output.is_change)

    @property
    def in_sats(self) -> int:
        """What all inputs hold together."""
        return sum(coin.amount_sats for coin in self.inputs)

    @property
    def paid_sats(self) -> int:
        """What all payees get together."""
        return sum(payee.amount_sats for payee in self.payees)

    @property
    def own_sats(self) -> int:
        """What comes back, on either branch."""
        return sum(output.amount_sats for output in self.own)

    @property
    def leaves_sats(self) -> int:
        """What counts as leaving: payees, fee, and what goes to a receiving address of ours (signers.md 50)."""
        return self.in_sats - sum(output.amount_sats for output in self.change)


@dataclass(frozen=True, slots=True)
class ProvenBatch:
    """Transactions, each proved, and together without a coin or a withdrawal in two of them."""

    batch_id: bytes
    policy_hash: bytes
    height: int
    transactions: tuple[ProvenTransaction, ...]
