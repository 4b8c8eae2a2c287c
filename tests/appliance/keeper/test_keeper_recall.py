"""What an appliance's own seal brings back after it was switched off: spending, and never the word that it was all."""

from __future__ import annotations

import pytest

from appliance.builders import ALICE, BOB, FEE_SATS, PAID_SATS, POLICY, QUORUM, UTC, good_batch, good_request_of, stated
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.keeper import activation, refusals
from undercroft_protocol.errors import MessageError
from undercroft_protocol.messages import (
    ActivationGrant,
    GrantRequest,
    LogReply,
    LogRequest,
    LogSeal,
    Spent,
    StatementReply,
    open_statement,
)

HOUR = POLICY.windows[0].seconds
DAY = POLICY.windows[-1].seconds
LARGE_SATS = 140_000_000
LARGE = Spent(600, LARGE_SATS, b"\x01" * 32)


def sealed(ago: int, *spent: Spent) -> bytes:
    """Alice's own seal, made so many seconds before she activates again."""
    return stated(LogSeal(QUORUM.id, 7, b"\x07" * 32, None, UTC - ago, spent), ALICE.identity)


def granted(bench: Bench) -> ActivationGrant:
    reply = bench.ask(GrantRequest(stated(good_request_of(BOB, b"\x0c" * 16), BOB.identity))).body
    assert isinstance(reply, StatementReply)
    return open_statement(ActivationGrant, reply.statement, (ALICE.entry.identity,))[0]


def test_a_seal_says_what_was_spent_and_when_it_was_made(bench: Bench) -> None:
    bench.armed()
    (verdict,) = bench.verdicts(good_batch())
    bench.clock.seconds += 30
    reply = bench.ask(LogRequest(0)).body
    assert isinstance(reply, LogReply)
    seal, _ = open_statement(LogSeal, reply.seal, (ALICE.entry.identity,))
    assert seal.ledger == (Spent(30, PAID_SATS + FEE_SATS, verdict.txid),)
    assert seal.time == UTC + 30


def test_a_ledger_and_the_time_of_its_ages_belong_together() -> None:
    with pytest.raises(MessageError, match="belong together"):
        LogSeal(QUORUM.id, 7, bytes(32), None, UTC, None)
    with pytest.raises(MessageError, match="belong together"):
        LogSeal(QUORUM.id, 7, bytes(32), None, None, ())


def test_attack_an_empty_grant_does_not_erase_what_the_own_seal_remembers(bench: Bench) -> None:
    """Switched off and on, with a dishonest granter: the day's window still counts what was signed before."""
    bench.ask(bench.activation_request(log_seal=sealed(100, LARGE)))
    bench.ask(bench.grant(()))
    (verdict,) = bench.verdicts(good_batch(paid_sats=40_000_000, coin_sats=50_000_000))
    assert verdict.verdict == "refused"
    assert refusals.WINDOW_LIMIT.name in bench.told()


def test_attack_an_own_seal_does_not_make_an_unknown_window_known(bench: Bench) -> None:
    bench.ask(bench.activation_request(log_seal=sealed(100)))
    bench.ask(bench.grant(None))
    (verdict,) = bench.verdicts(good_batch())
    assert verdict.verdict == "refused"
    assert refusals.WINDOW_UNKNOWN.name in bench.told()


def test_what_was_sealed_has_left_the_window_when_enough_time_has_passed(bench: Bench) -> None:
    bench.ask(bench.activation_request(log_seal=sealed(DAY, LARGE)))
    bench.ask(bench.grant(()))
    (verdict,) = bench.verdicts(good_batch(paid_sats=40_000_000, coin_sats=50_000_000))
    assert verdict.verdict == "signed"


def test_attack_a_clock_that_went_back_makes_nothing_older(bench: Bench) -> None:
    bench.ask(bench.activation_request(log_seal=sealed(-5000, LARGE)))
    bench.owner.answers[activation.PROMPT_COMPLETE] = "COMPLETE"
    assert granted(bench).ledger == (LARGE,)


def test_who_knows_of_spending_may_attest_that_it_was_all_and_grants_with_it(bench: Bench) -> None:
    bench.ask(bench.activation_request(log_seal=sealed(100, LARGE, Spent(HOUR, 5, b"\x02" * 32))))
    bench.owner.answers[activation.PROMPT_COMPLETE] = "COMPLETE"
    assert granted(bench).ledger == (Spent(HOUR + 100, 5, b"\x02" * 32), Spent(700, LARGE_SATS, b"\x01" * 32))
    shown = "\n".join(bench.owner.questions[-1].lines)
    assert "140000005 sats" in shown
    assert "in 2 transactions, the newest 700 s ago" in shown


@pytest.mark.parametrize("word", ["EMPTY", "complete", "yes", "I do not know"])
def test_attack_any_other_word_carries_no_ledger(bench: Bench, word: str) -> None:
    bench.ask(bench.activation_request(log_seal=sealed(100, LARGE)))
    bench.owner.answers[activation.PROMPT_COMPLETE] = word
    assert granted(bench).ledger is None


def test_attack_an_older_seal_does_not_replace_what_is_remembered_since_start(bench: Bench) -> None:
    bench.armed()
    (verdict,) = bench.verdicts(good_batch())
    bench.lock()
    bench.ask(bench.activation_request(log_seal=sealed(100)))
    assert granted(bench).ledger == (Spent(0, PAID_SATS + FEE_SATS, verdict.txid),)
