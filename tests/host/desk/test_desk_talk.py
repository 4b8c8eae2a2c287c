"""A conversation with an appliance: the right device, the right answer, or an error that says which is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

import message_examples as examples
from exchange import Ticking
from scripted_appliance import (
    IDENTITY,
    QUORUM,
    STRANGER,
    ScriptedAppliance,
    altered,
    public,
    request_of,
    stated,
    talking,
)
from undercroft_host.desk.links import open_link
from undercroft_host.errors import (
    ApplianceForeignQuorum,
    ApplianceRefused,
    ApplianceSilent,
    ApplianceUnknown,
    ApplianceUnplugged,
    HostError,
    IntegrityAlarm,
    LinkInvalid,
)
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Appliance
from undercroft_protocol import cose
from undercroft_protocol.errors import LinkDeadError, LinkError, LinkTimeoutError
from undercroft_protocol.messages import (
    Done,
    LockRequest,
    LogReply,
    LogRequest,
    PolicyApproval,
    PolicyOffer,
    RefusalReply,
    ReplyHeader,
    StatementReply,
    StatusReport,
    StatusRequest,
    Value,
    open_request,
)


def header_of(message: bytes) -> tuple[int, bytes, int]:
    header = open_request(message, cose.read(message), (QUORUM.vault_key,)).header
    return header.sequence, header.activation_id, header.expires


def test_a_session_asks_for_the_status_first_and_names_the_activation_it_learned(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    with talking(store, clock, alice) as talk:
        assert talk.report.state == "armed"
        assert talk.ask(LockRequest(), Done).state == "empty"
    assert [request_of(message) for message in alice.heard] == [StatusRequest, LockRequest]
    assert [header_of(message)[1] for message in alice.heard] == [bytes(16), alice.activation_id]


def test_sequence_numbers_rise_over_sessions_and_are_stored_before_they_are_used(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    stored: list[int] = []
    original = alice.send

    def send(message: bytes, *, timeout: float) -> None:
        with store.read() as session:
            stored.append(session.get_one(Appliance, "alice").sequence)
        original(message, timeout=timeout)

    alice.send = send  # type: ignore[method-assign]
    for _ in range(2):
        with talking(store, clock, alice) as talk:
            talk.exchange(LockRequest())
    used = [header_of(message)[0] for message in alice.heard]
    assert used == [1, 2, 3, 4]
    assert stored == used


def test_a_request_is_good_for_the_time_that_is_waited_and_a_little_more(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    with talking(store, clock, alice) as talk:
        talk.exchange(LockRequest(), timeout=600)
    assert header_of(alice.heard[-1])[2] == clock() + 660


def test_an_unknown_appliance_is_not_found(store: Store, clock: Ticking, alice: ScriptedAppliance) -> None:
    alice.name = "mallory"
    with pytest.raises(ApplianceUnknown, match="known: alice, bob, carol") as raised, talking(store, clock, alice):
        pass
    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LinkTimeoutError("no message came"), ApplianceSilent),
        (LinkDeadError("nothing answers"), ApplianceSilent),
        (LinkError("the device is gone"), ApplianceUnplugged),
    ],
)
def test_a_line_that_fails_is_told_apart_and_has_a_hint(
    store: Store, clock: Ticking, alice: ScriptedAppliance, error: LinkError, expected: type[HostError]
) -> None:
    def receive(*, timeout: float) -> bytes:
        raise error

    alice.receive = receive  # type: ignore[method-assign]
    with pytest.raises(expected, match="alice") as raised, talking(store, clock, alice):
        pass
    assert raised.value.exit_code == 7
    assert raised.value.hint


def test_a_device_that_is_not_there_is_unplugged(tmp_path: Path) -> None:
    with pytest.raises(ApplianceUnplugged):
        open_link(f"serial:{tmp_path}/none")


@pytest.mark.parametrize(
    "link",
    [
        "socket://10.0.0.1:7000",
        "rfc2217://10.0.0.1:7000",
        "tcp:10.0.0.1:7000",
        "serial:socket://10.0.0.1:7000",
        "serial:rfc2217://10.0.0.1",
        "serial:spy:///dev/ttyUSB0",
        "serial:loop://",
        "serial:alt:///dev/ttyUSB0?class=Serial",
        "serial:hwgrep://.*",
        "serial:ttyUSB0",
        "serial:",
        "/dev/ttyUSB0",
        "loop://",
    ],
)
def test_attack_a_network_in_the_place_of_a_serial_line_is_refused(link: str) -> None:
    with pytest.raises(LinkInvalid):
        open_link(link)


def test_an_appliance_of_another_quorum_is_a_conflict(store: Store, clock: Ticking, alice: ScriptedAppliance) -> None:
    alice.quorum_id = b"\x99" * 32
    with pytest.raises(ApplianceForeignQuorum) as raised, talking(store, clock, alice):
        pass
    assert raised.value.exit_code == 4


def test_attack_another_owners_appliance_on_this_line_is_noticed(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    alice.speaker = IDENTITY["bob"]
    with pytest.raises(ApplianceForeignQuorum, match="it speaks as"), talking(store, clock, alice):
        pass


def test_an_empty_appliance_may_speak_with_the_key_it_drew_at_start(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    alice.speaker, alice.state, alice.quorum_id = STRANGER, "empty", None
    with talking(store, clock, alice) as talk:
        assert talk.sender == public(STRANGER)


def test_a_refusal_is_refused_with_its_coarse_code(store: Store, clock: Ticking, alice: ScriptedAppliance) -> None:
    alice.answers[LockRequest] = lambda _: RefusalReply("busy", "a question is open")
    with talking(store, clock, alice) as talk, pytest.raises(ApplianceRefused, match="alice: busy") as raised:
        talk.exchange(LockRequest())
    assert raised.value.exit_code == 5


def test_a_late_answer_to_an_earlier_request_is_passed_over(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    alice.lost = 1
    with talking(store, clock, alice) as talk, pytest.raises(ApplianceSilent):
        talk.exchange(LockRequest())
    alice.post(alice.reply(alice.heard[-1]))
    with talking(store, clock, alice) as talk:
        assert talk.ask(LockRequest(), Done).state == "empty"


def test_attack_a_recorded_answer_is_never_taken_for_the_answer_to_this(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    with talking(store, clock, alice) as talk:
        talk.exchange(LockRequest())
        recorded = alice.reply(alice.heard[-1])
        alice.lost = 1
        for _ in range(16):
            alice.post(recorded)
        with pytest.raises(IntegrityAlarm, match="never what it was asked"):
            talk.exchange(LogRequest(0))


def test_attack_an_answer_in_a_strangers_key_raises_the_alarm(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    with talking(store, clock, alice) as talk:
        alice.speaker = STRANGER
        with pytest.raises(IntegrityAlarm, match="signed by a stranger") as raised:
            talk.exchange(LockRequest())
    assert raised.value.exit_code == 8


def test_attack_a_changed_answer_raises_the_alarm(store: Store, clock: Ticking, alice: ScriptedAppliance) -> None:
    with talking(store, clock, alice) as talk:
        alice.lost = 1
        original = alice.send

        def send(message: bytes, *, timeout: float) -> None:
            original(message, timeout=timeout)
            reply = bytearray(alice.reply(message))
            reply[-1] ^= 1
            alice.post(bytes(reply))

        alice.send = send  # type: ignore[method-assign]
        with pytest.raises(IntegrityAlarm, match="signature does not verify"):
            talk.exchange(LockRequest())


def test_attack_an_answer_for_another_activation_raises_the_alarm(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    alice.note("armed")
    alice.lie = lambda header, body: (altered(header, activation_id=bytes(16)), body)
    with talking(store, clock, alice) as talk, pytest.raises(IntegrityAlarm, match="another activation"):
        talk.exchange(LogRequest(0))


def test_an_answer_under_another_quorum_is_a_conflict(store: Store, clock: Ticking, alice: ScriptedAppliance) -> None:
    def lie(header: ReplyHeader, body: Value) -> tuple[ReplyHeader, Value]:
        return altered(header, quorum_id=b"\x99" * 32), body

    alice.lie = lie
    with talking(store, clock, alice) as talk, pytest.raises(ApplianceForeignQuorum):
        talk.exchange(LockRequest())


def test_an_answer_of_another_kind_raises_the_alarm(store: Store, clock: Ticking, alice: ScriptedAppliance) -> None:
    with talking(store, clock, alice) as talk, pytest.raises(IntegrityAlarm, match="Done where LogReply belongs"):
        talk.ask(LockRequest(), LogReply)


def test_a_new_identity_may_speak_first_in_its_own_statement(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    alice.speaker, alice.state, alice.quorum_id = STRANGER, "empty", None
    approval = stated(PolicyApproval(QUORUM.id, bytes(32), 1, 0), IDENTITY["carol"])
    alice.answers[PolicyOffer] = lambda _: StatementReply(approval)
    with talking(store, clock, alice) as talk:
        alice.speaker = IDENTITY["carol"]
        assert talk.ask(PolicyOffer(examples.policy(QUORUM.id)), StatementReply).statement == approval


def test_a_status_answered_with_something_else_raises_the_alarm(
    store: Store, clock: Ticking, alice: ScriptedAppliance
) -> None:
    alice.answers[StatusRequest] = lambda _: Done("armed")
    with pytest.raises(IntegrityAlarm, match=StatusReport.__name__), talking(store, clock, alice):
        pass
