"""What the three owners' appliances state in the ceremony and at an activation, made from fixed test keys."""

from __future__ import annotations

from typing import Any

from embit import bip32
from embit.networks import NETWORKS

from exchange import NOW, Ticking
from message_examples import POLICY_TEXT
from scripted_appliance import IDENTITY, NAMES, POLICY, QUORUM, account_key, altered, public, stated
from undercroft_host.custody.appliances import get_appliance
from undercroft_host.custody.policies import propose, store_approval
from undercroft_host.custody.quorum import form_quorum, store_acceptance, store_declaration
from undercroft_host.store.engine import Store
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import (
    Acceptance,
    ActivationGrant,
    ActivationRequest,
    Declaration,
    Envelope,
    Policy,
    PolicyApproval,
    Quorum,
    possession_digest,
)


def declaration(name: str, network: Network = Network.REGTEST) -> Declaration:
    """An owner's declaration as the appliance makes it."""
    owner = next(one for one in QUORUM.owners if one.name == name)
    key = account_key(name)
    xpub = owner.xpub
    if network is not Network.REGTEST:
        seed = bytes([(0xA1, 0xB2, 0xC3)[NAMES.index(name)]]) * 32
        coin = network.coin_type
        key = bip32.HDKey.from_seed(seed, version=NETWORKS["main"]["xprv"]).derive(f"m/48h/{coin}h/0h/2h")
        xpub = ExtendedPublicKey.parse(key.to_public().to_base58(), network).serialize()
    identity = public(IDENTITY[name])
    possession = key.key.sign(possession_digest(identity, xpub)).serialize()
    return Declaration(
        name=name,
        site=owner.site,
        region=owner.region,
        network=network.value,
        fingerprint=owner.fingerprint,
        xpub=xpub,
        identity=identity,
        possession=possession,
        envelope=envelope(name, None, xpub),
    )


def envelope(name: str, quorum_id: bytes | None, xpub: bytes | None = None) -> Envelope:
    """An owner's envelope, with a ciphertext that nobody can open."""
    owner = next(one for one in QUORUM.owners if one.name == name)
    return Envelope(
        version=1,
        opslimit=3,
        memory_kib=65_536,
        salt=bytes(16),
        nonce=bytes(24),
        quorum_id=quorum_id,
        fingerprint=owner.fingerprint,
        xpub=owner.xpub if xpub is None else xpub,
        identity=owner.identity,
        ciphertext=bytes(48),
    )


def declared(name: str, /, **changes: Any) -> bytes:
    """A signed declaration, or one with other fields."""
    return stated(altered(declaration(name), **changes), IDENTITY[name])


def accepted(name: str, quorum: Quorum, /, **changes: Any) -> bytes:
    """A signed acceptance, or one with other fields."""
    return stated(altered(Acceptance(quorum.id, envelope(name, quorum.id)), **changes), IDENTITY[name])


def approved(name: str, policy: Policy, /, **changes: Any) -> bytes:
    """A signed approval, or one with other fields."""
    approval = PolicyApproval(policy.quorum_id, policy.hash, policy.version, 0 if policy.version == 1 else NOW)
    return stated(altered(approval, **changes), IDENTITY[name])


def activation_request(name: str, quorum: Quorum, policy: Policy, site: str, /, **changes: Any) -> bytes:
    """A signed request to be armed; the activation is the name's letters."""
    request = ActivationRequest(
        quorum.id, activation_id(name), policy.hash, b"\x06" * 32, site, policy.activation_seconds, NOW
    )
    return stated(altered(request, **changes), IDENTITY[name])


def activation_id(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def grant(granter: str, grantee: str, quorum: Quorum, policy: Policy, site: str, /, **changes: Any) -> bytes:
    """A signed grant."""
    value = ActivationGrant(
        quorum.id,
        activation_id(grantee),
        public(IDENTITY[grantee]),
        policy.hash,
        b"\x06" * 32,
        site,
        policy.activation_seconds,
        (),
    )
    return stated(altered(value, **changes), IDENTITY[granter])


def declare_all(store: Store, clock: Ticking) -> None:
    """Three declarations."""
    with store.begin("test") as session:
        for name in NAMES:
            store_declaration(session, get_appliance(session, name), declared(name), Network.REGTEST, clock)


def formed(store: Store, clock: Ticking) -> Quorum:
    """Three declarations, and the quorum of them."""
    declare_all(store, clock)
    with store.begin("test") as session:
        return form_quorum(session, QUORUM.vault_key, QUORUM.risk_key, clock)


def founded(store: Store, clock: Ticking) -> Quorum:
    """An active quorum."""
    quorum = formed(store, clock)
    with store.begin("test") as session:
        for name in NAMES:
            store_acceptance(session, accepted(name, quorum), quorum, clock)
    return quorum


def governed(store: Store, clock: Ticking) -> tuple[Quorum, Policy]:
    """An active quorum with an active policy."""
    quorum = founded(store, clock)
    with store.begin("test") as session:
        policy = propose(session, POLICY_TEXT.format(version=POLICY.version), quorum, clock)
        for name in NAMES[:2]:
            store_approval(session, approved(name, policy), policy, quorum, clock)
    return quorum, policy
