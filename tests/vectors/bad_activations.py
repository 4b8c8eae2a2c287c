"""Vectors that need an owner at the screen: the ceremony, policies and their life, activation, grants."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from appliance.builders import (
    ALICE,
    BOB,
    CAROL,
    POLICY,
    QUORUM,
    STRANGER,
    approvals,
    approved,
    good_batch,
    good_grant,
    good_request_of,
    public,
    stated,
    successor,
)
from bad_inputs import Vector
from bad_scenarios import Recorder
from undercroft_protocol.messages import (
    ArmRequest,
    GrantRequest,
    LockRequest,
    LogSeal,
    PolicyOffer,
    QuorumOffer,
)
from vectors.bad_states import OFFER, Play, activates, armed, asks, scenario, unlocked

TIGHT: Final = successor(refuse_above_sats=POLICY.refuse_above_sats - 1)
LOOSE: Final = successor(refuse_above_sats=POLICY.refuse_above_sats + 1)
FIRST: Final = approved(POLICY, ALICE, BOB)
BOBS_ACTIVATION: Final = b"\x0b" * 16


def granting(**changes: Any) -> Play:
    """Another appliance's grant on other terms."""
    return lambda bench: bench.activated().ask(bench.grant(**changes))


def all_activations() -> Iterator[Vector]:
    yield from _ceremony()
    yield from _policies()
    yield from _grants()


def _ceremony() -> Iterator[Vector]:
    stranger = dataclasses.replace(ALICE.envelope(None), identity=public(STRANGER))
    moved = tuple(
        dataclasses.replace(one, xpub=one.xpub[:4] + b"\x03" + one.xpub[5:]) if one.name == "bob" else one
        for one in QUORUM.owners
    )
    unusable = dataclasses.replace(QUORUM, owners=tuple(sorted(moved, key=lambda one: one.xpub)))
    signet = dataclasses.replace(QUORUM, network="signet")
    yield scenario(
        "033-own-key-absent",
        "A quorum without our own key.",
        "not-in-quorum",
        asks(QuorumOffer(QUORUM, stranger)),
    )
    yield scenario(
        "026-own-identity-beside-another-key",
        "Our identity stands in the quorum beside another Bitcoin key.",
        "not-in-quorum",
        asks(QuorumOffer(QUORUM, dataclasses.replace(ALICE.envelope(None), fingerprint=bytes(4)))),
    )
    yield scenario(
        "035-quorum-with-a-moved-key",
        "A quorum with a key that is not where its path says.",
        "quorum-unusable",
        asks(QuorumOffer(unusable, ALICE.envelope(None)), quorum_id=None),
    )
    yield scenario(
        "035-quorum-of-another-network",
        "A quorum of another network.",
        "other-network",
        lambda bench: bench.ask(bench.activation_request(quorum=signet), quorum_id=signet.id),
    )
    yield scenario(
        "036-envelope-of-another-quorum",
        "An envelope that is bound to another quorum, under this one's name.",
        "envelope-unusable",
        activates(envelope=ALICE.envelope(b"\x09" * 32)),
    )
    yield scenario(
        "036-bound-envelope-bound-again",
        "A key that serves one quorum is bound to another.",
        "envelope-unusable",
        asks(QuorumOffer(QUORUM, ALICE.envelope(QUORUM.id))),
    )

    def second_key(bench: Recorder) -> None:
        bench.activated().ask(LockRequest())
        bench.person = BOB
        bench.ask(bench.activation_request())

    yield scenario("code-second-key", "One machine is to hold two keys of a quorum.", "second-key", second_key)
    seal = stated(LogSeal(QUORUM.id, 7, b"\x07" * 32), BOB.identity)
    yield scenario("code-log-seal", "The host makes up where the log ended.", "log-seal", activates(log_seal=seal))


def _policies() -> Iterator[Vector]:
    elsewhere = dataclasses.replace(POLICY, quorum_id=b"\x01" * 32)
    yield scenario(
        "code-policy-other-quorum",
        "A policy of another quorum, which two owners approved there.",
        "policy-other-quorum",
        activates(policy=elsewhere, approvals=approvals(elsewhere, ALICE, BOB)),
    )
    yield scenario(
        "code-approvals-insufficient",
        "One owner approves twice, to be counted as two.",
        "approvals-insufficient",
        activates(approvals=approvals(POLICY, ALICE, ALICE)),
    )
    another = approved(dataclasses.replace(POLICY, name="another"), ALICE, BOB)
    yield scenario(
        "code-policy-lineage",
        "A lineage that leads from another policy.",
        "policy-lineage",
        activates(policy=TIGHT, approvals=approvals(TIGHT, ALICE), lineage=(another,)),
    )
    yield scenario(
        "code-policy-too-young",
        "A loosening that has not waited for its two days.",
        "policy-too-young",
        activates(policy=LOOSE, approvals=approvals(LOOSE, ALICE, BOB), lineage=(FIRST,)),
    )

    def older(bench: Recorder) -> None:
        bench.ask(bench.activation_request(TIGHT, approvals=approvals(TIGHT, CAROL), lineage=(FIRST,)))
        bench.ask(LockRequest())
        bench.ask(bench.activation_request())

    yield scenario(
        "099-older-policy-after-a-lock", "The policy before the tight one is put back.", "policy-older", older
    )
    another_first = dataclasses.replace(POLICY, name="another first one")
    yield scenario(
        "code-policy-replaces",
        "A policy that does not replace the one in force.",
        "policy-replaces",
        armed(PolicyOffer(another_first)),
    )
    yield scenario(
        "086-bad-offer-changes-nothing",
        "A policy that cannot be approved leaves the one in force as it was: the next batch is signed by it.",
        "sign",
        armed(PolicyOffer(another_first), good_batch()),
    )
    yield scenario(
        "code-policy-undated",
        "An approval of a later version by an appliance that knows no time.",
        "policy-undated",
        lambda bench: (bench.ask(OFFER), bench.ask(PolicyOffer(TIGHT))),
    )
    nowhere = successor(sweep_to="wsh(nowhere)")
    yield scenario(
        "code-policy-unusable", "A policy that sweeps to nowhere.", "policy-unusable", unlocked(PolicyOffer(nowhere))
    )


def _grants() -> Iterator[Vector]:
    for code, attack, changes in (
        ("grant-same-site", "Two owners are held in one room.", {"site": "Zurich vault"}),
        ("grant-other-policy", "One appliance has other rules than its granter.", {"policy_hash": b"\x01" * 32}),
        ("grant-other-activation", "A grant for another activation.", {"activation_id": b"\x01" * 16}),
        ("grant-other-grantee", "A grant for another owner's appliance.", {"grantee": CAROL.entry.identity}),
        ("grant-life", "A life longer than the policy allows.", {"life_seconds": POLICY.activation_seconds + 1}),
    ):
        yield scenario(f"code-{code}", attack, code, granting(**changes))
    yield scenario(
        "099-other-firmware",
        "An appliance with other software is to be armed by an honest one.",
        "grant-other-firmware",
        granting(firmware_hash=b"\x01" * 32),
    )
    yield scenario(
        "code-grant-same-owner",
        "One owner with two appliances arms both.",
        "grant-same-owner",
        granting(granter=ALICE, site="Denver vault"),
    )
    asked = GrantRequest(stated(good_request_of(BOB, BOBS_ACTIVATION), STRANGER))
    yield scenario("code-grant-untrusted", "A stranger asks for a grant.", "grant-untrusted", unlocked(asked))

    def by_the_vault(bench: Recorder) -> None:
        bench.activated()
        good = good_grant(BOB, ALICE, bench.keeper.session.activation_id)
        bench.ask(ArmRequest(stated(good, STRANGER)))

    yield scenario("071-grant-by-a-stranger", "A stranger's grant.", "grant-untrusted", by_the_vault)
