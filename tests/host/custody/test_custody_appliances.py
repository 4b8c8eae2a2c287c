"""Appliances: a name, a link, and nothing else."""

from __future__ import annotations

import pytest

from exchange import Ticking
from undercroft_host.custody.appliances import add_appliance, get_appliance, identity_of, list_appliances
from undercroft_host.errors import ApplianceState, ApplianceUnknown, Conflict, LinkInvalid, NameInvalid
from undercroft_host.store.engine import Store


def test_the_same_appliance_again_changes_nothing_and_another_line_is_a_conflict(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session:
        assert add_appliance(session, "alice", "serial:/dev/alice", clock=clock).added == clock()
        with pytest.raises(Conflict, match="serial:/dev/alice"):
            add_appliance(session, "alice", "serial:/dev/other", clock=clock)
        assert [one.name for one in list_appliances(session)] == ["alice", "bob", "carol"]


@pytest.mark.parametrize("name", ["", "two words", "-x", "a" * 41, "ali\u0000ce", "\u202eecila"])
def test_attack_a_name_that_could_be_read_as_another_is_refused(store: Store, clock: Ticking, name: str) -> None:
    with store.begin("test") as session, pytest.raises(NameInvalid):
        add_appliance(session, name, "serial:/dev/x", clock=clock)


@pytest.mark.parametrize("link", ["serial:/dev/dave", "qr", "qr:/dev/video1,/dev/tty2", "file:/media/stick"])
def test_every_carrier_can_be_written_down(store: Store, clock: Ticking, link: str) -> None:
    with store.begin("test") as session:
        assert add_appliance(session, "dave", link, clock=clock).link == link


@pytest.mark.parametrize("link", ["socket://h:1", "tcp:h:1", "serial:relative", "serial:/dev/x\u0000", "file:here"])
def test_attack_another_carrier_is_never_written_down(store: Store, clock: Ticking, link: str) -> None:
    with store.begin("test") as session, pytest.raises(LinkInvalid):
        add_appliance(session, "dave", link, clock=clock)


def test_an_unknown_name_is_not_found_and_one_without_key_has_no_identity(store: Store) -> None:
    with store.read() as session:
        with pytest.raises(ApplianceUnknown):
            get_appliance(session, "mallory")
        with pytest.raises(ApplianceState, match="alice has not declared"):
            identity_of(get_appliance(session, "alice"))
