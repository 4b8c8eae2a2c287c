"""A PSBT goes to an owner and comes back signed by exactly that owner, or it is an error that says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nacl.signing import SigningKey

import message_examples as examples
from exchange import Ticking
from psbt_examples import PsbtAppliance, signed_by, unsigned_psbt
from scripted_appliance import (
    IDENTITY,
    POLICY,
    QUORUM,
    STRANGER,
    ScriptedAppliance,
    public,
    stated,
    talking,
)
from undercroft_host.custody.freezes import learn_order
from undercroft_host.desk.psbts import short_code, sign_psbt
from undercroft_host.errors import (
    ApplianceRefused,
    ApplianceSilent,
    ApplianceState,
    Conflict,
    Frozen,
    IntegrityAlarm,
    UsageProblem,
)
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import AuditRecord
from undercroft_host.vault.finalise import payment_psbt
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.bitcoin.psbt_records import PsbtRecords, write_psbt
from undercroft_protocol.messages import FreezeOrder, RefusalReply, ReplyHeader, StatusRequest, seal_reply

PSBT = unsigned_psbt(0, 3).serialize()


def sent(store: Store, clock: Ticking, appliance: ScriptedAppliance, psbt: bytes = PSBT) -> bytes:
    with talking(store, clock, appliance) as talk:
        return sign_psbt(store, "test", talk, psbt, QUORUM, clock=clock, timeout=5)


def refusing(code: str = "owner", key: SigningKey = IDENTITY["alice"]) -> Callable[[bytes], bytes]:
    def refuse(psbt: bytes) -> bytes:
        header = ReplyHeader(QUORUM.id, bytes(16), 1, sha256(psbt), POLICY.hash, bytes(32))
        return seal_reply(header, RefusalReply(code, "no"), public(key), examples.signer(key))

    return refuse


def actions(store: Store) -> list[str]:
    with store.read() as session:
        return [one.action for one in session.query(AuditRecord).order_by(AuditRecord.number)]


def test_a_psbt_comes_back_with_the_owners_signatures_and_both_ends_are_on_record(store: Store, clock: Ticking) -> None:
    assert sent(store, clock, PsbtAppliance("alice")) == signed_by("alice", PSBT)
    assert actions(store)[-2:] == ["send-psbt", "psbt-signed"]


def test_a_psbt_that_another_owner_has_signed_keeps_that_signature(store: Store, clock: Ticking) -> None:
    first = signed_by("bob", PSBT)
    both = sent(store, clock, PsbtAppliance("alice"), first)
    assert [len(known) for known in Psbt.parse(both).verified_signatures()] == [2, 2]


def test_a_refusal_is_told_and_recorded(store: Store, clock: Ticking) -> None:
    with pytest.raises(ApplianceRefused, match="owner"):
        sent(store, clock, PsbtAppliance("alice", refusing()))
    assert actions(store)[-2:] == ["send-psbt", "psbt-refused"]


def test_attack_a_psbt_goes_round_a_freeze_order(store: Store, clock: Ticking) -> None:
    order = stated(FreezeOrder(QUORUM.id, "phone stolen", clock.now), IDENTITY["carol"])
    with store.begin("test") as session:
        learn_order(session, QUORUM.id, order, clock=clock)
    alice = PsbtAppliance("alice")
    with pytest.raises(Frozen, match="by carol: phone stolen"):
        sent(store, clock, alice)
    assert len(alice.heard) == 1


def test_an_appliance_that_was_locked_meanwhile_is_told_apart(store: Store, clock: Ticking) -> None:
    with pytest.raises(ApplianceState):
        sent(store, clock, PsbtAppliance("alice", refusing(key=STRANGER)))


def test_nothing_is_sent_to_an_appliance_that_is_not_armed(store: Store, clock: Ticking) -> None:
    alice = PsbtAppliance("alice")
    alice.state = "unlocked"
    with pytest.raises(ApplianceState):
        sent(store, clock, alice)
    assert len(alice.heard) == 1


@pytest.mark.parametrize("psbt", [b"", b"psbt\xff", PSBT + b"\x00"])
def test_what_is_no_psbt_is_not_sent(store: Store, clock: Ticking, psbt: bytes) -> None:
    alice = PsbtAppliance("alice")
    with pytest.raises(UsageProblem):
        sent(store, clock, alice, psbt)
    assert len(alice.heard) == 1


def test_attack_a_coin_of_a_payment_is_not_signed_away_beside_it(store: Store, clock: Ticking, payment: int) -> None:
    with store.read() as session:
        psbt = payment_psbt(session, payment, QUORUM).serialize()
    alice = PsbtAppliance("alice")
    with pytest.raises(Conflict, match=f"payment {payment}"):
        sent(store, clock, alice, psbt)
    assert len(alice.heard) == 1


def _without_last(data: bytes) -> bytes:
    records = PsbtRecords.parse(signed_by("alice", data))
    unsigned = PsbtRecords.parse(data)
    inputs = (*records.inputs[:-1], unsigned.inputs[-1])
    return write_psbt(records.transaction.serialize(), inputs, records.outputs)


def _swapped(data: bytes) -> bytes:
    psbt = Psbt.parse(data)
    one, other = (known.partial_signatures for known in Psbt.parse(signed_by("alice", data)).inputs)
    keys = [next(iter(signatures)) for signatures in (one, other)]
    psbt = psbt.with_signatures(0, {keys[0]: other[keys[1]]})
    return psbt.with_signatures(1, {keys[1]: one[keys[0]]}).serialize()


def _without_change_record(data: bytes) -> bytes:
    records = PsbtRecords.parse(signed_by("alice", data))
    return write_psbt(records.transaction.serialize(), records.inputs, ({}, {}))


@pytest.mark.parametrize(
    "answer",
    [
        lambda data: data,
        lambda data: signed_by("bob", data),
        lambda data: signed_by("bob", signed_by("alice", data)),
        _without_last,
        _swapped,
        _without_change_record,
        lambda data: signed_by("alice", data)[:-1],
    ],
    ids=["unsigned", "another owner", "one more", "one missing", "swapped", "change unnamed", "cut off"],
)
def test_attack_an_answer_that_is_not_exactly_ours_signed_is_an_alarm(
    store: Store, clock: Ticking, answer: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(IntegrityAlarm):
        sent(store, clock, PsbtAppliance("alice", answer))


def test_a_late_psbt_of_another_transaction_is_passed_over(store: Store, clock: Ticking) -> None:
    alice = PsbtAppliance("alice")
    with talking(store, clock, alice) as talk:
        alice.post(signed_by("alice", unsigned_psbt(5).serialize()))
        signed = sign_psbt(store, "test", talk, PSBT, QUORUM, clock=clock, timeout=5)
        alice.post(signed)
        assert talk.exchange(StatusRequest()).sender == public(IDENTITY["alice"])
    assert signed == signed_by("alice", PSBT)


def test_an_owner_who_does_not_answer_is_silence(store: Store, clock: Ticking) -> None:
    alice = PsbtAppliance("alice")
    alice.psbt = lambda data: signed_by("alice", unsigned_psbt(9).serialize())
    with pytest.raises(ApplianceSilent):
        sent(store, clock, alice)


def test_the_code_is_the_one_on_the_owners_screen() -> None:
    assert short_code(b"") == "e3b0-c442"
