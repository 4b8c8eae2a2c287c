"""Three real appliances from the first key to armed, each through its own line and its own terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.builders import COIN_SATS, HEIGHT, change, clearance, good_transaction, previous_transaction
from appliance.secrets.scan import copies
from appliance.secrets.secrets_support import PASSPHRASE
from appliance.secrets.test_secrets_scan import secrets_behind
from message_examples import RISK, VAULT, signer
from message_examples import policy as example_policy
from undercroft_demo.cable import Cable
from undercroft_demo.device import Device
from undercroft_demo.owner import ScriptedOwner
from undercroft_protocol import cose
from undercroft_protocol.messages import (
    ARMED,
    EMPTY,
    SIGNED,
    Acceptance,
    ActivateRequest,
    ActivationGrant,
    ActivationRequest,
    ArmRequest,
    BatchReply,
    BatchRequest,
    Declaration,
    DeclareRequest,
    Done,
    Envelope,
    GrantRequest,
    LockRequest,
    Owner,
    Policy,
    PolicyApproval,
    PolicyOffer,
    Quorum,
    QuorumOffer,
    RefusalReply,
    RequestHeader,
    StatementReply,
    StatusReport,
    StatusRequest,
    Value,
    grouped_code,
    open_reply,
    open_statement,
    seal_request,
)
from undercroft_protocol.serial import SerialLink

LONG_SECONDS = 60.0
VAULT_KEY = bytes(VAULT.verify_key)
PEOPLE = (("Ada", "Zurich vault", "europe"), ("Bob", "Singapore vault", "asia"), ("Cy", "Denver vault", "america"))
S = TypeVar("S", bound=Value)
B = TypeVar("B", bound=Value)


@dataclass(slots=True)
class Place:
    """An appliance, its owner, and the host's end of its line."""

    device: Device
    owner: ScriptedOwner
    link: SerialLink
    quorum_id: bytes | None = None
    sequence: int = 0
    activation_id: bytes = field(default=bytes(16))

    def ask(self, kind: type[B], body: Value) -> B:
        self.sequence += 1
        expires = int(time.time()) + 600
        header = RequestHeader(self.quorum_id, self.activation_id, self.sequence, expires)
        self.link.send(seal_request(header, body, VAULT_KEY, signer(VAULT)), timeout=LONG_SECONDS)
        reply = open_reply(self.link.receive(timeout=LONG_SECONDS), None)
        assert isinstance(reply.body, kind), f"{reply.body}\n{self.owner.transcript}\n{self.device.log.read_text()}"
        return reply.body

    def statement(self, kind: type[S], body: Value) -> tuple[bytes, S]:
        data = self.ask(StatementReply, body).statement
        return data, open_statement(kind, data, (cose.read(data).signer,))[0]

    def meet(self) -> StatusReport:
        """Learn the activation id, as a host does after every start or lock."""
        self.sequence, quorum_id, self.quorum_id = 0, self.quorum_id, None
        header = RequestHeader(None, bytes(16), 0, int(time.time()) + 600)
        self.link.send(seal_request(header, StatusRequest(), VAULT_KEY, signer(VAULT)), timeout=LONG_SECONDS)
        reply = open_reply(self.link.receive(timeout=LONG_SECONDS), None)
        self.activation_id, self.quorum_id = reply.header.activation_id, quorum_id
        assert isinstance(reply.body, StatusReport)
        return reply.body


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    with contextlib.ExitStack() as stack:
        made = []
        for name, site, region in PEOPLE:
            cable = stack.enter_context(Cable.started(tmp_path, name))
            device = stack.enter_context(Device.started(tmp_path, name, cable=cable))
            owner = ScriptedOwner(device.master_fd, name, site, region, f"test passphrase of {name}, never real")
            stack.callback(owner.leave)
            made.append(Place(device, owner, stack.enter_context(SerialLink.open(cable.host_path))))
        for place in made:
            place.owner.wait_for(r"--- Ready -", LONG_SECONDS)
        yield made


def declared(places: list[Place]) -> dict[str, Declaration]:
    declarations = {}
    for place in places:
        place.meet()
        _, declaration = place.statement(Declaration, DeclareRequest("regtest"))
        declarations[place.owner.name] = declaration
    return declarations


def formed(declarations: dict[str, Declaration]) -> Quorum:
    owners = (
        Owner(made.name, made.site, made.region, made.fingerprint, made.xpub, made.identity)
        for made in declarations.values()
    )
    ordered = tuple(sorted(owners, key=lambda owner: owner.xpub))
    return Quorum("regtest", 2, ordered, VAULT_KEY, bytes(RISK.verify_key), int(time.time()))


def accepted(places: list[Place], quorum: Quorum, declarations: dict[str, Declaration]) -> dict[str, Envelope]:
    envelopes = {}
    for place in places:
        place.owner.expected_quorum_code = quorum.code
        place.quorum_id = quorum.id
        offer = QuorumOffer(quorum, declarations[place.owner.name].envelope)
        _, acceptance = place.statement(Acceptance, offer)
        envelopes[place.owner.name] = acceptance.envelope
    return envelopes


def approved(places: list[Place], policy: Policy) -> tuple[bytes, ...]:
    approvals = []
    for place in places:
        place.owner.expected_policy_code = grouped_code(policy.hash)
        approvals.append(place.statement(PolicyApproval, PolicyOffer(policy))[0])
    return tuple(approvals)


def armed_pair(places: list[Place]) -> tuple[Quorum, Policy, Envelope]:
    """The first two appliances, armed by each other; the envelope is the first one's."""
    declarations = declared(places)
    quorum = formed(declarations)
    envelopes = accepted(places, quorum, declarations)
    policy = example_policy(quorum.id)
    approvals = approved(places[:2], policy)
    for place in places:
        place.ask(Done, LockRequest())
        place.meet()
    pair = places[:2]
    asked = []
    for place in pair:
        request = ActivateRequest(
            quorum, envelopes[place.owner.name], policy, approvals, int(time.time()), log_seal=None
        )
        asked.append(place.statement(ActivationRequest, request))
    for place, other in ((pair[0], 1), (pair[1], 0)):
        grant, given = place.statement(ActivationGrant, GrantRequest(asked[other][0]))
        assert given.ledger == ()
        pair[other].ask(Done, ArmRequest(grant))
    return quorum, policy, envelopes[places[0].owner.name]


def test_three_owners_make_keys_agree_and_arm_two_appliances(places: list[Place]) -> None:
    armed_pair(places)
    pair = places[:2]
    for place, (name, site, _) in zip(pair, PEOPLE[:2], strict=True):
        status = place.meet()
        assert (status.state, status.owner, status.site) == (ARMED, name, site)
        assert f"test passphrase of {name}" not in place.owner.transcript
        assert place.owner.unanswered == []
        place.owner.command("held")
        place.owner.wait_for("Nothing is held", LONG_SECONDS)
        place.owner.lock()
        place.owner.wait_for(r"--- Locked -[\s\S]*by the owner", LONG_SECONDS)
        assert place.meet().state == "empty"


def one_payment(quorum: Quorum, policy: Policy) -> BatchRequest:
    previous = (previous_transaction((COIN_SATS, quorum.descriptor().script(0, 0))),)
    payee = clearance(quorum_id=quorum.id, key=RISK, expires=int(time.time()) + 600)
    payment = dataclasses.replace(good_transaction(), outputs=(payee, change()))
    return BatchRequest(b"\x0b" * 16, policy.hash, HEIGHT, previous, (payment,))


def told(text: bytes, secrets: dict[str, bytes]) -> list[str]:
    """Which secrets stand in a text, raw or in hex."""
    return [name for name, secret in secrets.items() if secret in text or secret.hex().encode() in text.lower()]


def test_attack_no_secret_is_found_in_any_process_of_a_real_appliance(places: list[Place]) -> None:
    """Unlocked, after it has signed, and locked: in memory, arguments, environment, terminal and log."""
    place = places[0]
    place.owner.passphrase = PASSPHRASE.decode()
    quorum, policy, envelope = armed_pair(places)
    secrets = secrets_behind([envelope])
    (verdict,) = place.ask(BatchReply, one_payment(quorum, policy)).verdicts
    assert verdict.verdict == SIGNED
    report = place.meet()
    if report.memory != "memfd_secret":
        pytest.skip("without secret memory the guarded pages themselves would be found")
    for state in (ARMED, EMPTY):
        assert place.meet().state == state
        for pid in place.device.pids():
            try:
                outside, _ = copies(pid, secrets, range(0))
            except PermissionError:
                pytest.skip("only root may look into a hardened process")
            assert not outside, f"{state}, process {pid}"
            for name in ("cmdline", "environ"):
                assert told(Path(f"/proc/{pid}/{name}").read_bytes(), secrets) == []
        if state == ARMED:
            place.owner.lock()
            place.owner.wait_for(r"--- Locked -[\s\S]*by the owner", LONG_SECONDS)
    assert told(place.owner.transcript.encode(), secrets) == []
    assert told(place.device.log.read_bytes(), secrets) == []


def test_attack_an_owner_who_sees_another_quorum_code_declines(places: list[Place]) -> None:
    declarations = declared(places)
    quorum = formed(declarations)
    place = places[0]
    place.owner.expected_quorum_code = grouped_code(bytes(32))
    place.quorum_id = quorum.id
    place.ask(RefusalReply, QuorumOffer(quorum, declarations[place.owner.name].envelope))
    assert place.meet().state == "empty"


def test_attack_an_owner_who_types_a_wrong_passphrase_opens_nothing(places: list[Place]) -> None:
    declarations = declared(places)
    quorum = formed(declarations)
    place = places[0]
    place.quorum_id = quorum.id
    place.owner.passphrase = "not the passphrase of this test"
    place.ask(RefusalReply, QuorumOffer(quorum, declarations[place.owner.name].envelope))
    place.owner.wait_for(r"(?s)(Wrong passphrase.*){3}", 10)
    assert place.meet().state == "empty"
