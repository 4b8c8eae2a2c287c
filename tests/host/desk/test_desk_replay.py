"""The past as it is handed to the appliance's code: each batch once, in order, as one appliance saw it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from exchange import NOW, Ticking
from scripted_appliance import POLICY, QUORUM, ScriptedAppliance, altered, batch_of, cleared_payment, sent
from undercroft_host.desk.replay import Opinion, Replayed, replay
from undercroft_host.errors import IntegrityAlarm
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Batch, Payment, PolicyRecord
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.messages import BatchRequest, Policy, Quorum

DRAFT = altered(POLICY, version=2, replaces=POLICY.hash, hold_above_sats=1)


class Judge:
    """Says for every transaction ``sign`` under the policies of the past and ``hold`` under the draft."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.policies: list[Policy] = []

    def __call__(self, quorum: Quorum, policies: Sequence[Policy], records: str) -> Mapping[str, Any]:
        assert quorum == QUORUM
        self.policies = list(policies)
        self.asked = [json.loads(line) for line in records.splitlines()]
        sign = {"verdict": "sign", "code": None, "detail": ""}
        hold = {"verdict": "hold", "code": "transaction-hold", "detail": "2 > 1 sats"}
        rows = [
            {"batch": at, "txid": txid, "leaves_sats": 7, "was_signed": True, "verdicts": [sign] * before + [hold]}
            for before in (len(policies) - 1,)
            for at, one in enumerate(self.asked, start=1)
            for txid in one["signed"] or [None]
        ]
        return {"transactions": rows}


def replayed(store: Store, judge: Judge, since: int = 0) -> list[Replayed]:
    with store.read() as session:
        return replay(session, QUORUM, DRAFT, since=since, now=NOW, judge=judge)


def pay(store: Store, clock: Ticking, prefix: str, *appliances: ScriptedAppliance) -> tuple[BatchRequest, str]:
    """A payment that is sent to these appliances, a minute apart; its batch and txid."""
    number = cleared_payment(store, clock, prefix=prefix)
    batch = batch_of(store, clock, number)
    for appliance in appliances:
        sent(store, clock, appliance, batch.batch_id)
        clock.now += 60
    with store.read() as session:
        return batch, txid_to_hex(session.get_one(Payment, number).txid)


def test_a_payment_in_two_batches_is_told_as_the_appliance_got_it_that_was_sent_the_most(
    store: Store, clock: Ticking
) -> None:
    alice, bob, judge = ScriptedAppliance("alice"), ScriptedAppliance("bob"), Judge()
    first, _ = pay(store, clock, "a", alice)
    numbers = [cleared_payment(store, clock, prefix=prefix) for prefix in "bc"]
    for_bob, for_alice = batch_of(store, clock, numbers[0]), batch_of(store, clock, *numbers)
    sent(store, clock, bob, for_bob.batch_id)
    clock.now += 60
    sent(store, clock, alice, for_alice.batch_id)
    replayed(store, judge)
    judged = [BatchRequest.from_bytes(base64.b64decode(one["batch"])) for one in judge.asked]
    assert [one.batch_id for one in judged] == [first.batch_id, for_alice.batch_id]


def test_each_batch_is_judged_once_as_the_appliance_saw_it_that_was_sent_the_most(store: Store, clock: Ticking) -> None:
    alice, bob, judge = ScriptedAppliance("alice"), ScriptedAppliance("bob"), Judge()
    first, first_txid = pay(store, clock, "a", bob, alice)
    second, second_txid = pay(store, clock, "b", bob)
    third, third_txid = pay(store, clock, "c", alice)
    alice.activation_id = b"\x09" * 16
    fourth, fourth_txid = pay(store, clock, "d", alice)
    found = replayed(store, judge)
    assert [base64.b64decode(one["batch"]) for one in judge.asked] == [
        one.to_bytes() for one in (first, second, third, fourth)
    ]
    assert [one["time"] for one in judge.asked] == [NOW + 60, NOW + 120, NOW + 180, NOW + 240]
    yesterday = ScriptedAppliance("alice").activation_id.hex()
    assert [one["activation"] for one in judge.asked] == [yesterday, yesterday, yesterday, "09" * 16]
    assert judge.policies == [POLICY, DRAFT]
    assert [one.txid for one in found] == [first_txid, second_txid, third_txid, fourth_txid]
    assert found[0] == Replayed(
        time=NOW + 60,
        batch=first.batch_id.hex(),
        txid=first_txid,
        leaves_sats=7,
        was_signed=True,
        policy_version=1,
        then=Opinion("sign", None, ""),
        draft=Opinion("hold", "transaction-hold", "2 > 1 sats"),
    )
    assert found[0].changes
    assert [one.txid for one in replayed(store, Judge(), since=NOW + 180)] == [third_txid, fourth_txid]


def test_what_nobody_signed_is_told_as_such(store: Store, clock: Ticking) -> None:
    alice, judge = ScriptedAppliance("alice"), Judge()
    alice.decides = lambda _: ("held", "policy")
    pay(store, clock, "a", alice)
    found = replayed(store, judge)
    assert judge.asked[0]["signed"] == []
    assert found[0].txid is None


def test_nothing_sent_is_nothing_judged(store: Store) -> None:
    judge = Judge()
    assert replayed(store, judge) == []
    assert judge.policies == []


def test_attack_a_batch_under_a_policy_that_nobody_knows_is_an_alarm(store: Store, clock: Ticking) -> None:
    batch, _ = pay(store, clock, "a", ScriptedAppliance("alice"))
    with store.begin("test") as session:
        session.get_one(Batch, batch.batch_id).body = altered(batch, policy_hash=bytes(32)).to_bytes()
        assert session.get(PolicyRecord, bytes(32)) is None
    with pytest.raises(IntegrityAlarm, match="unknown here"):
        replayed(store, Judge())
