"""Activations: all that an appliance needs is brought, and only another owner's grant for exactly it is kept."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from exchange import Ticking
from message_examples import POLICY_TEXT
from owner_statements import activation_id, activation_request, approved, envelope, founded, governed, grant
from scripted_appliance import IDENTITY, public
from undercroft_host.custody.activations import (
    activate_request,
    check_sites,
    end_activations,
    list_activations,
    mark_armed,
    open_activation,
    store_grant,
    store_request,
)
from undercroft_host.custody.appliances import get_appliance
from undercroft_host.custody.policies import propose, store_approval
from undercroft_host.errors import ActivationUnknown, IntegrityAlarm, NotFound, SitesEqual
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Activation, ApplianceLogSeal
from undercroft_protocol.messages import Policy, Quorum


def requested(
    session: Session, name: str, quorum: Quorum, policy: Policy, clock: Ticking, **changes: Any
) -> Activation:
    raw = activation_request(name, quorum, policy, changes.pop("site", f"{name} site"), **changes)
    return stored(session, name, raw, quorum, policy, clock=clock)


def stored(
    session: Session, name: str, raw: bytes, quorum: Quorum, policy: Policy, *, clock: Ticking, id: bytes | None = None
) -> Activation:
    """What is kept of a request as an appliance answered it."""
    appliance = get_appliance(session, name)
    return store_request(
        session,
        appliance,
        raw,
        id or activation_id(name),
        quorum,
        policy_hash=policy.hash,
        began=clock(),
        clock=clock,
    )


def test_an_activation_brings_envelope_quorum_policy_approvals_and_the_logs_end(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        session.add(ApplianceLogSeal(identity=public(IDENTITY["alice"]), length=1, raw=b"\x01" * 80, kept=clock()))
        session.flush()
        request = activate_request(session, get_appliance(session, "alice"), quorum, clock=clock)
    assert (request.quorum, request.policy, request.time) == (quorum, policy, clock())
    assert request.envelope == envelope("alice", quorum.id)
    assert len(request.approvals) == 2
    assert request.log_seal == b"\x01" * 80


def test_an_activation_brings_the_policies_that_led_to_the_one_in_force(store: Store, clock: Ticking) -> None:
    quorum, first = governed(store, clock)
    with store.begin("test") as session:
        text = POLICY_TEXT.format(version=2).replace("most_inputs = 200", "most_inputs = 199")
        second = propose(session, text, quorum, clock)
        store_approval(session, approved("carol", second), second, quorum, clock)
        request = activate_request(session, get_appliance(session, "alice"), quorum, clock=clock)
    assert (request.policy, len(request.approvals)) == (second, 1)
    assert [(one.policy, len(one.approvals)) for one in request.lineage] == [(first, 2)]


def test_without_a_policy_there_is_nothing_to_activate(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.read() as session, pytest.raises(NotFound, match="active policy"):
        activate_request(session, get_appliance(session, "alice"), quorum, clock=clock)


def test_a_grant_from_another_site_arms(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        alice = requested(session, "alice", quorum, policy, clock)
        bob = requested(session, "bob", quorum, policy, clock)
        check_sites(bob, alice)
        store_grant(
            session,
            get_appliance(session, "bob"),
            alice,
            grant("bob", "alice", quorum, policy, "bob site"),
            quorum,
            clock=clock,
        )
        mark_armed(session, alice, clock=clock)
        assert (alice.state, alice.granted_by, alice.armed) == ("armed", "bob", clock())
        assert open_activation(session, "alice").id == alice.id


def test_a_new_activation_ends_the_one_before(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        requested(session, "alice", quorum, policy, clock)
        raw = activation_request("alice", quorum, policy, "alice site", activation_id=b"\x09" * 16)
        clock.now += 1
        stored(session, "alice", raw, quorum, policy, clock=clock, id=b"\x09" * 16)
        assert [one.state for one in list_activations(session)] == ["requested", "ended"]
        end_activations(session, "alice")
        with pytest.raises(ActivationUnknown):
            open_activation(session, "alice")


def test_rule_o03_two_owners_at_one_site_cannot_activate_each_other(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        alice = requested(session, "alice", quorum, policy, clock, site="one room")
        bob = requested(session, "bob", quorum, policy, clock, site="one room")
        with pytest.raises(SitesEqual, match="one room") as raised:
            check_sites(bob, alice)
        with pytest.raises(SitesEqual):
            check_sites(alice, alice)
        with pytest.raises(SitesEqual):
            store_grant(
                session,
                get_appliance(session, "bob"),
                alice,
                grant("bob", "alice", quorum, policy, "one room"),
                quorum,
                clock=clock,
            )
        assert alice.grant is None
    assert raised.value.exit_code == 5


@pytest.mark.parametrize(
    "changes",
    [{"quorum_id": bytes(32)}, {"activation_id": bytes(16)}, {"policy_hash": bytes(32)}],
    ids=lambda changes: next(iter(changes)),
)
def test_attack_a_request_for_something_else_is_not_kept(store: Store, clock: Ticking, changes: dict[str, Any]) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        with pytest.raises(IntegrityAlarm, match="not for this activation"):
            requested(session, "alice", quorum, policy, clock, **changes)
        assert list_activations(session) == []


def test_attack_another_appliances_request_is_not_kept(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    raw = activation_request("bob", quorum, policy, "bob site", activation_id=activation_id("alice"))
    with store.begin("test") as session, pytest.raises(IntegrityAlarm, match="may not sign"):
        stored(session, "alice", raw, quorum, policy, clock=clock)


@pytest.mark.parametrize(
    "changes",
    [
        {"quorum_id": bytes(32)},
        {"activation_id": bytes(16)},
        {"grantee": public(IDENTITY["carol"])},
        {"policy_hash": bytes(32)},
        {"firmware_hash": bytes(32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_attack_a_grant_of_something_else_is_not_kept(store: Store, clock: Ticking, changes: dict[str, Any]) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        alice = requested(session, "alice", quorum, policy, clock)
        forged = grant("bob", "alice", quorum, policy, "bob site", **changes)
        with pytest.raises(IntegrityAlarm, match="not for this activation"):
            store_grant(session, get_appliance(session, "bob"), alice, forged, quorum, clock=clock)
        assert alice.grant is None


def test_attack_a_grant_by_the_grantee_or_another_owner_is_not_the_granters(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        alice = requested(session, "alice", quorum, policy, clock)
        for signer in ("alice", "carol"):
            forged = grant(signer, "alice", quorum, policy, "bob site")
            with pytest.raises(IntegrityAlarm, match="may not sign"):
                store_grant(session, get_appliance(session, "bob"), alice, forged, quorum, clock=clock)
