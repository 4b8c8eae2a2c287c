"""Ways in and out: a reply goes the way of its message, the log goes out as codes, and a lock blanks their screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.builders import POLICY, QUORUM
from appliance.coordinator import good_psbt
from appliance.keeper.keeper_support import PATIENCE_SECONDS, Bench
from undercroft_appliance.devtools.read_log import verify_log
from undercroft_appliance.internal import Codes, Command, Inbound, Outbound, Question, Way
from undercroft_appliance.keeper import log, psbts
from undercroft_appliance.keeper.wires import FromPort
from undercroft_protocol.bitcoin.psbt_records import MAGIC
from undercroft_protocol.messages import LockRequest, LogFile, RefusalReply, StatusReport, StatusRequest, open_reply

PSBT = good_psbt().serialize()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench(codes=True) as one:
        yield one


def to_port(bench: Bench) -> object:
    return bench.host.receive(PATIENCE_SECONDS)


def test_a_reply_goes_the_way_of_its_message_also_when_another_is_answered_before_it(bench: Bench) -> None:
    bench.armed()

    def asks_meanwhile(_: Question) -> str:
        bench.host.send(Inbound(bench.sealed(StatusRequest()), Way.FAST))
        status = to_port(bench)
        assert isinstance(status, Outbound)
        assert status.way == Way.FAST
        assert isinstance(open_reply(status.data, None).body, StatusReport)
        return psbts.APPROVE

    bench.owner.answers[psbts.PROMPT_PSBT] = asks_meanwhile
    bench.host.send(Inbound(PSBT, Way.BBQR))
    event = bench.wires.next(PATIENCE_SECONDS)
    assert isinstance(event, FromPort)
    assert event == FromPort(PSBT, Way.BBQR)
    bench.wires.send_port(bench.keeper.handle(PSBT), event.way)
    answer = to_port(bench)
    assert isinstance(answer, Outbound)
    assert answer.way == Way.BBQR
    assert answer.data.startswith(MAGIC)


def test_what_is_busy_is_told_the_way_it_asked(bench: Bench) -> None:
    bench.armed()
    bench.keeper.port_message(FromPort(PSBT, Way.UR))
    answer = to_port(bench)
    assert isinstance(answer, Outbound)
    assert answer.way == Way.UR
    assert isinstance(open_reply(answer.data, None).body, RefusalReply)


def test_the_owner_takes_the_log_out_as_codes_and_it_proves_itself(bench: Bench) -> None:
    bench.armed()
    bench.command("log")
    shown = to_port(bench)
    assert isinstance(shown, Codes)
    file = LogFile.from_bytes(shown.data)
    gaps, (seal,) = verify_log(file)
    assert gaps == ()
    assert file.identity == bench.keys.identity_public_key
    assert (seal.length, seal.quorum_id) == (len(file.entries), QUORUM.id)
    assert "sealed: undercroft qr scan" in "\n".join(bench.last_notice("Log").lines)


def test_of_a_long_log_the_newest_entries_go_out_as_codes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_REPLY_BYTES", 1000)
    bench.armed()
    bench.command("log")
    shown = to_port(bench)
    assert isinstance(shown, Codes)
    file = LogFile.from_bytes(shown.data)
    _, (seal,) = verify_log(file)
    numbers = [entry.number for entry in file.entries]
    assert numbers == list(range(seal.length - len(numbers), seal.length))
    assert 0 < len(numbers) < seal.length
    assert sum(len(entry.to_bytes()) for entry in file.entries) <= 1000


def test_a_locked_appliance_shows_no_log_as_codes_and_says_why(bench: Bench) -> None:
    bench.command("log")
    assert "no key is open" in bench.last_notice("Log").lines[-1]
    bench.command("help")
    assert bench.host.receive(0.05) is None


def test_without_a_screen_for_codes_nothing_goes_to_one() -> None:
    with Bench() as bench:
        bench.armed()
        bench.command("log")
        bench.command("lock")
        assert bench.host.receive(0.05) is None


@pytest.mark.parametrize("how", ["by the owner", "by the host", "after its time"])
def test_attack_whoever_comes_after_a_lock_reads_no_reply_of_before(bench: Bench, how: str) -> None:
    bench.armed()
    if how == "by the owner":
        bench.command(Command("lock").name)
    elif how == "by the host":
        bench.ask(LockRequest())
    else:
        bench.clock.seconds += POLICY.activation_seconds
        bench.keeper.tick()
    assert to_port(bench) == Codes(b"")


def test_the_reply_to_a_lock_goes_the_way_it_was_asked_after_the_screen_was_blanked(bench: Bench) -> None:
    bench.armed()
    bench.host.send(Inbound(bench.sealed(LockRequest()), Way.FAST))
    bench.keeper.run()
    assert to_port(bench) == Codes(b"")
    answer = to_port(bench)
    assert isinstance(answer, Outbound)
    assert answer.way == Way.FAST
