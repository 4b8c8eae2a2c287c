"""What is remembered of what was signed: bounded, forkable, and handed on whole."""

from __future__ import annotations

import pytest

from appliance.keeper.judge_support import cleared, judgement_of, own, paying, rules, standing, uncleared
from undercroft_appliance.keeper import history as module
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import REFUSE
from undercroft_appliance.keeper.proven import ProvenTransaction
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_appliance.keeper.signed import (
    MOST_BYTES,
    HistorySnapshot,
    PastPayee,
    PastTransaction,
    TransactionRecord,
)
from undercroft_protocol import cbor

PAID = 1_000_000


def busy() -> History:
    history = History()
    history.knows_amounts((7, 8))
    history.knows_height(900)
    for one in (
        paying([1], cleared(1, PAID), own(5000, index=12)),
        paying([1, 2], cleared(1, PAID), cleared(2, PAID), fee_sats=9000),
        paying([3], uncleared(3, PAID)),
        paying([4, 5]),
        paying([4]),
    ):
        history.record(one)
    return history


def debit(history: History, proven: ProvenTransaction) -> int:
    return history.debit_sats(proven.leaves_sats, history.rivals(PastTransaction.of(proven)))


def test_a_history_is_handed_on_whole() -> None:
    before = busy()
    snapshot = HistorySnapshot.from_bytes(before.snapshot().to_bytes())
    after = History.restored(snapshot)
    assert after.snapshot() == before.snapshot() == snapshot
    assert (after.highest_change, after.height) == (before.highest_change, before.height) == (12, 900)
    assert (after.amounts, after.payments) == (before.amounts, before.payments) == ((7, 8, PAID, PAID), 2)
    for one in (paying([1, 2], cleared(1, PAID)), paying([4, 5, 6]), paying([5]), paying([9])):
        past = PastTransaction.of(one)
        assert after.rivals(past) == before.rivals(past)
        assert debit(after, one) == debit(before, one)
    assert [payer.txid for payer in after.payers("w-1")] == [payer.txid for payer in before.payers("w-1")]
    assert after.has_paid(paying([9], uncleared(3, 1)).payees[0].script)


def test_an_empty_history_is_handed_on_too() -> None:
    after = History.restored(HistorySnapshot.from_bytes(History().snapshot().to_bytes()))
    assert (after.highest_change, after.height, after.amounts) == (-1, None, ())


def test_what_is_recorded_in_a_fork_stays_there() -> None:
    history = busy()
    before = history.snapshot()
    fork = history.fork()
    extra = paying([1, 7], cleared(1, PAID), cleared(9, PAID), own(4000, index=40))
    fork.record(extra)
    assert fork.has_signed(extra.txid)
    assert fork.highest_change == 40
    assert history.snapshot() == before
    assert not history.has_signed(extra.txid)
    assert not history.has_paid(extra.payees[1].script)
    assert history.payers("w-9") == ()
    assert debit(history, paying([7])) == paying([7]).leaves_sats
    assert [rival.txid for rival in fork.rivals(PastTransaction.of(paying([7])))] == [extra.txid]
    assert history.rivals(PastTransaction.of(paying([7]))) == ()


def test_attack_flood_until_a_signed_coin_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    history = busy()
    last = paying([50], cleared(50, PAID))
    past = PastTransaction.of(last)
    size = past.size + sum(TransactionRecord.from_bytes(one).past().size for one in history.snapshot().transactions)
    monkeypatch.setattr(module, "MOST_BYTES", size)
    history.check_room(past)
    monkeypatch.setattr(module, "MOST_BYTES", size - 1)
    with pytest.raises(Refusal) as caught:
        history.check_room(past)
    assert caught.value.code is refusals.HISTORY_FULL
    found = judgement_of(last, rules(), standing(history=history))
    assert (found.action, found.code) == (REFUSE, refusals.HISTORY_FULL)


MOST_SATS = 2_099_999_999_999_999
WIDEST = PastPayee(b"\x00\x20" + b"\xff" * 32, MOST_SATS, "w" * 40)


@pytest.mark.parametrize(("coins", "payees"), [(1, 0), (1000, 0), (1, 1000), (1000, 1000), (1, 1)], ids=str)
def test_the_largest_history_fits_into_one_message(coins: int, payees: int) -> None:
    """The bound of a history is below the bounds of the codec, in bytes and in items, whatever was signed."""
    past = PastTransaction(b"\xff" * 32, (b"\xff" * 36,) * coins, (WIDEST,) * payees)
    encoded = TransactionRecord.of(past, MOST_SATS).to_bytes()
    assert len(encoded) + 4 <= past.size
    count = MOST_BYTES // past.size
    data = HistorySnapshot((encoded,) * count, (MOST_SATS,) * 200, 1, 1).to_bytes()
    assert len(data) < cbor.MAX_BYTES
    assert len(HistorySnapshot.from_bytes(data).transactions) == count


def test_attack_a_seal_with_an_older_chain_or_lower_change_lowers_nothing() -> None:
    history = busy()
    history.knows_height(1)
    history.knows_change(1)
    assert (history.height, history.highest_change) == (900, 12)
