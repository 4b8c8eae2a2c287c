"""The armed keeper: signing, holding, replays, log and status."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.builders import (
    ALICE,
    DESCRIPTOR,
    FEE_SATS,
    HEIGHT,
    PAID_SATS,
    POLICY,
    QUORUM,
    RISK,
    UTC,
    PlainKeys,
    change,
    clearance,
    good_batch,
    only,
)
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.errors import ChannelError, SigningError
from undercroft_appliance.internal import Notice, Question
from undercroft_appliance.keeper import batches, refusals, replies
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import (
    BatchReply,
    Done,
    GrantRequest,
    LogReply,
    LogRequest,
    Spent,
    StatusReport,
    StatusRequest,
    open_reply,
)

HOLDING = dataclasses.replace(POLICY, hold_above_sats=PAID_SATS)
HELD_BATCH = good_batch(policy_hash=HOLDING.hash)


def verdicts_of(data: bytes) -> list[tuple[str, str | None]]:
    """Verdicts and codes in a reply by Alice's identity."""
    body = open_reply(data, (ALICE.entry.identity,)).body
    assert isinstance(body, BatchReply)
    return [(one.verdict, one.code) for one in body.verdicts]


# Signing.


def test_a_good_batch_is_signed_with_signatures_that_verify_for_a_transaction_built_by_hand(bench: Bench) -> None:
    (verdict,) = bench.armed().verdicts(good_batch())
    previous = Transaction.parse(good_batch().previous[0])
    by_hand = Transaction(
        2,
        (TxInput(Outpoint(previous.txid, 0), 0xFFFFFFFD),),
        (
            TxOutput(PAID_SATS, b"\x00\x14" + b"\x44" * 20),
            TxOutput(10_000_000 - PAID_SATS - FEE_SATS, DESCRIPTOR.script(1, 0)),
        ),
        HEIGHT,
    )
    assert verdict.txid == by_hand.txid
    digest = SegwitV0Sighash(by_hand).digest(0, DESCRIPTOR.witness_script(0, 0), 10_000_000)
    verify_ecdsa(ALICE.xpub.child(0).child_public_key(0), digest, verdict.signatures[0])


def test_replies_say_who_under_which_rules_and_after_which_log_entry(bench: Bench) -> None:
    bench.armed()
    data = bench.sealed(good_batch())
    reply = open_reply(bench.keeper.handle(data), (ALICE.entry.identity,))
    assert reply.header.quorum_id == QUORUM.id
    assert reply.header.policy_hash == POLICY.hash
    assert reply.header.activation_id == bench.keeper.session.activation_id
    log = bench.ask(LogRequest(0)).body
    assert isinstance(log, LogReply)
    signed = [entry for entry in log.entries if entry.event == "signed"]
    assert len(signed) == 1
    assert f"{PAID_SATS + FEE_SATS} sats leave" in ALICE.exact(signed[0])[0]
    following = [entry.previous for entry in log.entries if entry.number == signed[0].number + 1]
    assert reply.header.log_head == (following[0] if following else bench.keeper._log.head)


def test_the_same_bytes_get_the_same_reply_and_count_once(bench: Bench) -> None:
    bench.armed()
    data = bench.sealed(good_batch())
    first = bench.keeper.handle(data)
    armed = bench.keeper.session.armed
    assert armed is not None
    bench.clock.seconds += 700
    assert bench.keeper.handle(data) == first
    assert [entry.amount_sats for entry in armed.ledger.entries] == [PAID_SATS + FEE_SATS]


def test_the_same_transaction_in_a_new_batch_gets_the_same_signatures_and_counts_once(bench: Bench) -> None:
    bench.armed()
    first = bench.verdicts(good_batch())
    again = bench.verdicts(good_batch(batch_id=b"\x0c" * 16))
    assert first == again
    armed = bench.keeper.session.armed
    assert armed is not None
    assert len(armed.ledger.entries) == 1


def test_change_may_go_on_above_what_was_signed_in_this_activation(bench: Bench) -> None:
    bench.armed()
    bench.verdicts(only(good_batch(), outputs=(clearance("w-0"), change(20))))
    second = only(good_batch(first=1), outputs=(clearance("w-1"), change(40)))
    assert [verdict.verdict for verdict in bench.verdicts(second)] == ["signed"]


def test_attack_a_batch_is_proved_before_any_of_it_is_signed(bench: Bench) -> None:
    bench.armed()
    batch = good_batch(2)
    bad = dataclasses.replace(batch.transactions[1], sequence=0)
    exact = bench.refusal(dataclasses.replace(batch, transactions=(batch.transactions[0], bad)))
    assert exact.startswith(refusals.SEQUENCE_NUMBER.name)
    armed = bench.keeper.session.armed
    assert armed is not None
    assert armed.ledger.entries == ()


def test_one_refused_transaction_does_not_stop_the_others_and_the_host_learns_no_more_than_that(bench: Bench) -> None:
    bench.armed()
    batch = good_batch(2)
    late = dataclasses.replace(batch.transactions[0], outputs=(clearance("w-0", expires=UTC - 1), change(0)))
    first, second = bench.verdicts(dataclasses.replace(batch, transactions=(late, batch.transactions[1])))
    assert (first.verdict, first.code, first.signatures) == ("refused", "policy", ())
    assert second.verdict == "signed"
    assert refusals.CLEARANCE_EXPIRED.name in "\n".join(bench.last_notice("Batch: 1 signed, 1 refused").lines)


def test_attack_a_batch_of_an_earlier_activation(bench: Bench) -> None:
    old = bench.armed().sealed(good_batch())
    bench.keeper.handle(old)
    bench.lock()
    bench.armed()
    assert bench.refusal_of(old).startswith(refusals.OTHER_ACTIVATION.name)


def test_attack_an_older_batch_behind_a_newer_one(bench: Bench) -> None:
    bench.armed()
    older, newer = bench.sealed(good_batch()), bench.sealed(good_batch(first=1))
    bench.keeper.handle(newer)
    assert bench.refusal_of(older).startswith(refusals.STALE_SEQUENCE.name)


def test_attack_a_batch_by_the_risk_service(bench: Bench) -> None:
    bench.armed()
    assert bench.refusal(good_batch(), RISK).startswith(refusals.UNTRUSTED_SIGNER.name)


def test_attack_a_lower_height_in_a_later_batch(bench: Bench) -> None:
    bench.armed()
    bench.verdicts(good_batch())
    lower = only(dataclasses.replace(good_batch(first=1), height=HEIGHT - 1), locktime=0)
    assert bench.refusal(lower).startswith(refusals.HEIGHT_BACK.name)


def test_attack_a_fault_while_signing_ends_the_keeper_and_is_debited() -> None:
    keys = PlainKeys(ALICE)
    keys.damage = lambda signature: signature[:-1] + bytes([signature[-1] ^ 1])
    with Bench(keys) as bench:
        bench.armed()
        with pytest.raises(SigningError):
            bench.verdicts(good_batch())
        armed = bench.keeper.session.armed
        assert armed is not None
        assert len(armed.ledger.entries) == 1


def test_attack_an_unknown_ledger_signs_nothing_until_the_longest_window_has_passed(bench: Bench) -> None:
    day = dataclasses.replace(POLICY, activation_seconds=2 * 86_400, idle_seconds=0)
    bench.armed(None, day)
    late = clearance(expires=UTC + 10 * 86_400)
    batch = only(good_batch(policy_hash=day.hash), outputs=(late, change()))
    assert [verdict.verdict for verdict in bench.verdicts(batch, expires=UTC + 10**6)] == ["refused"]
    bench.clock.seconds += 86_400
    again = dataclasses.replace(batch, batch_id=b"\x0c" * 16)
    assert [verdict.verdict for verdict in bench.verdicts(again, expires=UTC + 10**6)] == ["signed"]


def test_attack_a_lock_does_not_begin_a_window_anew(bench: Bench) -> None:
    """The vault locks, another appliance that knows nothing of the spending grants in good faith: it still counts."""
    tight = dataclasses.replace(
        POLICY,
        windows=(
            dataclasses.replace(POLICY.windows[0], hold_above_sats=PAID_SATS * 2, refuse_above_sats=PAID_SATS * 2),
        ),
    )
    bench.armed((), tight)
    assert [one.verdict for one in bench.verdicts(good_batch(policy_hash=tight.hash))] == ["signed"]
    bench.lock()
    bench.armed((), tight)
    assert [one.verdict for one in bench.verdicts(good_batch(policy_hash=tight.hash, first=1))] == ["refused"]


# Held transactions.


def test_a_held_transaction_is_signed_when_its_owner_approves_and_the_same_bytes_then_get_it(bench: Bench) -> None:
    bench.armed(policy=HOLDING)
    data = bench.sealed(HELD_BATCH)
    assert verdicts_of(bench.keeper.handle(data)) == [("held", "policy")]
    bench.owner.answers[batches.PROMPT_HELD] = batches.APPROVE
    bench.command("held")
    assert verdicts_of(bench.keeper.handle(data)) == [("signed", None)]
    lines = "\n".join(bench.owner.questions[-1].lines)
    assert f"{PAID_SATS} sats" in lines
    assert refusals.TRANSACTION_HOLD.name in lines


def test_a_held_transaction_is_refused_when_its_owner_declines(bench: Bench) -> None:
    bench.armed(policy=HOLDING)
    data = bench.sealed(HELD_BATCH)
    bench.keeper.handle(data)
    bench.owner.answers[batches.PROMPT_HELD] = batches.DECLINE
    bench.command("held")
    assert verdicts_of(bench.keeper.handle(data)) == [("refused", "owner")]


def test_a_held_transaction_waits_on_when_its_owner_says_later(bench: Bench) -> None:
    bench.armed(policy=HOLDING)
    data = bench.sealed(HELD_BATCH)
    first = bench.keeper.handle(data)
    bench.owner.answers[batches.PROMPT_HELD] = batches.LATER
    bench.command("held")
    assert bench.keeper.handle(data) == first
    status = bench.ask(StatusRequest()).body
    assert isinstance(status, StatusReport)
    assert status.held == 1


def test_one_held_transaction_in_two_batches_is_decided_once_for_both(bench: Bench) -> None:
    bench.armed(policy=HOLDING)
    first = bench.sealed(HELD_BATCH)
    bench.keeper.handle(first)
    second = bench.sealed(dataclasses.replace(HELD_BATCH, batch_id=b"\x0c" * 16))
    bench.keeper.handle(second)
    bench.owner.answers[batches.PROMPT_HELD] = batches.APPROVE
    bench.command("held")
    assert [verdicts_of(bench.keeper.handle(data)) for data in (first, second)] == [[("signed", None)]] * 2
    armed = bench.keeper.session.armed
    assert armed is not None
    assert len(armed.ledger.entries) == 1


def test_attack_a_held_transaction_is_approved_when_it_may_no_longer_be_signed(bench: Bench) -> None:
    bench.armed(policy=HOLDING)
    data = bench.sealed(HELD_BATCH)
    bench.keeper.handle(data)
    bench.clock.seconds += 3000
    bench.keeper.session.used()
    bench.clock.seconds += 700
    asked = len(bench.owner.questions)
    bench.command("held")
    assert verdicts_of(bench.keeper.handle(data)) == [("refused", "policy")]
    assert len(bench.owner.questions) == asked


def test_attack_a_clearance_runs_out_while_the_owner_thinks(bench: Bench) -> None:
    bench.armed(policy=HOLDING)
    data = bench.sealed(only(HELD_BATCH, outputs=(clearance(expires=UTC + 100), change())))
    bench.keeper.handle(data)

    def slowly(_: Question) -> str:
        bench.clock.seconds += 101
        return batches.APPROVE

    bench.owner.answers[batches.PROMPT_HELD] = slowly
    bench.command("held")
    assert verdicts_of(bench.keeper.handle(data)) == [("refused", "policy")]


def test_attack_more_is_held_than_an_owner_can_look_at(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_HELD", 1)
    bench.armed(policy=HOLDING)
    found = bench.verdicts(good_batch(2, policy_hash=HOLDING.hash))
    assert [one.verdict for one in found] == ["held", "refused"]
    assert refusals.HELD_FULL.name in "\n".join(bench.last_notice("Batch: 1 held, 1 refused").lines)
    log = bench.ask(LogRequest(0)).body
    assert isinstance(log, LogReply)
    assert any(refusals.HELD_FULL.name in fact for entry in log.entries for fact in ALICE.exact(entry))


def test_held_with_nothing_held_or_nothing_armed_says_so(bench: Bench) -> None:
    bench.command("held")
    assert refusals.NOT_ARMED.name in bench.last_notice(batches.TITLE_HELD).lines[0]
    bench.armed()
    before = len(bench.owner.notices)
    bench.command("held")
    assert bench.last_notice(batches.TITLE_HELD, before).lines == ("Nothing is held.",)


# The rest.


def test_the_log_is_not_sent_without_an_identity_to_seal_it(bench: Bench) -> None:
    assert bench.refusal(LogRequest(0)).startswith(refusals.NOT_UNLOCKED.name)


def test_status_and_help_at_the_panel(bench: Bench) -> None:
    bench.armed((Spent(10, 5, b"\x01" * 32),))
    bench.command("status")
    assert "0 of 10 refusals" in bench.last_notice("Status").lines
    bench.command("help")
    assert any(line.startswith("lock") for line in bench.last_notice("Commands").lines)


def test_attack_a_grant_request_that_is_a_grant_is_another_kind_of_statement(bench: Bench) -> None:
    bench.activated()
    as_request = GrantRequest(bench.grant().grant)
    assert bench.refusal(as_request).startswith(refusals.GRANT_UNTRUSTED.name)


def test_the_service_loop_answers_the_line_and_ends_when_the_port_is_gone(bench: Bench) -> None:
    bench.send(bench.sealed(StatusRequest()))
    bench.host.send(Notice("a port may not speak as a panel", ()))
    with pytest.raises(ChannelError, match="the port sent Notice"):
        bench.keeper.run()


def test_attack_many_requests_do_not_fill_the_memory(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "MOST_REPLIES", 3)
    kept = replies.Replies()
    held = replies.Given(b"x" * 10, Done("empty"), frozenset({b"\x01"}))
    kept.keep(b"held", held)
    for number in range(10):
        kept.keep(bytes([number]), replies.Given(b"y" * 10, Done("empty"), frozenset()))
    assert kept.find(b"held") == b"x" * 10
    assert [kept.find(bytes([number])) is not None for number in range(10)] == [False] * 8 + [True] * 2
