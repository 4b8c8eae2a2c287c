"""One good example of every message, made from fixed test keys; vectors and tests are made from these.

The keys are test keys: 32 times the same byte. Nothing of value may ever be sent to them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from embit import bip32
from embit.networks import NETWORKS
from nacl.signing import SigningKey

from undercroft_protocol import cose
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import (
    Acceptance,
    ActivateRequest,
    ActivationGrant,
    ActivationRequest,
    ApprovedPolicy,
    ArmRequest,
    BatchReply,
    BatchRequest,
    Change,
    Clearance,
    Coin,
    Declaration,
    DeclareRequest,
    Done,
    Envelope,
    ExactFacts,
    FreezeOrder,
    FreezeRequest,
    GrantRequest,
    LockRequest,
    LogEntry,
    LogReply,
    LogRequest,
    LogSeal,
    Output,
    Owner,
    Policy,
    PolicyApproval,
    PolicyOffer,
    Quorum,
    QuorumOffer,
    RefusalReply,
    ReplyHeader,
    RequestHeader,
    Spent,
    StatementReply,
    StatusReport,
    StatusRequest,
    TransactionRequest,
    Value,
    Verdict,
    Window,
    sign_statement,
)
from undercroft_protocol.messages.log_file import LogPage

NOW: Final = 1_790_000_000


def test_key(number: int) -> SigningKey:
    """An obviously-test Ed25519 key."""
    return SigningKey(bytes([number]) * 32)


def signer(key: SigningKey) -> cose.Signer:
    return lambda data: bytes(key.sign(data).signature)


VAULT: Final = test_key(0x11)
RISK: Final = test_key(0x22)
OWNERS: Final = tuple(test_key(number) for number in (0xA1, 0xB2, 0xC3))


def _accounts() -> list[tuple[bytes, bytes]]:
    """Fingerprint and 78-byte account xpub of three test seeds."""
    found = []
    for number in (0xA1, 0xB2, 0xC3):
        root = bip32.HDKey.from_seed(bytes([number]) * 32, version=NETWORKS["regtest"]["xprv"])
        account = root.derive("m/48h/1h/0h/2h").to_public()
        xpub = ExtendedPublicKey.parse(account.to_base58(), Network.REGTEST)
        found.append((root.my_fingerprint, xpub.serialize()))
    return found


def quorum() -> Quorum:
    places = (
        ("alice", "Zurich vault", "europe"),
        ("bob", "Singapore vault", "asia"),
        ("carol", "Denver vault", "america"),
    )
    owners = [
        Owner(name, site, region, fingerprint, xpub, bytes(key.verify_key))
        for (name, site, region), (fingerprint, xpub), key in zip(places, _accounts(), OWNERS, strict=True)
    ]
    owners.sort(key=lambda owner: owner.xpub)
    return Quorum("regtest", 2, tuple(owners), bytes(VAULT.verify_key), bytes(RISK.verify_key), NOW)


def envelope(quorum_id: bytes | None) -> Envelope:
    fingerprint, xpub = _accounts()[0]
    return Envelope(
        1, 3, 65536, b"\x01" * 16, b"\x02" * 24, quorum_id, fingerprint, xpub, bytes(OWNERS[0].verify_key), b"\x03" * 48
    )


POLICY_TEXT = """\
version = {version}
name = "daily payouts"
hold_above_sats = 50_000_000
refuse_above_sats = 500_000_000
most_fee_sats = 1_000_000
most_fee_ppm = 50_000
most_feerate_sat_per_kvb = 300_000
most_inputs = 200
most_payees = 200
most_transactions = 10
payee_types = ["p2pkh", "p2sh", "p2tr", "p2wpkh", "p2wsh"]
change_gap = 100
activation_seconds = 28_800
idle_seconds = 3600

[[windows]]
seconds = 3600
hold_above_sats = 200_000_000
refuse_above_sats = 400_000_000

[[windows]]
seconds = 86_400
hold_above_sats = 1_000_000_000
refuse_above_sats = 2_000_000_000
"""
"""What `policy` is, as people write it; `version` is left open."""


def policy(quorum_id: bytes) -> Policy:
    return Policy(
        quorum_id=quorum_id,
        version=1,
        name="daily payouts",
        hold_above_sats=50_000_000,
        refuse_above_sats=500_000_000,
        windows=(Window(3600, 200_000_000, 400_000_000), Window(86_400, 1_000_000_000, 2_000_000_000)),
        most_fee_sats=1_000_000,
        most_fee_ppm=50_000,
        most_feerate_sat_per_kvb=300_000,
        most_inputs=200,
        most_payees=200,
        most_transactions=10,
        payee_types=("p2pkh", "p2sh", "p2tr", "p2wpkh", "p2wsh"),
        change_gap=100,
        activation_seconds=28_800,
        idle_seconds=3600,
    )


def messages() -> Mapping[str, Value]:
    """Every message and statement by its class name."""
    agreed = quorum()
    rules = policy(agreed.id)
    alice = OWNERS[0]

    def stated(value: Value, key: SigningKey) -> bytes:
        return sign_statement(value, bytes(key.verify_key), signer(key))

    request = ActivationRequest(agreed.id, b"\x05" * 16, rules.hash, b"\x06" * 32, "Zurich vault", 28_800, NOW)
    grant = ActivationGrant(
        agreed.id,
        b"\x05" * 16,
        bytes(alice.verify_key),
        rules.hash,
        b"\x06" * 32,
        "Singapore vault",
        28_800,
        (Spent(60, 5_000_000, b"\x0c" * 32),),
    )
    clearance = Clearance(agreed.id, "w-0001", b"\x00\x14" + b"\x07" * 20, 150_000, NOW + 3600, b"\x08" * 32)
    declaration = Declaration(
        "alice",
        "Zurich vault",
        "europe",
        "regtest",
        *_accounts()[0],
        bytes(alice.verify_key),
        b"\x30" * 70,
        envelope(None),
    )
    approval = PolicyApproval(agreed.id, rules.hash, 1, NOW)
    lineage = ApprovedPolicy(rules, (stated(approval, OWNERS[0]), stated(approval, OWNERS[1])))
    tighter = dataclasses.replace(rules, version=2, replaces=rules.hash, refuse_above_sats=400_000_000)
    order = FreezeOrder(agreed.id, "drill", NOW)
    seal = LogSeal(agreed.id, 1, b"\x09" * 32, 12, NOW, (Spent(60, 5_000_000, b"\x0c" * 32),))
    batch = BatchRequest(
        b"\x0a" * 16,
        rules.hash,
        120,
        (bytes(60),),
        (
            TransactionRequest(
                (Coin(0, 0, 0, 0),),
                (Output(stated(clearance, RISK), None), Output(None, Change(0, 849_000))),
                0xFFFFFFFD,
                120,
            ),
        ),
    )
    log_entry = LogEntry(1, bytes(32), NOW, "armed", ("by bob",), b"\x0d" * 552)
    found: list[Value] = [
        RequestHeader(agreed.id, b"\x05" * 16, 7, NOW + 600),
        StatusRequest(),
        DeclareRequest("regtest"),
        QuorumOffer(agreed, envelope(None)),
        PolicyOffer(rules),
        ActivateRequest(
            agreed,
            envelope(agreed.id),
            tighter,
            (stated(PolicyApproval(agreed.id, tighter.hash, 2, NOW), OWNERS[2]),),
            NOW,
            stated(seal, alice),
            (lineage,),
        ),
        GrantRequest(stated(request, alice)),
        ArmRequest(stated(grant, OWNERS[1])),
        batch,
        LockRequest(),
        FreezeRequest(stated(order, OWNERS[2])),
        LogRequest(1),
        ReplyHeader(agreed.id, b"\x05" * 16, 3, sha256(b"request"), rules.hash, b"\x09" * 32),
        StatusReport("empty", None, None, b"\x06" * 32, 0, 0, "memfd_secret", stated(order, alice)),
        StatementReply(stated(declaration, alice)),
        Done("armed"),
        BatchReply(
            b"\x0a" * 16,
            (
                Verdict(b"\x0b" * 32, "signed", None, (b"\x30" * 70,)),
                Verdict(b"\x0c" * 32, "held", "policy", ()),
            ),
        ),
        LogReply((log_entry,), stated(seal, alice)),
        RefusalReply("policy", "see the owner's screen"),
        declaration,
        Acceptance(agreed.id, envelope(agreed.id)),
        approval,
        clearance,
        request,
        grant,
        order,
        seal,
        agreed,
        rules,
        envelope(agreed.id),
        lineage,
        log_entry,
        ExactFacts(("window-limit: in 1 h 4200 sats > 4000",)),
        LogPage(bytes(alice.verify_key), (log_entry,), stated(seal, alice)),
    ]
    return {type(value).__name__: value for value in found}
