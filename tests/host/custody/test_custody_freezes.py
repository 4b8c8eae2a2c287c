"""Freeze orders: learned from any appliance's status, kept, obeyed by the host, and over with a fresh activation."""

from __future__ import annotations

from pathlib import Path

import pytest
from nacl.signing import SigningKey

import message_examples as examples
from exchange import NOW, Ticking, open_store
from scripted_appliance import (
    IDENTITY,
    POLICY,
    QUORUM,
    STRANGER,
    ScriptedAppliance,
    batch_of,
    cleared_payment,
    found,
    sent,
    stated,
    talking,
)
from undercroft_host.custody.activations import mark_armed
from undercroft_host.custody.freezes import check_not_frozen, learn_order, open_orders, signer_name
from undercroft_host.errors import Frozen, IntegrityAlarm
from undercroft_host.store import audit
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Activation, AuditRecord, FreezeRecord
from undercroft_protocol.messages import FreezeOrder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(tmp_path)
    found(opened)
    return opened


def order_by(key: SigningKey, quorum_id: bytes = QUORUM.id, time: int = NOW) -> bytes:
    return stated(FreezeOrder(quorum_id, "phone stolen", time), key)


def frozen_by(store: Store, clock: Ticking, name: str) -> bytes:
    """What the host hears when it asks an appliance whose owner froze it."""
    appliance = ScriptedAppliance(name)
    appliance.state, appliance.freeze_order = "empty", order_by(IDENTITY[name])
    with talking(store, clock, appliance):
        pass
    return appliance.freeze_order


def activation(requested: int) -> Activation:
    return Activation(
        id=b"\x05" * 16,
        appliance="alice",
        quorum_id=QUORUM.id,
        policy_hash=POLICY.hash,
        site="Zurich vault",
        request=b"",
        grant=None,
        granted_by=None,
        state="requested",
        requested=requested,
        armed=None,
    )


def test_an_owners_order_is_learned_from_the_status_once_with_a_record(store: Store, clock: Ticking) -> None:
    raw = frozen_by(store, clock, "carol")
    clock.now += 5
    assert frozen_by(store, clock, "carol") == raw
    with store.read() as session:
        (record,) = open_orders(session, QUORUM.id)
        assert (record.raw, record.reason, record.ordered, record.learned) == (raw, "phone stolen", NOW, NOW)
        assert signer_name(QUORUM, record.signer) == "carol"
        acts = [one for one in session.query(AuditRecord) if one.action == "learn-freeze"]
        assert [act.facts for act in acts] == [{"by": "carol", "reason": "phone stolen"}]
        audit.verify(session)


def test_no_batch_is_sent_while_an_order_stands(store: Store, clock: Ticking) -> None:
    batch = batch_of(store, clock, cleared_payment(store, clock))
    frozen_by(store, clock, "carol")
    alice = ScriptedAppliance("alice")
    with pytest.raises(Frozen, match="by carol: phone stolen") as raised:
        sent(store, clock, alice, batch.batch_id)
    assert raised.value.exit_code == 5
    assert len(alice.heard) == 1
    with store.begin("test") as session:
        clock.now += 10
        session.add(fresh := activation(clock.now))
        session.flush()
        mark_armed(session, fresh, clock=clock)
    assert {answer.verdict for answer in sent(store, clock, alice, batch.batch_id)} == {"signed"}


def test_only_an_activation_of_after_the_order_lifts_it(store: Store, clock: Ticking) -> None:
    clock.now += 100
    raw = frozen_by(store, clock, "carol")
    with store.begin("test") as session:
        session.add(earlier := activation(clock.now - 1))
        session.flush()
        mark_armed(session, earlier, clock=clock)
        assert len(open_orders(session, QUORUM.id)) == 1
        earlier.requested = clock.now
        mark_armed(session, earlier, clock=clock)
        assert open_orders(session, QUORUM.id) == []
        check_not_frozen(session, QUORUM)
    # The appliance that was frozen still remembers it.
    assert frozen_by(store, clock, "carol") == raw
    with store.read() as session:
        assert open_orders(session, QUORUM.id) == []
        assert session.query(FreezeRecord).one().lifted == clock.now


@pytest.mark.parametrize(
    "raw",
    [order_by(STRANGER), order_by(examples.RISK), order_by(IDENTITY["bob"], b"\x01" * 32), b"\x00" * 80],
    ids=["stranger", "risk service", "other quorum", "nothing"],
)
def test_attack_a_status_with_an_order_by_a_stranger_or_for_another_quorum(
    store: Store, clock: Ticking, raw: bytes
) -> None:
    alice = ScriptedAppliance("alice")
    alice.freeze_order = raw
    with pytest.raises(IntegrityAlarm, match="freeze order"), talking(store, clock, alice):
        pass
    with store.begin("test") as session:
        assert open_orders(session, QUORUM.id) == []
        with pytest.raises(IntegrityAlarm):
            learn_order(session, QUORUM.id, raw, clock=clock)


def test_the_vaults_own_order_is_the_vaults(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session:
        record = learn_order(session, QUORUM.id, order_by(examples.VAULT), clock=clock)
        assert signer_name(QUORUM, record.signer) == "the vault"
