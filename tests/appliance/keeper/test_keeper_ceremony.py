"""The ceremony: a key is made, a quorum accepted, a policy approved."""

from __future__ import annotations

import dataclasses

import pytest

from appliance.builders import ALICE, POLICY, QUORUM, STRANGER, VAULT, PlainKeys, public, successor
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.errors import EnvelopeError, PassphraseMismatchError, WrongPassphraseError
from undercroft_appliance.keeper import ceremony, refusals
from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.messages import (
    Acceptance,
    Declaration,
    DeclareRequest,
    PolicyApproval,
    PolicyOffer,
    QuorumOffer,
    StatementReply,
    StatusReport,
    StatusRequest,
    open_statement,
    possession_digest,
)

OFFER = QuorumOffer(QUORUM, ALICE.envelope(None))


def statement(bench: Bench, body: DeclareRequest | QuorumOffer | PolicyOffer) -> bytes:
    reply = bench.ask(body).body
    assert isinstance(reply, StatementReply), bench.told()
    return reply.statement


def test_a_key_is_made_and_declared_and_nothing_of_it_stays_open(bench: Bench) -> None:
    before = bench.keeper.session.activation_id
    reply = bench.ask(DeclareRequest("regtest"), quorum_id=None)
    assert reply.sender == ALICE.entry.identity
    assert isinstance(reply.body, StatementReply)
    declared, signer = open_statement(Declaration, reply.body.statement, (ALICE.entry.identity,))
    assert signer == declared.identity
    assert (declared.name, declared.site, declared.region) == ("alice", "Zurich vault", "europe")
    digest = possession_digest(declared.identity, declared.xpub)
    verify_ecdsa(declared.xpub[-33:], digest, declared.possession)
    assert bench.keeper.session.state == "empty"
    assert not bench.keys.is_open
    assert bench.keeper.session.activation_id == before


def test_a_quorum_is_shown_whole_and_accepted(bench: Bench) -> None:
    accepted, _ = open_statement(Acceptance, statement(bench, OFFER), (ALICE.entry.identity,))
    assert (accepted.quorum_id, accepted.envelope.quorum_id) == (QUORUM.id, QUORUM.id)
    assert bench.keeper.session.state == "unlocked"
    (asked,) = bench.owner.questions
    assert f"Quorum code {QUORUM.code}" in asked.lines


def test_a_policy_is_shown_whole_and_approved_and_does_not_come_into_force(bench: Bench) -> None:
    bench.ask(OFFER)
    approval, _ = open_statement(PolicyApproval, statement(bench, PolicyOffer(POLICY)), (ALICE.entry.identity,))
    assert approval == PolicyApproval(QUORUM.id, POLICY.hash, POLICY.version, 0)
    assert bench.keeper.session.policy is None


def test_an_armed_appliance_approves_a_looser_policy_and_goes_on_with_the_old_one(bench: Bench) -> None:
    bench.armed()
    newer = successor(refuse_above_sats=POLICY.refuse_above_sats + 1)
    open_statement(PolicyApproval, statement(bench, PolicyOffer(newer)), (ALICE.entry.identity,))
    assert bench.keeper.session.policy == POLICY


@pytest.mark.parametrize(
    ("prompt", "answer", "body"),
    [
        (ceremony.PROMPT_DECLARE, "decline", DeclareRequest("regtest")),
        (ceremony.PROMPT_QUORUM, "decline", OFFER),
    ],
)
def test_an_owner_declines(bench: Bench, prompt: str, answer: str, body: DeclareRequest | QuorumOffer) -> None:
    bench.owner.answers[prompt] = answer
    quorum_id = None if isinstance(body, DeclareRequest) else QUORUM.id
    assert bench.refusal(body, quorum_id=quorum_id).startswith(refusals.OWNER_DECLINED.name)
    assert bench.keeper.session.state == "empty"
    assert not bench.keys.is_open


def test_an_owner_declines_a_policy(bench: Bench) -> None:
    bench.ask(OFFER)
    bench.owner.answers[ceremony.PROMPT_POLICY] = "decline"
    assert bench.refusal(PolicyOffer(POLICY)).startswith(refusals.OWNER_DECLINED.name)


def test_nobody_answers() -> None:
    with Bench(ask_seconds=0) as bench:
        assert bench.refusal(OFFER).startswith(refusals.OWNER_TIMEOUT.name)
        assert bench.keeper.session.state == "empty"


def test_a_panel_that_makes_up_a_choice_is_asked_again(bench: Bench) -> None:
    answers = iter(["yes", "", "decline"])
    bench.owner.answers[ceremony.PROMPT_QUORUM] = lambda _: next(answers)
    assert bench.refusal(OFFER).startswith(refusals.OWNER_DECLINED.name)
    assert len(bench.owner.questions) == 3


def test_a_name_is_asked_for_until_it_is_one(bench: Bench) -> None:
    answers = iter(["", "   ", "x" * 41, "alice"])
    bench.owner.answers[ceremony.PROMPT_NAME] = lambda _: next(answers)
    assert isinstance(bench.ask(DeclareRequest("regtest"), quorum_id=None).body, StatementReply)


def test_a_mistyped_passphrase_is_asked_for_again() -> None:
    with Bench(PlainKeys(ALICE, [WrongPassphraseError(), PassphraseMismatchError()])) as bench:
        assert isinstance(bench.ask(OFFER).body, StatementReply)


def test_attack_passphrases_are_tried_one_after_the_other() -> None:
    with Bench(PlainKeys(ALICE, [WrongPassphraseError() for _ in range(3)])) as bench:
        assert bench.refusal(OFFER).startswith(refusals.PASSPHRASE_FAILED.name)
        assert bench.keeper.session.state == "empty"


def test_attack_an_envelope_that_the_keyring_refuses() -> None:
    with Bench(PlainKeys(ALICE, [EnvelopeError("opslimit 99 is not between 3 and 16")])) as bench:
        assert bench.refusal(OFFER).startswith(refusals.ENVELOPE_UNUSABLE.name)


def test_attack_a_key_for_another_network(bench: Bench) -> None:
    assert bench.refusal(DeclareRequest("mainnet"), quorum_id=None).startswith(refusals.OTHER_NETWORK.name)


def test_attack_a_quorum_that_is_not_the_senders(bench: Bench) -> None:
    assert bench.refusal(OFFER, STRANGER).startswith(refusals.UNTRUSTED_SIGNER.name)
    assert bench.refusal(OFFER, quorum_id=b"\x01" * 32).startswith(refusals.OTHER_QUORUM.name)


def test_attack_a_quorum_without_our_key(bench: Bench) -> None:
    stranger = dataclasses.replace(ALICE.envelope(None), identity=public(STRANGER))
    assert bench.refusal(QuorumOffer(QUORUM, stranger)).startswith(refusals.NOT_IN_QUORUM.name)


def test_attack_our_identity_beside_another_bitcoin_key(bench: Bench) -> None:
    envelope = dataclasses.replace(ALICE.envelope(None), fingerprint=b"\x00" * 4)
    assert bench.refusal(QuorumOffer(QUORUM, envelope)).startswith(refusals.NOT_IN_QUORUM.name)


def test_attack_a_quorum_with_a_key_that_is_not_where_its_path_says(bench: Bench) -> None:
    owners = [
        dataclasses.replace(one, xpub=one.xpub[:4] + b"\x03" + one.xpub[5:]) if one.name == "bob" else one
        for one in QUORUM.owners
    ]
    moved = dataclasses.replace(QUORUM, owners=tuple(sorted(owners, key=lambda one: one.xpub)))
    offer = QuorumOffer(moved, ALICE.envelope(None))
    assert bench.refusal(offer, quorum_id=None).startswith(refusals.QUORUM_UNUSABLE.name)
    request = bench.activation_request(quorum=moved)
    assert bench.refusal(request, quorum_id=None).startswith(refusals.QUORUM_UNUSABLE.name)
    assert bench.owner.questions == []


def test_attack_a_bound_envelope_is_bound_again(bench: Bench) -> None:
    offer = QuorumOffer(QUORUM, ALICE.envelope(b"\x09" * 32))
    assert bench.refusal(offer).startswith(refusals.ENVELOPE_UNUSABLE.name)
    assert bench.owner.questions == []


def test_attack_a_policy_of_another_quorum(bench: Bench) -> None:
    bench.ask(OFFER)
    foreign = dataclasses.replace(POLICY, quorum_id=b"\x01" * 32)
    assert bench.refusal(PolicyOffer(foreign)).startswith(refusals.POLICY_OTHER_QUORUM.name)


def test_attack_a_key_is_made_over_an_unlocked_one(bench: Bench) -> None:
    bench.ask(OFFER)
    assert bench.refusal(DeclareRequest("regtest")).startswith(refusals.ALREADY_UNLOCKED.name)


def test_attack_a_policy_before_a_key_is_there(bench: Bench) -> None:
    assert bench.refusal(PolicyOffer(POLICY)).startswith(refusals.NOT_UNLOCKED.name)


def test_a_status_is_given_to_anybody_with_any_header(bench: Bench) -> None:
    reply = bench.ask(StatusRequest(), STRANGER, quorum_id=None, activation_id=bytes(16), sequence=0, expires=0)
    assert isinstance(reply.body, StatusReport)
    assert reply.body.state == "empty"
    assert reply.header.activation_id == bench.keeper.session.activation_id
    bench.armed()
    status = bench.ask(StatusRequest(), STRANGER, sequence=0).body
    assert isinstance(status, StatusReport)
    assert (status.state, status.owner, status.site) == ("armed", "alice", "Zurich vault")
    assert status.armed_seconds == POLICY.activation_seconds


def test_a_keeper_without_secret_memory_says_so_on_the_screen() -> None:
    keys = PlainKeys(ALICE)
    keys.memory_kind = "mlock"
    with Bench(keys) as bench:
        bench.ask(OFFER)
        assert "WARNING" in bench.owner.questions[0].lines[-1]


def test_a_lost_reply_is_given_again_byte_for_byte_and_the_owner_is_not_asked_twice(bench: Bench) -> None:
    data = bench.sealed(OFFER, VAULT)
    first = bench.keeper.handle(data)
    assert bench.keeper.handle(data) == first
    assert len(bench.owner.questions) == 1


def test_the_replies_of_an_empty_appliance_are_signed_by_one_key_drawn_at_start(bench: Bench) -> None:
    senders = {bench.ask(body, quorum_id=None).sender for body in (StatusRequest(), DeclareRequest("signet"))}
    assert len(senders) == 1
    assert ALICE.entry.identity not in senders
