"""Freeze orders: made by an owner at the panel, told with every status, and never good against a later activation."""

from __future__ import annotations

import dataclasses

import pytest
from nacl.signing import SigningKey

from appliance.builders import ALICE, BOB, CAROL, QUORUM, UTC, VAULT, Person, PlainKeys, good_batch, stated
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.errors import SigningError
from undercroft_appliance.keeper import freeze, refusals
from undercroft_appliance.keeper.handover import QuorumMemory
from undercroft_appliance.keeper.session import Session
from undercroft_protocol.messages import (
    Done,
    FreezeOrder,
    FreezeRequest,
    LockRequest,
    StatusReport,
    StatusRequest,
    open_statement,
)


def order_by(key: SigningKey, time: int = UTC, quorum_id: bytes = QUORUM.id) -> bytes:
    return stated(FreezeOrder(quorum_id, "phone stolen", time), key)


def told_by(bench: Bench) -> bytes | None:
    report = bench.ask(StatusRequest(), activation_id=bytes(16)).body
    assert isinstance(report, StatusReport)
    return report.freeze_order


def made_by(bench: Bench) -> FreezeOrder:
    raw = told_by(bench)
    assert raw is not None
    return open_statement(FreezeOrder, raw, (ALICE.entry.identity,))[0]


@pytest.mark.parametrize("is_armed", [False, True])
def test_an_owner_freezes_and_the_order_for_the_others_is_told_with_every_status(bench: Bench, is_armed: bool) -> None:
    bench.armed() if is_armed else bench.activated()
    assert told_by(bench) is None
    bench.command("freeze  the courier has vanished ")
    assert bench.keeper.session.state == "empty"
    assert not bench.keys.is_open
    assert made_by(bench) == FreezeOrder(QUORUM.id, "the courier has vanished", UTC)
    assert made_by(bench) == made_by(bench)


def test_an_order_without_a_reason_has_one() -> None:
    with Bench() as bench:
        bench.activated().command("freeze")
        assert made_by(bench).reason == freeze.REASON_HERE


def test_one_owners_order_stops_another_owners_appliance() -> None:
    with Bench() as alice, Bench(PlainKeys(BOB), person=BOB) as bob:
        alice.armed()
        bob.owner.answers["At which site are you?"] = BOB.entry.site
        bob.ask(bob.activation_request())
        bob.ask(bob.grant(granter=ALICE))
        assert bob.keeper.session.state == "armed", bob.told()
        alice.command("freeze phone stolen")
        order = told_by(alice)
        assert order is not None
        assert bob.ask(FreezeRequest(order)).body == Done("empty")
        assert told_by(bob) == order
        assert bob.refusal(good_batch()).startswith(refusals.FROZEN.name)


def test_an_order_is_told_until_the_appliance_is_armed_again(bench: Bench) -> None:
    bench.armed().command("freeze")
    bench.activated()
    assert told_by(bench) is not None
    bench.ask(bench.grant())
    assert told_by(bench) is None
    bench.ask(LockRequest())
    assert told_by(bench) is None


def test_an_order_is_handed_to_the_next_process(bench: Bench) -> None:
    bench.armed().command("freeze")
    order = told_by(bench)
    memories = [QuorumMemory.from_bytes(one.to_bytes()) for one in bench.keeper.session.snapshot()]
    later = Session(bench.keeper.session.clock, bytes)
    later.restore(memories)
    assert later.freeze_orders == {QUORUM.id: order}
    assert QUORUM.id in later.frozen


def test_a_ceremony_has_nothing_to_order_and_locks_all_the_same(bench: Bench) -> None:
    bench.command("freeze now")
    assert bench.keeper.session.state == "empty"
    assert told_by(bench) is None


@pytest.mark.parametrize("signer", [ALICE.identity, BOB.identity, CAROL.identity, VAULT])
def test_an_order_as_old_as_clocks_may_differ_is_obeyed(bench: Bench, signer: SigningKey) -> None:
    bench.armed()
    assert bench.ask(FreezeRequest(order_by(signer, UTC - freeze.SKEW_SECONDS))).body == Done("empty")


def test_attack_an_order_of_before_this_activation_is_brought_again(bench: Bench) -> None:
    bench.armed()
    order = FreezeRequest(order_by(BOB.identity, UTC))
    assert bench.ask(order).body == Done("empty")
    later = UTC + freeze.SKEW_SECONDS + 1
    request = dataclasses.replace(bench.activation_request(), time=later)
    bench.ask(request, expires=later + 600)
    bench.ask(bench.grant(), expires=later + 600)
    assert bench.keeper.session.state == "armed", bench.told()
    for _ in range(12):
        assert bench.refusal(order, expires=later + 600).startswith(refusals.FREEZE_OLD.name)
    assert bench.keeper.session.state == "armed"
    assert bench.ask(FreezeRequest(order_by(BOB.identity, later)), expires=later + 600).body == Done("empty")


def test_attack_an_order_by_a_stranger_or_for_another_quorum_is_neither_obeyed_nor_told(bench: Bench) -> None:
    bench.armed()
    stranger = Person(0xD4, "dave", "Oslo vault", "north")
    refused = bench.refusal(FreezeRequest(order_by(stranger.identity)))
    assert refused.startswith(refusals.FREEZE_UNTRUSTED.name)
    refused = bench.refusal(FreezeRequest(order_by(BOB.identity, quorum_id=b"\x01" * 32)))
    assert refused.startswith(refusals.OTHER_QUORUM.name)
    assert (bench.keeper.session.state, told_by(bench)) == ("armed", None)


def test_attack_a_fault_in_the_orders_signature_keeps_the_appliance_open() -> None:
    class Faulty(PlainKeys):
        def sign_identity(self, data: bytes) -> bytes:
            if b"FreezeOrder" in data:
                raise SigningError("identity")
            return super().sign_identity(data)

    with Bench(Faulty(ALICE)) as bench:
        bench.armed()
        with pytest.raises(SigningError):
            bench.command("freeze")
        assert not bench.keys.is_open
        assert bench.keeper.session.state == "empty"
        assert QUORUM.id in bench.keeper.session.frozen
