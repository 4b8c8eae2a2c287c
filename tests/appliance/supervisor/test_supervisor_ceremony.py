"""Three real appliances from the first key to armed, each through its own line and its own terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.supervisor.supervisor_support import (
    LONG_SECONDS,
    PEOPLE,
    Place,
    appliances,
    arm_pair,
    declared,
    formed,
)
from undercroft_protocol.messages import ARMED, QuorumOffer, RefusalReply, grouped_code


@pytest.fixture
def places(tmp_path: Path) -> Iterator[list[Place]]:
    with appliances(tmp_path) as made:
        yield made


def test_three_owners_make_keys_agree_and_arm_two_appliances(places: list[Place]) -> None:
    arm_pair(places)
    pair = places[:2]
    for place, (name, site, _) in zip(pair, PEOPLE[:2], strict=True):
        status = place.host.meet()
        assert (status.state, status.owner, status.site) == (ARMED, name, site)
        assert f"test passphrase of {name}" not in place.owner.transcript
        assert place.owner.unanswered == []
        place.owner.command("held")
        place.owner.wait_for("Nothing is held", LONG_SECONDS)
        place.owner.lock()
        place.owner.wait_for(r"--- Locked -[\s\S]*by the owner", LONG_SECONDS)
        assert place.host.meet().state == "empty"


def test_attack_an_owner_who_sees_another_quorum_code_declines(places: list[Place]) -> None:
    declarations = declared(places)
    quorum = formed(declarations)
    place = places[0]
    place.owner.expected_quorum_code = grouped_code(bytes(32))
    place.host.quorum_id = quorum.id
    place.host.meet()
    place.host.ask(RefusalReply, QuorumOffer(quorum, declarations[place.owner.name].envelope))
    assert place.host.meet().state == "empty"


def test_attack_an_owner_who_types_a_wrong_passphrase_opens_nothing(places: list[Place]) -> None:
    declarations = declared(places)
    quorum = formed(declarations)
    place = places[0]
    place.host.quorum_id = quorum.id
    place.host.meet()
    place.owner.passphrase = "not the passphrase of this test"
    place.host.ask(RefusalReply, QuorumOffer(quorum, declarations[place.owner.name].envelope))
    place.owner.wait_for(r"(?s)(Wrong passphrase.*){3}", 10)
    assert place.host.meet().state == "empty"
