"""Rules over what was signed before: a coin once more only in a fee bump, a withdrawal once more only by a rival."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from undercroft_protocol.bitcoin.transaction import txid_to_hex

from .findings import Finding, refused
from .refusals import OUTPOINT_SIGNED, WITHDRAWAL_PAID
from .signed import PastPayee
from .standing import Case


def coins(case: Case) -> Iterator[Finding]:
    """A coin that was signed away: every payee of every transaction it was signed in keeps at least as much."""
    for rival in case.rivals:
        # Attack: another transaction over the same coins pays somebody else instead (signers.md 58).
        for cut in _cut(rival.payees, case.past.payees):
            yield refused(OUTPOINT_SIGNED, f"{txid_to_hex(rival.txid)}: {cut}")


def withdrawals(case: Case) -> Iterator[Finding]:
    """A withdrawal that was paid: whoever pays it again must share a coin with every transaction that paid it."""
    rivals = {rival.txid for rival in case.rivals}
    for payee in case.past.payees:
        if payee.withdrawal_id is None:
            continue
        for payer in case.standing.history.payers(payee.withdrawal_id):
            # Attack: the same withdrawal once more, out of other coins; both transactions can confirm.
            if payer.txid != case.past.txid and payer.txid not in rivals:
                yield refused(WITHDRAWAL_PAID, f"{payee.withdrawal_id} by {txid_to_hex(payer.txid)}")


def _cut(before: Iterable[PastPayee], after: Iterable[PastPayee]) -> Iterator[str]:
    """Who of ``before`` has no payee of its own in ``after`` with at least its amount."""
    amounts: defaultdict[tuple[bytes, str | None], list[int]] = defaultdict(list)
    # Matched from the largest down: if any matching of one to one exists, then this one.
    for payee in sorted(after, key=lambda one: one.amount_sats):
        amounts[payee.script, payee.withdrawal_id].append(payee.amount_sats)
    for payee in sorted(before, key=lambda one: one.amount_sats, reverse=True):
        left = amounts[payee.script, payee.withdrawal_id]
        # Attack: one new output stands for two payees of the same script.
        kept_sats = left.pop() if left else 0
        if kept_sats < payee.amount_sats:
            who = payee.withdrawal_id or f"script {payee.script.hex()}"
            yield f"{who} had {payee.amount_sats}, keeps {kept_sats} sats"
