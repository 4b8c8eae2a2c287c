"""Sending a batch: what is stored when, what an answer does, and every lie that must not be believed."""

from __future__ import annotations

import pytest

from exchange import Ticking
from scripted_appliance import (
    IDENTITY,
    QUORUM,
    STRANGER,
    ScriptedAppliance,
    altered,
    batch_of,
    cleared_payment,
    public,
    sent,
    talking,
)
from undercroft_host.desk.send import send_batch
from undercroft_host.errors import (
    ApplianceRefused,
    ApplianceSilent,
    ApplianceState,
    IntegrityAlarm,
    PaymentSigned,
)
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import BatchSend, Payment, PaymentVerdict, Signature
from undercroft_host.vault.payments import cancel_payment
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.messages import BatchReply, BatchRequest, RefusalReply, ReplyHeader, Value


def state_of(store: Store, payment: int) -> tuple[str, str | None]:
    with store.read() as session:
        row = session.get_one(Payment, payment)
        return row.state, row.reason


def kept(store: Store) -> tuple[int, int]:
    """How many verdicts and signatures are kept."""
    with store.read() as session:
        return session.query(PaymentVerdict).count(), session.query(Signature).count()


def test_two_owners_signatures_make_the_payment_final(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    assert [answer.state for answer in sent(store, clock, alice, batch.batch_id)] == ["signing"]
    assert [answer.state for answer in sent(store, clock, bob, batch.batch_id)] == ["signed"]
    with store.read() as session:
        row = session.get_one(Payment, payment)
        signed = Transaction.parse(row.signed or b"")
        assert signed.txid == row.txid
        assert all(len(spent.witness) == 4 for spent in signed.inputs)
    assert kept(store) == (2, 4)


def test_one_owner_asked_twice_is_still_one_owner(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    for _ in range(2):
        sent(store, clock, alice, batch.batch_id)
    assert state_of(store, payment) == ("signing", None)
    assert kept(store) == (1, 2)


@pytest.mark.parametrize("said", [("held", "transaction-hold"), ("refused", "policy")], ids=lambda said: said[0])
def test_the_strictest_word_is_the_payments_state(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, said: tuple[str, str]
) -> None:
    alice.decides = lambda _: said
    batch = batch_of(store, clock, payment)
    for appliance in (alice, ScriptedAppliance("bob")):
        sent(store, clock, appliance, batch.batch_id)
        assert state_of(store, payment) == (said[0], f"alice: {said[1]}")


def test_a_held_payment_is_final_when_its_owner_has_decided(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    alice.decides = lambda _: ("held", "policy")
    batch = batch_of(store, clock, payment)
    sent(store, clock, alice, batch.batch_id)
    sent(store, clock, bob, batch.batch_id)
    alice.decides = lambda _: ("signed", None)
    assert [answer.state for answer in sent(store, clock, alice, batch.batch_id)] == ["signed"]


def test_each_payment_of_a_batch_gets_its_own_verdict(
    store: Store, clock: Ticking, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    first = cleared_payment(store, clock, prefix="a")
    second = cleared_payment(store, clock, prefix="b")
    with store.read() as session:
        refused = session.get_one(Payment, second).txid
    alice.decides = lambda transaction: ("refused", "policy") if transaction.txid == refused else ("signed", None)
    batch = batch_of(store, clock, first, second)
    sent(store, clock, alice, batch.batch_id)
    sent(store, clock, bob, batch.batch_id)
    assert state_of(store, first)[0] == "signed"
    assert state_of(store, second) == ("refused", "alice: policy")


def test_after_a_lost_answer_the_very_same_bytes_go_again(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    alice.lost = 1
    with pytest.raises(ApplianceSilent):
        sent(store, clock, alice, batch.batch_id)
    assert state_of(store, payment) == ("signing", None)
    assert kept(store) == (0, 0)
    clock.now += 60
    sent(store, clock, alice, batch.batch_id)
    requests = [message for message in alice.heard if len(message) > 1000]
    assert len(requests) == 2
    assert len(set(requests)) == 1
    assert kept(store) == (1, 2)


def test_the_request_is_stored_before_it_is_sent_and_then_the_payment_cannot_be_taken_back(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    alice.lost = 1
    with pytest.raises(ApplianceSilent):
        sent(store, clock, alice, batch.batch_id)
    with store.begin("test") as session:
        record = session.get_one(BatchSend, (batch.batch_id, alice.activation_id))
        assert record.request == alice.heard[-1]
        assert record.reply is None
        with pytest.raises(PaymentSigned):
            cancel_payment(session, payment, clock=clock)


def test_another_activation_gets_a_request_of_its_own_for_the_same_batch(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    sent(store, clock, alice, batch.batch_id)
    alice.activation_id = b"\x05" * 16
    sent(store, clock, alice, batch.batch_id)
    with store.read() as session:
        assert session.query(BatchSend).count() == 2


def test_an_appliance_that_is_not_armed_gets_no_batch(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    alice.state = "unlocked"
    batch = batch_of(store, clock, payment)
    with pytest.raises(ApplianceState, match="alice is unlocked"):
        sent(store, clock, alice, batch.batch_id)
    assert state_of(store, payment)[0] == "built"


def test_a_batch_refused_as_a_whole_signs_nothing_and_can_be_taken_back(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    alice.answers[BatchRequest] = lambda _: RefusalReply("policy", "see the screen")
    batch = batch_of(store, clock, payment)
    with pytest.raises(ApplianceRefused, match="alice: policy"):
        sent(store, clock, alice, batch.batch_id)
    with store.begin("test") as session:
        assert cancel_payment(session, payment, clock=clock).state == "cancelled"


def test_a_refusal_to_hear_the_same_bytes_again_does_not_free_the_payment(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    alice.lost = 1
    with pytest.raises(ApplianceSilent):
        sent(store, clock, alice, batch.batch_id)
    alice.answers[BatchRequest] = lambda _: RefusalReply("replay", "an older message")
    with pytest.raises(ApplianceRefused):
        sent(store, clock, alice, batch.batch_id)
    with store.begin("test") as session, pytest.raises(PaymentSigned):
        cancel_payment(session, payment, clock=clock)


def _missing_verdict(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    return header, altered(body, verdicts=body.verdicts[:1])


def _one_verdict_too_many(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    return header, altered(body, verdicts=(*body.verdicts, body.verdicts[0]))


def _verdicts_swapped(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    return header, altered(body, verdicts=body.verdicts[::-1])


def _other_batch(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    return header, altered(body, batch_id=bytes(16))


def _other_policy(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    return altered(header, policy_hash=bytes(32)), body


def _no_policy(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    return altered(header, policy_hash=None), body


def _no_quorum(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    return altered(header, quorum_id=None), body


def _signatures_swapped(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    first = body.verdicts[0]
    swapped = altered(first, signatures=first.signatures[::-1])
    return header, altered(body, verdicts=(swapped, *body.verdicts[1:]))


def _one_signature_short(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    first = body.verdicts[0]
    short = altered(first, signatures=first.signatures[:1])
    return header, altered(body, verdicts=(short, *body.verdicts[1:]))


def _signatures_of_the_other_payment(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    first, second = body.verdicts
    return header, altered(body, verdicts=(altered(first, signatures=second.signatures), second))


def _negated_s(header: ReplyHeader, body: BatchReply) -> tuple[ReplyHeader, Value]:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    first = body.verdicts[0]
    der = first.signatures[0]
    r_bytes = der[3]
    s = order - int.from_bytes(der[6 + r_bytes :], "big")
    s_bytes = s.to_bytes(33, "big")
    content = der[2 : 4 + r_bytes] + b"\x02" + bytes([len(s_bytes)]) + s_bytes
    high = b"\x30" + bytes([len(content)]) + content
    changed = altered(first, signatures=(high, *first.signatures[1:]))
    return header, altered(body, verdicts=(changed, *body.verdicts[1:]))


@pytest.mark.parametrize(
    "lie",
    [
        _missing_verdict,
        _one_verdict_too_many,
        _verdicts_swapped,
        _other_batch,
        _other_policy,
        _no_policy,
        _no_quorum,
        _signatures_swapped,
        _one_signature_short,
        _signatures_of_the_other_payment,
        _negated_s,
    ],
    ids=lambda lie: lie.__name__.strip("_"),
)
def test_attack_an_answer_with_one_lie_is_not_believed_and_nothing_of_it_is_kept(
    store: Store, clock: Ticking, alice: ScriptedAppliance, lie: object
) -> None:
    payments = cleared_payment(store, clock, prefix="a"), cleared_payment(store, clock, prefix="b")
    batch = batch_of(store, clock, *payments)
    alice.lie = lie  # type: ignore[assignment]
    with pytest.raises(IntegrityAlarm, match="alice") as raised:
        sent(store, clock, alice, batch.batch_id)
    assert raised.value.exit_code == 8
    assert kept(store) == (0, 0)
    assert [state_of(store, payment)[0] for payment in payments] == ["signing", "signing"]
    with store.read() as session:
        assert session.get_one(BatchSend, (batch.batch_id, alice.activation_id)).reply is not None


def test_attack_signatures_by_another_owners_key_are_not_taken_for_this_owners(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance, bob: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    alice.signatures = bob.signatures  # type: ignore[method-assign]
    with pytest.raises(IntegrityAlarm, match="alice: signature for input 0"):
        sent(store, clock, alice, batch.batch_id)
    assert kept(store) == (0, 0)


def test_attack_a_batch_answered_in_a_key_drawn_at_start_is_not_believed(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    with talking(store, clock, alice) as talk:
        # Whoever held the line when the session began answers on.
        talk.sender = public(STRANGER)
        alice.speaker = STRANGER
        with pytest.raises(IntegrityAlarm, match="not signed by the owner's identity"):
            send_batch(store, "test", talk, batch.batch_id, QUORUM, clock=clock, timeout=5)
    assert kept(store) == (0, 0)


def test_attack_another_owners_identity_cannot_answer_for_this_owner(
    store: Store, clock: Ticking, payment: int, alice: ScriptedAppliance
) -> None:
    batch = batch_of(store, clock, payment)
    with talking(store, clock, alice) as talk:
        alice.speaker = IDENTITY["bob"]
        with pytest.raises(IntegrityAlarm, match="stranger"):
            send_batch(store, "test", talk, batch.batch_id, QUORUM, clock=clock, timeout=5)
    assert kept(store) == (0, 0)
