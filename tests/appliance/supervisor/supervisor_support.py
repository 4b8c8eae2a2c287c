"""Real appliances, each with its own line and its own terminal, and the ceremony that takes them to armed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from message_examples import RISK, VAULT, signer
from message_examples import policy as example_policy
from undercroft_demo.cable import Cable
from undercroft_demo.device import Device
from undercroft_demo.owner import ScriptedOwner
from undercroft_protocol import cose
from undercroft_protocol.messages import (
    Acceptance,
    ActivateRequest,
    ActivationGrant,
    ActivationRequest,
    ArmRequest,
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


@contextlib.contextmanager
def appliances(directory: Path, people: Sequence[tuple[str, str, str]] = PEOPLE) -> Iterator[list[Place]]:
    """One for each of these people (name, site, region), switched on and empty."""
    with contextlib.ExitStack() as stack:
        made = []
        for name, site, region in people:
            cable = stack.enter_context(Cable.started(directory, name))
            device = stack.enter_context(Device.started(directory, name, cable=cable))
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
        place.meet()
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


def arm_pair(places: list[Place]) -> tuple[Quorum, Policy]:
    """The first two appliances are armed by each other."""
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
    return quorum, policy
