"""Taking back what an appliance was sent: a signature that turns up later must never make a second payment."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from exchange import OUTSIDER, Ticking, endow
from scripted_appliance import (
    IDENTITY,
    QUORUM,
    RISK,
    STRANGER,
    ScriptedAppliance,
    batch_of,
    cleared_payment,
    sent,
    talking,
)
from undercroft_host.desk import send
from undercroft_host.errors import (
    ApplianceRefused,
    ApplianceState,
    EarlierPayment,
    IntegrityAlarm,
    PaymentSigned,
    PaymentState,
)
from undercroft_host.risk.ruleset import DEFAULT_RULES, rules_from_toml
from undercroft_host.risk.withdrawals import judge_withdrawals
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import BatchSend, Block, ChainTransaction, Coin, Payment, PaymentInput, Withdrawal
from undercroft_host.treasury import ledger
from undercroft_host.treasury.settlement import settle_payments
from undercroft_host.vault.families import BURIED
from undercroft_host.vault.payments import build_payment, cancel_payment
from undercroft_host.vault.withdrawals import cancel_withdrawal, request_withdrawal
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import BatchReply, BatchRequest, LogRequest, RefusalReply, Value

HEIGHT = 100
ALL = ("w0", "w1")


def ask(store: Store, clock: Ticking, payment: int, *appliances: ScriptedAppliance) -> None:
    batch = batch_of(store, clock, payment)
    for appliance in appliances:
        sent(store, clock, appliance, batch.batch_id)


def saying(appliance: ScriptedAppliance, verdict: str) -> ScriptedAppliance:
    appliance.decides = lambda _: (verdict, None if verdict == "signed" else "policy")
    return appliance


def cancel(store: Store, clock: Ticking, payment: int) -> None:
    with store.begin("test") as session:
        cancel_payment(session, payment, clock=clock)


def give_back(store: Store, clock: Ticking, *ids: str) -> None:
    with store.begin("test") as session:
        for id in ids:
            cancel_withdrawal(session, id, clock=clock)


def build(store: Store, clock: Ticking, *ids: str) -> int:
    with store.begin("test") as session:
        chosen = list(ids) or None
        return build_payment(
            session, quorum=QUORUM, withdrawals=chosen, feerate_sat_per_kvb=2000, height=HEIGHT, clock=clock
        ).id


def coins(store: Store, payment: int) -> set[tuple[bytes, int]]:
    with store.read() as session:
        rows = session.scalars(select(PaymentInput).where(PaymentInput.payment == payment))
        return {(row.txid, row.vout) for row in rows}


def states(store: Store) -> dict[str, str]:
    with store.read() as session:
        return {one.id: one.state for one in session.scalars(select(Withdrawal))}


def confirm(store: Store, clock: Ticking, payment: int, confirmations: int) -> None:
    """What the gateway writes when this payment's transaction is so deep in the chain."""
    with store.begin("gateway") as session:
        row = session.get_one(Payment, payment)
        session.add(ChainTransaction(txid=row.txid, raw=row.unsigned, height=HEIGHT + 1, first_seen=0))
        for height in range(HEIGHT + 1, HEIGHT + 1 + confirmations):
            session.merge(Block(height=height, hash=height.to_bytes(32, "big"), time=clock()))
        session.flush()
        for key in coins(store, payment):
            session.get_one(Coin, key).spent_by = row.txid


def settle(store: Store, clock: Ticking) -> list[int]:
    with store.begin("treasury") as session:
        return [one.id for one in settle_payments(session, settle_confirmations=2, clock=clock)]


@pytest.fixture
def held(store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance) -> int:
    """A payment that both appliances hold, taken back; and other, larger coins that would do as well."""
    ask(store, clock, payment, saying(alice, "held"), saying(bob, "held"))
    endow(store, QUORUM, "rich", 5_000_000, 5_000_000)
    cancel(store, clock, payment)
    return payment


# --- what may be taken back --------------------------------------------------------------------------------------


def test_attack_a_signature_in_a_stored_answer_counts_though_we_died_before_we_took_it_out(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_arguments: object, **_named: object) -> None:
        raise KeyboardInterrupt

    batch = batch_of(store, clock, payment)
    monkeypatch.setattr(send, "verify_reply", dies)
    with pytest.raises(KeyboardInterrupt):
        sent(store, clock, alice, batch.batch_id)
    with pytest.raises(PaymentSigned, match="has a signature"):
        cancel(store, clock, payment)


def test_attack_an_answer_that_is_not_what_it_must_be_does_not_free_the_payment(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    def for_another_batch(header: object, body: Value) -> tuple[object, Value]:
        assert isinstance(body, BatchReply)
        return header, BatchReply(b"x" * 16, body.verdicts)

    alice.lie = for_another_batch  # type: ignore[assignment]
    with pytest.raises(IntegrityAlarm):
        ask(store, clock, payment, alice)
    with pytest.raises(PaymentSigned):
        cancel(store, clock, payment)


def test_an_appliance_that_had_no_time_has_said_nothing(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    alice.answers[BatchRequest] = lambda _: RefusalReply("busy", "a question is open")
    with pytest.raises(ApplianceRefused):
        ask(store, clock, payment, alice)
    with pytest.raises(PaymentSigned, match="not answered"):
        cancel(store, clock, payment)


def test_what_one_owner_signed_and_another_refused_can_be_taken_back(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    ask(store, clock, payment, alice, saying(bob, "refused"))
    cancel(store, clock, payment)
    with pytest.raises(EarlierPayment):
        give_back(store, clock, "w0")
    assert coins(store, payment) & coins(store, build(store, clock, *ALL))


# --- what follows for its withdrawals ----------------------------------------------------------------------------


def test_attack_a_held_payment_that_is_approved_after_it_was_taken_back_cannot_pay_beside_its_successor(
    store: Store, clock: Ticking, held: int
) -> None:
    second = build(store, clock, "w0")
    assert coins(store, held) & coins(store, second)
    cancel(store, clock, second)
    third = build(store, clock, *ALL)
    assert coins(store, held) & coins(store, third)


def test_attack_money_is_not_given_back_while_the_owners_may_still_approve(
    store: Store, clock: Ticking, held: int
) -> None:
    with pytest.raises(EarlierPayment, match=f"w0: payment {held}"):
        give_back(store, clock, "w0")
    assert states(store) == {"w0": "cleared", "w1": "cleared"}


def test_a_payment_is_not_taken_back_together_with_its_withdrawals_while_it_may_still_be_signed(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    ask(store, clock, payment, saying(alice, "held"), saying(bob, "held"))
    with pytest.raises(EarlierPayment), store.begin("test") as session:
        cancel_payment(session, payment, clock=clock, cancel_withdrawals=True)
    assert states(store) == {"w0": "assigned", "w1": "assigned"}


def test_attack_risk_gives_no_money_back_while_the_owners_may_still_approve(
    store: Store, clock: Ticking, held: int
) -> None:
    clock.now += 2 * 86_400
    strict = rules_from_toml(DEFAULT_RULES.replace("deny_above_sats = 5_000_000_000", "deny_above_sats = 10_000"))
    with store.begin("risk") as session:
        counts = judge_withdrawals(session, strict, RISK, Network.REGTEST, clock=clock)
    assert counts == {"deny": 2}
    assert states(store) == {"w0": "delayed", "w1": "delayed"}


def test_one_whose_coins_are_locked_waits_and_keeps_no_other_waiting(store: Store, clock: Ticking, held: int) -> None:
    first = build(store, clock, "w0")
    if coins(store, held) - coins(store, first):
        with store.begin("test") as session:
            for key in coins(store, held):
                session.get_one(Coin, key).payment = first
    with pytest.raises(EarlierPayment, match="none of its coins is free"):
        build(store, clock, "w1")
    with store.begin("test") as session:
        request_withdrawal(
            session, quorum=QUORUM, id="other", account="rich", address=OUTSIDER, amount_sats=50_000, clock=clock
        )
        session.get_one(Withdrawal, "other").state = "cleared"
    build(store, clock)
    assert states(store) == {"w0": "assigned", "w1": "cleared", "other": "assigned"}


def test_money_is_given_back_once_another_transaction_is_buried(store: Store, clock: Ticking, held: int) -> None:
    second = build(store, clock, "w0")
    confirm(store, clock, second, BURIED - 1)
    assert settle(store, clock) == [second]
    with pytest.raises(EarlierPayment):
        give_back(store, clock, "w1")
    with store.begin("gateway") as session:
        session.add(Block(height=HEIGHT + BURIED, hash=b"b" * 32, time=0))
    give_back(store, clock, "w1")
    assert states(store) == {"w0": "settled", "w1": "cancelled"}


@pytest.mark.parametrize("verdicts", [{"alice": "refused", "bob": "refused"}, {"alice": "held"}])
def test_what_can_never_have_enough_signatures_is_free(
    store: Store, clock: Ticking, payment: int, verdicts: dict[str, str]
) -> None:
    ask(store, clock, payment, *(saying(ScriptedAppliance(name), word) for name, word in verdicts.items()))
    cancel(store, clock, payment)
    give_back(store, clock, *ALL)
    assert states(store) == {"w0": "cancelled", "w1": "cancelled"}


def test_attack_an_appliance_that_says_refused_and_signs_does_not_free_the_money(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    ask(store, clock, payment, saying(alice, "refused"), saying(bob, "held"))
    cancel(store, clock, payment)
    with pytest.raises(EarlierPayment):
        give_back(store, clock, "w0")


def test_what_the_owners_decline_is_free(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    ask(store, clock, payment, saying(alice, "held"), saying(bob, "held"))
    ask(store, clock, payment, saying(alice, "refused"), saying(bob, "refused"))
    cancel(store, clock, payment)
    give_back(store, clock, *ALL)


# --- the chain has the last word ---------------------------------------------------------------------------------


def test_a_payment_that_confirms_though_it_was_taken_back_settles_and_its_successor_makes_room(
    store: Store, clock: Ticking, held: int
) -> None:
    with store.begin("test") as session:
        request_withdrawal(
            session, quorum=QUORUM, id="other", account="rich", address=OUTSIDER, amount_sats=50_000, clock=clock
        )
        session.get_one(Withdrawal, "other").state = "cleared"
    second = build(store, clock, "w0", "other")
    confirm(store, clock, held, 2)
    assert settle(store, clock) == [held]
    assert settle(store, clock) == []
    assert states(store) == {"w0": "settled", "w1": "settled", "other": "cleared"}
    with store.read() as session:
        assert session.get_one(Payment, second).state == "cancelled"
        assert ledger.balance(session, ledger.PENDING) == -50_000
        assert session.scalars(select(Coin).where(Coin.payment == second)).all() == []


def test_attack_a_payment_that_confirms_after_its_money_was_given_back_is_left_to_the_alarm(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    """Both appliances said that they refuse, and both lied."""
    ask(store, clock, payment, saying(alice, "refused"), saying(bob, "refused"))
    cancel(store, clock, payment)
    give_back(store, clock, *ALL)
    confirm(store, clock, payment, 2)
    assert settle(store, clock) == []
    assert states(store) == {"w0": "cancelled", "w1": "cancelled"}


# --- nothing more is sent ----------------------------------------------------------------------------------------


def test_attack_a_batch_with_a_payment_that_was_taken_back_is_sent_to_nobody(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    other = cleared_payment(store, clock, prefix="v")
    batch = batch_of(store, clock, payment, other)
    sent(store, clock, saying(alice, "held"), batch.batch_id)
    cancel(store, clock, payment)
    for appliance in (alice, bob):
        with pytest.raises(PaymentState, match=f"payment {payment} is cancelled"):
            sent(store, clock, appliance, batch.batch_id)


def test_attack_a_payment_taken_back_while_its_request_was_made_is_not_sent(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(store, clock, payment)
    with talking(store, clock, alice) as talk:
        prepare = talk.prepare

        def slow(body: Value, *, lifetime: int, quorum_id: bytes | None) -> bytes:
            cancel(store, clock, payment)
            return prepare(body, lifetime=lifetime, quorum_id=quorum_id)

        monkeypatch.setattr(talk, "prepare", slow)
        with pytest.raises(PaymentState):
            send.send_batch(store, "test", talk, batch.batch_id, QUORUM, clock=clock, timeout=5)
    assert len(alice.heard) == 1
    with store.read() as session:
        assert session.scalars(select(BatchSend)).all() == []


def test_a_batch_that_never_arrived_goes_under_a_new_number_when_others_were_taken_since(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    alice.lost = 1
    with pytest.raises(Exception, match="alice"):
        sent(store, clock, alice, batch.batch_id)
    stale = alice.heard[-1]
    answer = alice.reply

    def reply(message: bytes) -> bytes:
        alice.answers.pop(BatchRequest, None)
        if message == stale:
            alice.answers[BatchRequest] = lambda _: RefusalReply("replay", "an older number")
        return answer(message)

    alice.reply = reply  # type: ignore[method-assign]
    assert sent(store, clock, alice, batch.batch_id)[0].verdict == "signed"
    with store.read() as session:
        assert session.get_one(BatchSend, (batch.batch_id, alice.activation_id)).request != stale


def test_an_appliance_that_locked_itself_meanwhile_is_told_from_a_stranger(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    with talking(store, clock, alice) as talk:
        alice.speaker = STRANGER
        alice.answers[BatchRequest] = lambda _: RefusalReply("state", "see the screen")
        with pytest.raises(ApplianceState, match="locked or restarted") as raised:
            send.send_batch(store, "test", talk, batch.batch_id, QUORUM, clock=clock, timeout=5)
        assert "activation open alice" in raised.value.hint
        with pytest.raises(IntegrityAlarm, match="stranger"):
            talk.exchange(LogRequest(0))
        alice.speaker = IDENTITY["alice"]
    # Nobody can prove who said it, so it is no answer.
    with pytest.raises(PaymentSigned, match="not answered"):
        cancel(store, clock, payment)
