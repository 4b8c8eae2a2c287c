"""One keeper for one unlock, in real processes: what stays, what changes, what is lost when somebody dies meanwhile."""

from __future__ import annotations

import os
import re
import signal
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.builders import HEIGHT, change, clearance, previous_transaction
from appliance.supervisor.supervisor_support import (
    LONG_SECONDS,
    PEOPLE,
    Place,
    appliances,
    arm_pair,
)
from undercroft_appliance.endings import EXIT_CODES
from undercroft_appliance.sandbox.process import USERS
from undercroft_demo.played_keys import RISK
from undercroft_protocol.messages import (
    EMPTY,
    SIGNED,
    BatchReply,
    BatchRequest,
    Coin,
    Declaration,
    DeclareRequest,
    Done,
    LockRequest,
    Policy,
    Quorum,
    RefusalReply,
    StatusReport,
    StatusRequest,
    TransactionRequest,
    open_reply,
)

PARTS = ("keeper", "panel", "port")
COIN_SATS = 10_000
PAID_SATS = 1_900_000
FEE_SATS = 40_000
INPUTS = 200
TRANSACTIONS = 10
LOCAL_FLAGS = 3


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with appliances(tmp_path, PEOPLE[:1]) as (one,):
        yield one


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_off(place: Place) -> None:
    until(lambda: not place.device.alive)


def pids(place: Place) -> dict[str, int]:
    return {part: place.device.pid_of(part) for part in PARTS}


def declare(place: Place) -> None:
    place.host.meet()
    place.host.statement(Declaration, DeclareRequest("regtest"))


# The change-over.


def test_after_a_key_was_open_a_fresh_keeper_goes_on_and_the_rest_stays(place: Place) -> None:
    before, since = pids(place), place.owner.mark()
    declare(place)
    first = place.host.activation_id
    place.owner.wait_for(r"--- Ready -", LONG_SECONDS, since=since)
    place.host.meet()
    after = pids(place)
    assert after["keeper"] != before["keeper"]
    assert (after["panel"], after["port"]) == (before["panel"], before["port"])
    assert place.host.activation_id != first
    place.owner.command("status")
    place.owner.wait_for(f"State empty, activation {place.host.activation_id.hex()}", LONG_SECONDS)
    # A lock of an appliance that held nothing since needs no other process.
    place.host.ask(Done, LockRequest())
    place.host.meet()
    assert pids(place) == after


def test_every_request_that_comes_during_the_change_over_is_answered(place: Place) -> None:
    """The host does not wait for answers: some reach the old keeper, some wait for the new one, none is lost."""
    place.host.meet()
    bodies = [DeclareRequest("regtest"), *[LockRequest()] * 20, *[StatusRequest()] * 19]
    for body in bodies:
        place.link.send(place.host.request(body), timeout=LONG_SECONDS)
        if isinstance(body, DeclareRequest):
            # The rest begins when the owner is through with it, at the time of the change.
            place.owner.wait_for(r"--- Key made and declared -", LONG_SECONDS)
    given = [open_reply(place.link.receive(timeout=LONG_SECONDS), None) for _ in bodies]
    assert len({reply.header.in_reply_to for reply in given}) == len(bodies)
    activations = {reply.header.activation_id for reply in given}
    assert len(activations) >= 2
    # What was sealed for the activation before is refused by the next one, and not counted as its own.
    last = given[-1].header.activation_id
    stale = [one.body for one in given if one.header.activation_id == last and not isinstance(one.body, StatusReport)]
    assert all(isinstance(body, RefusalReply) for body in stale)
    assert place.host.meet().state == EMPTY


def test_attack_a_fault_of_the_keeper_is_no_lock_and_ends_the_appliance(place: Place) -> None:
    declare(place)
    place.host.meet()
    for number in (signal.SIGSYS, signal.SIGSEGV):
        os.kill(place.device.pid_of("keeper"), number)
        wait_off(place)
        assert place.device.exit_code == EXIT_CODES["keeper"]
        assert place.device.pids() == []
        since = place.owner.mark()
        place.device.power_on()
        place.owner.wait_for(r"--- Ready -", LONG_SECONDS, since=since)


def test_a_signal_during_the_change_over_ends_all_of_them(place: Place) -> None:
    declare(place)
    os.kill(place.device.supervisor_pid, signal.SIGTERM)
    wait_off(place)
    assert (place.device.exit_code, place.device.pids()) == (0, [])


# The walls of the running processes.


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def open_files(pid: int) -> list[str]:
    names = (str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return sorted(re.sub(r"\d+|:\[\d+\]", "", name) for name in names)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into a hardened process")
def test_attack_every_process_stands_behind_its_walls_before_and_after_a_change(place: Place) -> None:
    terminal = re.sub(r"\d+", "", os.ttyname(place.device._slave))
    standard = ["/dev/null", "/dev/null", "pipe"]
    expected = {
        "keeper": sorted([*standard, terminal, "socket", "socket", "/memfd:handover (deleted)"]),
        "panel": sorted([*standard, terminal, "socket"]),
        "port": sorted([*standard, "/dev/pts/", "socket"]),
    }
    for _ in range(2):
        for part, pid in pids(place).items():
            found = status(pid)
            assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", "1"), part
            assert found["Uid"].split() == found["Gid"].split() == [str(USERS[part])] * 4
            assert found["Groups"].split() == []
            assert {found[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Amb")} == {"0" * 16}
            assert found["Threads"] == "1"
            assert open_files(pid) == expected[part]
        supervisor = status(place.device.supervisor_pid)
        assert supervisor["NoNewPrivs"] == "1"
        assert int(supervisor["CapEff"], 16) & int(supervisor["CapBnd"], 16) == int(supervisor["CapEff"], 16)
        assert int(supervisor["CapBnd"], 16).bit_count() <= 5
        assert not {name for name in open_files(place.device.supervisor_pid) if "/dev/pts/" in name} - {terminal}
        place.owner.wait_for(f"Keeper: own user {USERS['keeper']}; seccomp; Landlock", LONG_SECONDS)
        declare(place)
        place.host.meet()


# Death at a bad moment.


def at_the_passphrase(place: Place) -> None:
    """A new key is made, and its owner has typed half of a passphrase."""

    def goes_away(_: object) -> str:
        os.write(place.owner._stop, b"x")
        return "use"

    place.owner.rules.insert(0, (r"^Key\n", goes_away))
    place.host.meet()
    place.link.send(place.host.request(DeclareRequest("regtest")), timeout=LONG_SECONDS)
    place.owner._thread.join(LONG_SECONDS)
    until(lambda: not echoes(place))
    os.write(place.device.master_fd, b"half of a test passph")


def echoes(place: Place) -> bool:
    return bool(termios.tcgetattr(place.device.master_fd)[LOCAL_FLAGS] & termios.ECHO)


@pytest.mark.parametrize(
    ("victim", "number", "exit_code"),
    [
        ("supervisor", signal.SIGTERM, 0),
        ("keeper", signal.SIGKILL, EXIT_CODES["keeper"]),
        ("panel", signal.SIGKILL, EXIT_CODES["panel"]),
    ],
)
def test_a_death_while_a_passphrase_is_typed_leaves_nothing_but_a_terminal_that_echoes(
    place: Place, victim: str, number: signal.Signals, exit_code: int
) -> None:
    at_the_passphrase(place)
    os.kill(place.device.supervisor_pid if victim == "supervisor" else pids(place)[victim], number)
    wait_off(place)
    assert (place.device.exit_code, place.device.pids()) == (exit_code, [])
    assert echoes(place)
    assert b"passph" not in place.device.log.read_bytes()


def large_batch(quorum: Quorum, policy: Policy, first: int) -> BatchRequest:
    """Ten transactions of two hundred coins each; no two batches with different ``first`` share a coin."""
    descriptor = quorum.descriptor()
    scripts = [descriptor.script(0, index) for index in range(INPUTS)]
    previous, transactions = [], []
    for number in range(TRANSACTIONS):
        payee = clearance(
            f"w-{first + number}", PAID_SATS, quorum_id=quorum.id, key=RISK, expires=int(time.time()) + 600
        )
        coin_sats = COIN_SATS + first + number
        back = change(number, INPUTS * coin_sats - PAID_SATS - FEE_SATS)
        coins = tuple(Coin(number, index, 0, index) for index in range(INPUTS))
        previous.append(previous_transaction(*((coin_sats, script) for script in scripts)))
        transactions.append(TransactionRequest(coins, (payee, back), 0xFFFFFFFD, HEIGHT))
    return BatchRequest(first.to_bytes(16, "big"), policy.hash, HEIGHT, tuple(previous), tuple(transactions))


def send(place: Place, batch: BatchRequest) -> float:
    """Send it; returns when it was delivered (monotonic seconds)."""
    place.link.send(place.host.request(batch), timeout=LONG_SECONDS)
    return time.monotonic()


@pytest.mark.slow
def test_a_death_while_a_large_batch_is_signed_leaves_nothing(tmp_path: Path) -> None:
    with appliances(tmp_path) as places:
        quorum, policy = arm_pair(places)
        for place, victim in zip(places[:2], ("supervisor", "keeper"), strict=True):
            pid = place.device.pid_of("keeper") if victim == "keeper" else place.device.supervisor_pid
            sent = send(place, large_batch(quorum, policy, 0))
            reply = open_reply(place.link.receive(timeout=LONG_SECONDS), None).body
            took = time.monotonic() - sent
            assert isinstance(reply, BatchReply), reply
            assert {one.verdict for one in reply.verdicts} == {SIGNED}
            send(place, large_batch(quorum, policy, 100))
            time.sleep(took / 2)
            os.kill(pid, signal.SIGTERM if victim == "supervisor" else signal.SIGKILL)
            wait_off(place)
            assert place.device.exit_code == (0 if victim == "supervisor" else EXIT_CODES["keeper"])
            assert place.device.pids() == []
            assert echoes(place)
