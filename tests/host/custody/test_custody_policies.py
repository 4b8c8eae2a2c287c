"""A policy is proposed once per version, and in force when two different owners have approved exactly it."""

from __future__ import annotations

from typing import Any

import pytest

from exchange import Ticking
from message_examples import POLICY_TEXT
from owner_statements import approved, founded, governed
from scripted_appliance import STRANGER, altered, stated
from undercroft_host.custody.policies import (
    active_policy,
    approvals_of,
    list_policies,
    propose,
    proposed_policy,
    store_approval,
)
from undercroft_host.errors import Conflict, IntegrityAlarm, NotFound, PolicyInvalid
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import PolicyRecord
from undercroft_protocol.messages import PolicyApproval


def test_two_owners_put_a_policy_in_force(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, POLICY_TEXT.format(version=1), quorum, clock)
        assert proposed_policy(session, quorum) == policy
        with pytest.raises(NotFound):
            active_policy(session, quorum)
        states = [
            store_approval(session, approved(name, policy), policy, quorum, clock).state for name in ("alice", "carol")
        ]
        assert states == ["proposed", "active"]
        assert active_policy(session, quorum) == policy


def test_a_newer_policy_retires_the_older_one_only_when_it_is_in_force(store: Store, clock: Ticking) -> None:
    quorum, first = governed(store, clock)
    with store.begin("test") as session:
        second = propose(session, POLICY_TEXT.format(version=2), quorum, clock)
        assert (active_policy(session, quorum), proposed_policy(session, quorum)) == (first, second)
        for name in ("bob", "carol"):
            store_approval(session, approved(name, second), second, quorum, clock)
        assert active_policy(session, quorum) == second
        assert [one.state for one in list_policies(session, quorum)] == ["active", "retired"]
        with pytest.raises(Conflict, match="not up for approval"):
            store_approval(session, approved("carol", first), first, quorum, clock)


def test_the_same_file_again_is_the_same_policy(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        assert propose(session, POLICY_TEXT.format(version=1), quorum, clock) == policy
        assert len(list_policies(session, quorum)) == 1


def test_a_version_must_rise(store: Store, clock: Ticking) -> None:
    quorum, _ = governed(store, clock)
    changed = POLICY_TEXT.format(version=1).replace("daily payouts", "nightly payouts")
    with store.begin("test") as session, pytest.raises(Conflict, match="must be above 1"):
        propose(session, changed, quorum, clock)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("most_fee_sats", "most_fee_sat", "most_fee_sat is not a rule"),
        ("idle_seconds = 3600", "", "idle_seconds is missing"),
        ("50_000_000", '"50"', "hold_above_sats"),
        ("50_000_000", "0.5", "float where int belongs"),
        ("version = 1", "version = ", "policy file"),
        ("hold_above_sats = 50_000_000", "hold_above_sats = 600_000_000", "larger than refuse_above_sats"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_with_its_reason(
    store: Store, clock: Ticking, old: str, new: str, says: str
) -> None:
    quorum = founded(store, clock)
    text = POLICY_TEXT.format(version=1)
    with store.begin("test") as session, pytest.raises(PolicyInvalid, match=says) as raised:
        propose(session, text.replace(old, new, 1), quorum, clock)
    assert raised.value.exit_code == 2


def test_attack_one_owner_twice_is_one_approval(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, POLICY_TEXT.format(version=1), quorum, clock)
        for _ in range(2):
            assert store_approval(session, approved("alice", policy), policy, quorum, clock).state == "proposed"
        assert len(approvals_of(session, policy)) == 1


@pytest.mark.parametrize(
    "changes",
    [{"policy_hash": bytes(32)}, {"quorum_id": bytes(32)}, {"version": 2}],
    ids=lambda changes: next(iter(changes)),
)
def test_attack_an_approval_of_another_policy_does_not_count(
    store: Store, clock: Ticking, changes: dict[str, Any]
) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, POLICY_TEXT.format(version=1), quorum, clock)
        with pytest.raises(IntegrityAlarm, match="by alice: of another policy"):
            store_approval(session, approved("alice", policy, **changes), policy, quorum, clock)
        assert approvals_of(session, policy) == []


def test_attack_an_approval_by_a_stranger_does_not_count(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, POLICY_TEXT.format(version=1), quorum, clock)
        forged = stated(PolicyApproval(quorum.id, policy.hash, policy.version), STRANGER)
        with pytest.raises(IntegrityAlarm, match="may not sign"):
            store_approval(session, forged, policy, quorum, clock)


def test_attack_rules_swapped_in_the_database_are_noticed(store: Store, clock: Ticking) -> None:
    quorum, policy = governed(store, clock)
    with store.begin("test") as session:
        looser = altered(policy, refuse_above_sats=policy.refuse_above_sats * 2)
        session.get_one(PolicyRecord, policy.hash).cbor = looser.to_bytes()
    with store.read() as session, pytest.raises(IntegrityAlarm, match="not what its name says"):
        active_policy(session, quorum)
