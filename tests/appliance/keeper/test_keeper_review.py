"""What a hostile review of the finished keeper found; each test failed before its repair."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.builders import (
    ALICE,
    BOB,
    COIN_SATS,
    DESCRIPTOR,
    HEIGHT,
    PAID_SATS,
    POLICY,
    QUORUM,
    STRANGER,
    UTC,
    VAULT,
    change,
    clearance,
    good_batch,
    previous_transaction,
    stated,
)
from appliance.keeper.judge_support import COIN, cleared, judgement_of, own, paying, rules, standing, uncleared
from appliance.keeper.keeper_support import Bench
from appliance.keeper.psbt_support import RawPsbt
from undercroft_appliance.keeper import activation, psbts, refusals
from undercroft_appliance.keeper.findings import HOLD, MOST_TOLD, REFUSE, SIGN
from undercroft_appliance.keeper.handover import LedgerMemory
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.ledger import MOST_ENTRIES, Ledger
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_appliance.keeper.service import MOST_UNCOUNTED
from undercroft_appliance.keeper.signed import HistorySnapshot
from undercroft_appliance.keeper.text import CONTINUED, LINE_CHARACTERS, wrapped
from undercroft_protocol.messages import (
    BatchRequest,
    Coin,
    DeclareRequest,
    Done,
    FreezeOrder,
    FreezeRequest,
    LockRequest,
    LogReply,
    LogRequest,
    LogSeal,
    Spent,
    TransactionRequest,
    open_statement,
)

OLD_ORDER = FreezeRequest(stated(FreezeOrder(QUORUM.id, "phone stolen", UTC - 1_000_000), BOB.identity))
"""By an owner, and long over: anybody who has seen the line can send it again."""


# A life that was confirmed at a wrong time.


def test_a_ledger_sealed_at_a_false_time_of_long_ago_ends_no_keeper(bench: Bench) -> None:
    # An owner once confirmed that it is 1970, and the appliance sealed that.
    spent = Spent(age_seconds=10, amount_sats=5, txid=b"\x07" * 32)
    seal = LogSeal(QUORUM.id, 5, b"\x01" * 32, time=1000, ledger=(spent,))
    bench.armed(log_seal=stated(seal, ALICE.identity))
    reply = bench.ask(LogRequest(0)).body
    assert isinstance(reply, LogReply)
    again, _ = open_statement(LogSeal, reply.seal, (ALICE.entry.identity,))
    assert again.ledger is not None
    assert [one.amount_sats for one in again.ledger] == [5]


# The line.


def test_attack_an_old_order_sent_by_a_stranger_keeps_an_unused_appliance_awake(bench: Bench) -> None:
    bench.armed()
    for _ in range(2):
        bench.clock.seconds += POLICY.idle_seconds - 100
        bench.keeper.tick()
        bench.ask(OLD_ORDER, STRANGER)
    assert bench.keeper.session.state == "empty"


def test_attack_a_stranger_pushes_the_hosts_replies_out_of_the_memory(bench: Bench) -> None:
    bench.armed()
    batch = bench.sealed(good_batch())
    first = bench.keeper.handle(batch)
    for number in range(300):
        bench.ask(OLD_ORDER, STRANGER, sequence=1000 + number)
    assert bench.keeper.session.state == "armed"
    assert bench.keeper.handle(batch) == first


# The screen.


def test_attack_a_long_text_goes_on_as_a_line_of_its_own(bench: Bench) -> None:
    forged = "Policy daily payouts, version 1, code 1111-2222-3333-4444-5555"
    bench.armed()
    before = "WARNING: this quorum was frozen: by the vault, 2026-09-21 14:13:20 UTC: "
    reason = "x" * (LINE_CHARACTERS - len(before)) + forged
    bench.ask(FreezeRequest(stated(FreezeOrder(QUORUM.id, reason, UTC), VAULT)))
    bench.renewed().activated()
    shown = next(one.lines for one in reversed(bench.owner.questions) if one.prompt == activation.PROMPT_SITE)
    assert any(forged in line for line in shown)
    assert not any(line.startswith(forged) for line in shown)


def test_every_character_of_a_long_line_is_shown_and_its_rows_are_marked() -> None:
    text = "".join(chr(33 + at % 90) for at in range(1000))
    first, *others = wrapped([text])
    assert all(row.startswith(CONTINUED) and len(row) <= LINE_CHARACTERS for row in others)
    assert first + "".join(row.removeprefix(CONTINUED) for row in others) == text


@pytest.mark.parametrize("action", [HOLD, REFUSE])
def test_attack_one_transaction_with_thousands_of_findings_floods_screen_and_log(action: str) -> None:
    payees = [uncleared(number, 330 + number) for number in range(1, 901)]
    judgement = judgement_of(paying([1], *payees), rules(uncleared=action))
    assert judgement.action == action
    assert judgement.code is refusals.UNCLEARED_PAYEE
    assert len(judgement.findings) == MOST_TOLD + 1
    assert judgement.findings[-1].numbers == f"and {900 - MOST_TOLD} more"


def test_many_findings_of_a_mild_kind_do_not_hide_one_that_refuses() -> None:
    payees = [uncleared(number, 330 + number) for number in range(1, 101)]
    judgement = judgement_of(paying([1], *payees, fee_sats=2_000_000), rules(most_fee_sats=1000))
    assert judgement.action == REFUSE
    assert judgement.code is refusals.FEE_LIMIT


# One payment by both doors.


def paid_by(coin: int) -> BatchRequest:
    """The withdrawal w-1 out of another coin."""
    one = TransactionRequest((Coin(0, 0, 0, coin),), (clearance(), change()), 0xFFFFFFFD, HEIGHT)
    previous = previous_transaction((COIN_SATS, DESCRIPTOR.script(0, coin)), salt=coin + 1)
    return BatchRequest(bytes([coin]) * 16, POLICY.hash, HEIGHT, (previous,), (one,))


def test_attack_a_withdrawal_is_paid_by_a_psbt_and_then_again_by_a_batch(bench: Bench) -> None:
    bench.owner.answers[psbts.PROMPT_PSBT] = psbts.APPROVE
    bench.armed()
    assert bench.keeper.handle(RawPsbt.good().serialize()).startswith(b"psbt\xff")
    # The batch says whose withdrawal the PSBT's payment was, and is told that it is signed.
    assert [one.verdict for one in bench.verdicts(paid_by(0))] == ["signed"]
    assert [one.verdict for one in bench.verdicts(paid_by(1))] == ["refused"]


def test_attack_a_held_withdrawal_is_approved_as_a_psbt_and_paid_again_by_a_batch(bench: Bench) -> None:
    policy = dataclasses.replace(POLICY, hold_above_sats=PAID_SATS)
    bench.owner.answers[psbts.PROMPT_PSBT] = psbts.APPROVE
    bench.armed(policy=policy)
    batch = dataclasses.replace(paid_by(0), policy_hash=policy.hash)
    assert [one.verdict for one in bench.verdicts(batch)] == ["held"]
    assert bench.keeper.handle(RawPsbt.good().serialize()).startswith(b"psbt\xff")
    other = dataclasses.replace(paid_by(1), policy_hash=policy.hash)
    assert [one.verdict for one in bench.verdicts(other)] == ["refused"]


def test_attack_a_withdrawal_that_was_paid_is_told_to_be_paid_by_a_psbts_payment_too() -> None:
    history = History()
    history.record(paying([1], cleared(1, PAID_SATS, "w-1")))
    history.record(paying([2], uncleared(1, PAID_SATS)))
    where = standing(history=history)
    assert judgement_of(paying([1], cleared(1, PAID_SATS, "w-1")), where=where).action == SIGN
    judgement = judgement_of(paying([2], cleared(1, PAID_SATS, "w-1")), where=where)
    assert (judgement.action, judgement.code) == (REFUSE, refusals.WITHDRAWAL_PAID)


def test_what_a_batch_says_of_a_psbts_payees_is_handed_on_and_has_room() -> None:
    history = History()
    two = (uncleared(1, PAID_SATS), uncleared(1, PAID_SATS))
    history.record(paying([1, 2], *two, own(COIN)))
    room = history.snapshot()
    history.record(paying([1, 2], cleared(1, PAID_SATS, "a" * 40), cleared(1, PAID_SATS, "b" * 40), own(COIN)))
    later = History.restored(HistorySnapshot.from_bytes(history.snapshot().to_bytes()))
    for known in (history, later):
        assert [len(known.payers(name)) for name in ("a" * 40, "b" * 40, "c")] == [1, 1, 0]
    assert len(room.transactions) == len(later.snapshot().transactions) == 1
    assert len(later.snapshot().transactions[0]) <= past_size(history)


def past_size(history: History) -> int:
    return sum(one.size for one in history._signed.values())


# One dishonest owner.


def test_attack_grants_with_made_up_ledgers_fill_the_memory_until_the_keeper_cannot_hand_it_on() -> None:
    ledger: Ledger | None = None
    for number in range(6):
        made_up = [Spent(1, 1, number.to_bytes(16, "big") + at.to_bytes(16, "big")) for at in range(MOST_ENTRIES)]
        try:
            ledger = Ledger.armed(1000.0 + number, ledger, made_up, 86_400)
        except Refusal as refusal:
            assert refusal.code is refusals.LEDGER_FULL
    assert ledger is not None
    assert LedgerMemory.from_bytes(LedgerMemory.of(ledger).to_bytes()).ledger().entries == ledger.entries
    # Without that owner's word it goes on.
    assert Ledger.armed(2000.0, ledger, None, 86_400).entries == ledger.entries


# What a stranger leaves behind.


def by_stranger(bench: Bench, number: int) -> None:
    request = dataclasses.replace(good_batch(), batch_id=number.to_bytes(16, "big"))
    assert bench.refusal(request, STRANGER, sequence=1, quorum_id=None).startswith(refusals.NOT_ARMED.name)


def test_attack_a_stranger_pushes_the_last_activation_out_of_the_log(bench: Bench) -> None:
    bench.armed().verdicts(good_batch())
    bench.lock()
    before = bench.keeper._log.length
    for number in range(MOST_UNCOUNTED + 5):
        by_stranger(bench, number)
    # Each of the first has two entries, and one says that more leave none.
    assert bench.keeper._log.length == before + 2 * MOST_UNCOUNTED + 1
    bench.activated()
    events = [entry.event for entry in bench.keeper._log.entries_from(bench.keeper._log.length - 3)]
    assert events == ["request", "activated", "sealed-later"]


def test_attack_an_old_order_pushes_an_armed_appliances_entries_out_of_the_log(bench: Bench) -> None:
    bench.armed()
    before = bench.keeper._log.length
    for number in range(MOST_UNCOUNTED + 5):
        bench.ask(OLD_ORDER, STRANGER, sequence=1000 + number)
    assert bench.keeper._log.length == before + 2 * MOST_UNCOUNTED + 1


def test_what_an_owner_was_asked_about_is_always_logged(bench: Bench) -> None:
    for number in range(MOST_UNCOUNTED + 1):
        by_stranger(bench, number)
    bench.owner.answers[activation.PROMPT_SITE] = activation.DECLINE
    before = bench.keeper._log.length
    assert bench.refusal(bench.activation_request()).startswith(refusals.OWNER_DECLINED.name)
    assert [entry.event for entry in bench.keeper._log.entries_from(before)] == ["request", "refused"]


def test_attack_a_stranger_locks_what_is_locked_until_the_last_activation_is_out_of_the_log(bench: Bench) -> None:
    bench.armed().verdicts(good_batch())
    bench.lock()
    before, ids = bench.keeper._log.length, set()
    for _ in range(3):
        ids.add(bench.keeper.session.activation_id)
        assert bench.ask(LockRequest(), STRANGER, quorum_id=None).body == Done("empty")
    assert len(ids) == 3
    assert bench.keeper._log.length == before


def test_attack_a_host_that_was_taken_over_pushes_what_it_had_signed_out_of_the_log(bench: Bench) -> None:
    bench.armed().verdicts(good_batch())
    before = bench.keeper._log.length
    for _ in range(MOST_UNCOUNTED):
        assert bench.refusal(DeclareRequest("regtest")).startswith(refusals.ALREADY_UNLOCKED.name)
    for _ in range(5):
        assert bench.refusal(good_batch(), expires=UTC - 1).startswith(refusals.REQUEST_EXPIRED.name)
        assert bench.refusal(DeclareRequest("regtest")).startswith(refusals.ALREADY_UNLOCKED.name)
    assert bench.keeper.session.state == "armed"
    assert bench.keeper._log.length == before + 2 * MOST_UNCOUNTED + 1
    # What counts is logged all the same.
    bench.refusal(good_batch(policy_hash=b"\x01" * 32))
    assert bench.keeper._log.length == before + 2 * MOST_UNCOUNTED + 3
