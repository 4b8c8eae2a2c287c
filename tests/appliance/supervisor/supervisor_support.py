"""Real appliances, each with its own line and its own terminal, and the ceremony that takes them to armed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from message_examples import policy as example_policy
from undercroft_demo.cable import Cable
from undercroft_demo.device import Device
from undercroft_demo.owner import ScriptedOwner
from undercroft_demo.played_host import PlayedHost, over
from undercroft_demo.played_keys import owner_of, quorum_of
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
    Policy,
    PolicyApproval,
    PolicyOffer,
    Quorum,
    QuorumOffer,
    grouped_code,
)
from undercroft_protocol.serial.link import SerialLink

LONG_SECONDS = 60.0
PEOPLE = (("Ada", "Zurich vault", "europe"), ("Bob", "Singapore vault", "asia"), ("Cy", "Denver vault", "america"))


@dataclass(slots=True)
class Place:
    """An appliance, its owner, and the host's end of its line."""

    device: Device
    owner: ScriptedOwner
    link: SerialLink
    host: PlayedHost


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
            link = stack.enter_context(SerialLink.open(cable.host_path))
            host = PlayedHost(over(link, timeout=LONG_SECONDS), told=_told(device, owner))
            made.append(Place(device, owner, link, host))
        for place in made:
            place.owner.wait_for(r"--- Ready -", LONG_SECONDS)
        yield made


def _told(device: Device, owner: ScriptedOwner) -> Callable[[], str]:
    return lambda: f"{owner.transcript}\n{device.log.read_text()}"


def declared(places: list[Place]) -> dict[str, Declaration]:
    declarations = {}
    for place in places:
        place.host.meet()
        _, declaration = place.host.statement(Declaration, DeclareRequest("regtest"))
        declarations[place.owner.name] = declaration
    return declarations


def formed(declarations: dict[str, Declaration]) -> Quorum:
    return quorum_of((owner_of(made) for made in declarations.values()), int(time.time()))


def accepted(places: list[Place], quorum: Quorum, declarations: dict[str, Declaration]) -> dict[str, Envelope]:
    envelopes = {}
    for place in places:
        place.owner.expected_quorum_code = quorum.code
        place.host.quorum_id = quorum.id
        place.host.meet()
        offer = QuorumOffer(quorum, declarations[place.owner.name].envelope)
        _, acceptance = place.host.statement(Acceptance, offer)
        envelopes[place.owner.name] = acceptance.envelope
    return envelopes


def approved(places: list[Place], policy: Policy) -> tuple[bytes, ...]:
    approvals = []
    for place in places:
        place.owner.expected_policy_code = grouped_code(policy.hash)
        approvals.append(place.host.statement(PolicyApproval, PolicyOffer(policy))[0])
    return tuple(approvals)


def arm_pair(places: list[Place]) -> tuple[Quorum, Policy]:
    """The first two appliances are armed by each other."""
    declarations = declared(places)
    quorum = formed(declarations)
    envelopes = accepted(places, quorum, declarations)
    policy = example_policy(quorum.id)
    approvals = approved(places[:2], policy)
    for place in places:
        place.host.ask(Done, LockRequest())
        place.host.meet()
    pair = places[:2]
    asked = []
    for place in pair:
        request = ActivateRequest(
            quorum, envelopes[place.owner.name], policy, approvals, int(time.time()), log_seal=None
        )
        asked.append(place.host.statement(ActivationRequest, request))
    for place, other in ((pair[0], 1), (pair[1], 0)):
        grant, given = place.host.statement(ActivationGrant, GrantRequest(asked[other][0]))
        assert given.ledger == ()
        pair[other].host.ask(Done, ArmRequest(grant))
    return quorum, policy
