"""The ceremony: what counts as a declaration and as an acceptance, and every way to pass another off as one."""

from __future__ import annotations

from typing import Any

import pytest

from exchange import Ticking
from owner_statements import accepted, declaration, declare_all, declared, envelope, formed, founded
from scripted_appliance import IDENTITY, NAMES, QUORUM, STRANGER, account_key, altered, public, stated
from undercroft_host.custody.appliances import get_appliance
from undercroft_host.custody.quorum import (
    active_quorum,
    current_quorum,
    envelope_of,
    form_quorum,
    store_acceptance,
    store_declaration,
    verify_declaration,
)
from undercroft_host.errors import Conflict, IntegrityAlarm, NotFound
from undercroft_host.store import audit
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Appliance, DeclarationRecord, QuorumRecord
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Acceptance, Quorum, possession_digest


def test_a_declaration_proves_itself_and_names_the_appliances_identity(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session:
        made = store_declaration(session, get_appliance(session, "alice"), declared("alice"), Network.REGTEST, clock)
        assert made.name == "alice"
        assert session.get_one(Appliance, "alice").identity == public(IDENTITY["alice"])


def test_three_declarations_make_the_quorum_in_the_order_of_their_xpubs(store: Store, clock: Ticking) -> None:
    quorum = formed(store, clock)
    assert quorum == altered(QUORUM, formed=clock())
    with store.read() as session:
        assert current_quorum(session) == (quorum, "forming")
        with pytest.raises(NotFound):
            active_quorum(session)


def test_forming_again_gives_the_same_quorum(store: Store, clock: Ticking) -> None:
    quorum = formed(store, clock)
    clock.now += 60
    with store.begin("test") as session:
        assert form_quorum(session, QUORUM.vault_key, QUORUM.risk_key, clock) == quorum


def test_another_declaration_before_the_quorum_is_formed_replaces_the_first(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session:
        alice = get_appliance(session, "alice")
        store_declaration(session, alice, declared("alice"), Network.REGTEST, clock)
        store_declaration(session, alice, declared("bob"), Network.REGTEST, clock)
        assert alice.identity == public(IDENTITY["bob"])
        assert session.query(DeclarationRecord).count() == 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_declarations_make_no_quorum(store: Store, clock: Ticking, count: int) -> None:
    with store.begin("test") as session:
        for name in NAMES[:count]:
            store_declaration(session, get_appliance(session, name), declared(name), Network.REGTEST, clock)
        with pytest.raises(Conflict, match=f"there are {count}"):
            form_quorum(session, QUORUM.vault_key, QUORUM.risk_key, clock)


def test_all_three_acceptances_make_it_active_and_keep_the_bound_envelopes(store: Store, clock: Ticking) -> None:
    quorum = formed(store, clock)
    states = []
    for name in NAMES:
        with store.begin("test") as session:
            states.append(store_acceptance(session, accepted(name, quorum), quorum, clock).state)
    assert states == ["forming", "forming", "active"]
    with store.read() as session:
        assert active_quorum(session) == quorum
        assert envelope_of(session, quorum, public(IDENTITY["bob"])) == envelope("bob", quorum.id)
        assert audit.verify(session) > 0


def test_one_owner_three_times_is_one_acceptance(store: Store, clock: Ticking) -> None:
    quorum = formed(store, clock)
    with store.begin("test") as session:
        for _ in range(3):
            assert store_acceptance(session, accepted("alice", quorum), quorum, clock).state == "forming"


def test_an_active_quorum_is_not_formed_over_and_its_declarations_stand(store: Store, clock: Ticking) -> None:
    founded(store, clock)
    with store.begin("test") as session:
        with pytest.raises(Conflict, match="active already"):
            form_quorum(session, QUORUM.vault_key, QUORUM.risk_key, clock)
        with pytest.raises(Conflict, match="already in quorum"):
            store_declaration(session, get_appliance(session, "alice"), declared("bob"), Network.REGTEST, clock)


def test_an_active_quorums_envelope_is_not_replaced(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    other = accepted("alice", quorum, envelope=altered(envelope("alice", quorum.id), salt=b"\x01" * 16))
    with store.begin("test") as session, pytest.raises(Conflict, match="accepted already"):
        store_acceptance(session, other, quorum, clock)


def test_a_key_for_another_network_is_a_conflict() -> None:
    made = stated(declaration("alice", Network.MAINNET), IDENTITY["alice"])
    assert verify_declaration(made, Network.MAINNET).network == "mainnet"
    with pytest.raises(Conflict, match="mainnet, not regtest"):
        verify_declaration(made, Network.REGTEST)


def _xpub_of_bob() -> dict[str, Any]:
    other = declaration("bob")
    return {"xpub": other.xpub, "envelope": envelope("alice", None, other.xpub)}


def _proof_of_bob() -> dict[str, Any]:
    other = declaration("bob")
    return {
        "xpub": other.xpub,
        "possession": other.possession,
        "envelope": envelope("alice", None, other.xpub),
    }


def _proof_by_bobs_key() -> dict[str, Any]:
    mine = declaration("alice")
    digest = possession_digest(mine.identity, mine.xpub)
    return {"possession": account_key("bob").key.sign(digest).serialize()}


def _proof_for_another_identity() -> dict[str, Any]:
    mine = declaration("alice")
    digest = possession_digest(public(IDENTITY["bob"]), mine.xpub)
    return {"possession": account_key("alice").key.sign(digest).serialize()}


def _envelope_of_bob() -> dict[str, Any]:
    return {"envelope": envelope("bob", None)}


def _envelope_bound_already() -> dict[str, Any]:
    return {"envelope": envelope("alice", bytes(32))}


def _identity_of_bob() -> dict[str, Any]:
    return {"identity": public(IDENTITY["bob"])}


@pytest.mark.parametrize(
    "mutation",
    [
        _xpub_of_bob,
        _proof_of_bob,
        _proof_by_bobs_key,
        _proof_for_another_identity,
        _envelope_of_bob,
        _envelope_bound_already,
        _identity_of_bob,
    ],
    ids=lambda mutation: mutation.__name__.strip("_"),
)
def test_attack_a_declaration_with_one_foreign_part_is_not_kept(store: Store, clock: Ticking, mutation: Any) -> None:
    with store.begin("test") as session:
        appliance = get_appliance(session, "alice")
        with pytest.raises(IntegrityAlarm) as raised:
            store_declaration(session, appliance, declared("alice", **mutation()), Network.REGTEST, clock)
        assert appliance.identity is None
        assert session.query(DeclarationRecord).count() == 0
    assert raised.value.exit_code == 8


def test_attack_a_declaration_signed_by_who_passed_it_on_is_not_kept() -> None:
    with pytest.raises(IntegrityAlarm, match="another key than the identity"):
        verify_declaration(stated(declaration("alice"), STRANGER), Network.REGTEST)


def test_attack_another_statement_is_no_declaration(store: Store, clock: Ticking) -> None:
    quorum = formed(store, clock)
    with pytest.raises(IntegrityAlarm):
        verify_declaration(accepted("alice", quorum), Network.REGTEST)


def test_attack_one_device_on_two_lines_is_one_owner(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session:
        store_declaration(session, get_appliance(session, "alice"), declared("alice"), Network.REGTEST, clock)
        with pytest.raises(IntegrityAlarm, match="that alice declared before"):
            store_declaration(session, get_appliance(session, "bob"), declared("alice"), Network.REGTEST, clock)


@pytest.mark.parametrize("what", ["name", "site", "region"])
def test_attack_owners_who_share_a_place_or_name_make_no_quorum(store: Store, clock: Ticking, what: str) -> None:
    declare_all(store, clock)
    shared = getattr(declaration("bob"), what)
    with store.begin("test") as session:
        alice = get_appliance(session, "alice")
        store_declaration(session, alice, declared("alice", **{what: shared}), Network.REGTEST, clock)
        with pytest.raises(Conflict, match=f"share one {what}"):
            form_quorum(session, QUORUM.vault_key, QUORUM.risk_key, clock)


def test_attack_one_key_for_vault_and_risk_makes_no_quorum(store: Store, clock: Ticking) -> None:
    declare_all(store, clock)
    with store.begin("test") as session, pytest.raises(Conflict, match="different keys"):
        form_quorum(session, QUORUM.vault_key, QUORUM.vault_key, clock)


def _for_another_quorum(quorum: Quorum) -> bytes:
    return accepted("alice", quorum, quorum_id=bytes(32))


def _with_the_draft(quorum: Quorum) -> bytes:
    return accepted("alice", quorum, envelope=envelope("alice", None))


def _with_bobs_envelope(quorum: Quorum) -> bytes:
    return accepted("alice", quorum, envelope=envelope("bob", quorum.id))


def _bound_to_another_quorum(quorum: Quorum) -> bytes:
    return accepted("alice", quorum, envelope=envelope("alice", bytes(32)))


def _by_a_stranger(quorum: Quorum) -> bytes:
    return stated(Acceptance(quorum.id, envelope("alice", quorum.id)), STRANGER)


@pytest.mark.parametrize(
    "forge",
    [_for_another_quorum, _with_the_draft, _with_bobs_envelope, _bound_to_another_quorum, _by_a_stranger],
    ids=lambda forge: forge.__name__.strip("_"),
)
def test_attack_an_acceptance_of_something_else_is_not_kept(store: Store, clock: Ticking, forge: Any) -> None:
    quorum = formed(store, clock)
    with store.begin("test") as session, pytest.raises(IntegrityAlarm):
        store_acceptance(session, forge(quorum), quorum, clock)
    with store.read() as session, pytest.raises(NotFound):
        envelope_of(session, quorum, public(IDENTITY["alice"]))


def test_attack_a_quorum_swapped_in_the_database_is_noticed(store: Store, clock: Ticking) -> None:
    quorum = founded(store, clock)
    with store.begin("test") as session:
        session.get_one(QuorumRecord, quorum.id).cbor = altered(quorum, formed=quorum.formed + 1).to_bytes()
    with store.read() as session, pytest.raises(IntegrityAlarm, match="not what its name says"):
        active_quorum(session)
