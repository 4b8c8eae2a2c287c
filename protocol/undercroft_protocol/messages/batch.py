"""The batch: transactions to judge and everything needed to judge them, and nothing else.

It carries no script and no address of our own: a coin and a change output are named by branch and index and derived by
the appliance; a payee's script and amount stand in the risk service's clearance and nowhere else. So neither "change to
a stranger's key" nor "a payee that nobody cleared" can even be said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from ..codec import Value
from ..errors import MessageError
from ..fields import (
    Branch,
    Bytes16,
    Bytes32,
    DerSignature,
    KeyIndex,
    Name,
    PositiveSats,
    RawTransaction,
    SignedObject,
    Size,
    UInt16,
    UInt32,
)

SIGNED: Final = "signed"
HELD: Final = "held"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class Coin(Value):
    """An input: which of the batch's previous transactions, which output of it, and where our script comes from."""

    previous: UInt16
    vout: UInt32
    branch: Branch
    index: KeyIndex


@dataclass(frozen=True, slots=True)
class Change(Value):
    """An output back to the quorum, on branch 1 (change) by definition."""

    index: KeyIndex
    amount_sats: PositiveSats


@dataclass(frozen=True, slots=True)
class Output(Value):
    """Either a payee, given by the risk service's clearance as received, or change."""

    clearance: SignedObject | None
    change: Change | None

    def check(self) -> None:
        if (self.clearance is None) == (self.change is None):
            raise MessageError("Output: exactly one of clearance and change")


@dataclass(frozen=True, slots=True)
class TransactionRequest(Value):
    """One transaction of version 2; all inputs share one sequence number (BIP 68, BIP 125)."""

    inputs: Annotated[tuple[Coin, ...], Size(1, 1000)]
    outputs: Annotated[tuple[Output, ...], Size(1, 1000)]
    sequence: UInt32
    locktime: UInt32


@dataclass(frozen=True, slots=True)
class BatchRequest(Value):
    """Transactions for one appliance to sign under the policy with this hash; ``height`` is the host's chain tip."""

    batch_id: Bytes16
    policy_hash: Bytes32
    height: UInt32
    previous: Annotated[tuple[RawTransaction, ...], Size(1, 1000)]
    transactions: Annotated[tuple[TransactionRequest, ...], Size(1, 100)]


@dataclass(frozen=True, slots=True)
class Verdict(Value):
    """The answer for one transaction: ``signed`` with a signature for each input; ``held`` or ``refused`` with a
    code."""

    txid: Bytes32
    verdict: Name
    code: Name | None
    signatures: Annotated[tuple[DerSignature, ...], Size(0, 1000)]

    def check(self) -> None:
        if self.verdict not in (SIGNED, HELD, REFUSED):
            raise MessageError(f"Verdict.verdict: {self.verdict!r}")
        if (self.verdict == SIGNED) != bool(self.signatures):
            raise MessageError("Verdict: signatures belong to a signed transaction, and to no other")
        if (self.verdict == SIGNED) != (self.code is None):
            raise MessageError("Verdict: a code belongs to what is held or refused")
