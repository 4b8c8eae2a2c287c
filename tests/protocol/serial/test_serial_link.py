"""The link over real pseudo-terminals, through a cable that is a process of its own."""

from __future__ import annotations

import os
import random
import selectors
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serial_support import incompressible
from undercroft_demo.cable import Cable
from undercroft_demo.wire import Faults, Noise, Wire
from undercroft_protocol.errors import LinkDeadError, LinkError, LinkTimeoutError
from undercroft_protocol.link import Progress
from undercroft_protocol.serial.link import SerialLink

SIZE = 200_000


class Echo(threading.Thread):
    """The appliance's side, run as its port process runs it: in a selector loop. Answers each message reversed."""

    def __init__(self, path: str, *, dead_after: float = 10.0) -> None:
        super().__init__()
        self.link = SerialLink.open(path, dead_after=dead_after)
        self.woken, self.waker = os.pipe()
        self.lost: list[LinkError] = []

    def run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.woken, selectors.EVENT_READ)
            selector.register(self.link, selectors.EVENT_READ)
            while True:
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.link.wants_write else 0)
                selector.modify(self.link, events)
                if any(key.fd == self.woken for key, _ in selector.select(self.link.wait_seconds())):
                    return
                try:
                    for message in self.link.pump():
                        self.link.post(message[::-1])
                except LinkDeadError as error:
                    self.lost.append(error)
                except LinkError as error:
                    self.lost.append(error)
                    return

    def stop(self) -> None:
        os.write(self.waker, b"x")
        self.join()
        self.link.close()
        os.close(self.waker)
        os.close(self.woken)


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    with Cable.started(tmp_path, "one") as laid:
        yield laid


@pytest.fixture
def echo(cable: Cable) -> Iterator[Echo]:
    side = Echo(cable.appliance_path)
    side.start()
    yield side
    side.stop()


def test_200_kb_go_each_way(cable: Cable, echo: Echo) -> None:
    seen: list[Progress] = []
    message = random.Random(1).randbytes(SIZE)
    with SerialLink.open(cable.host_path, on_progress=seen.append) as host:
        host.send(message, timeout=20)
        assert host.receive(timeout=20) == message[::-1]
        assert host.counters.crc_errors == 0
    assert seen[-1] == Progress(SIZE, SIZE, SIZE, SIZE)
    assert len(seen) > 10


@pytest.mark.parametrize("seed", range(2))
def test_200_kb_go_each_way_over_a_noisy_cable(tmp_path: Path, seed: int) -> None:
    message = random.Random(seed).randbytes(SIZE)
    faults = Faults(bit_error_rate=1e-4, drop_rate=1e-5, duplicate_rate=1e-5, seed=seed)
    with Cable.started(tmp_path, "noisy", faults) as noisy:
        side = Echo(noisy.appliance_path)
        side.start()
        try:
            with SerialLink.open(noisy.host_path) as host:
                host.send(message, timeout=30)
                assert host.receive(timeout=30) == message[::-1]
                assert host.counters.crc_errors > 10
                assert host.counters.retransmissions > 10
        finally:
            side.stop()


def test_the_host_may_close_and_open_between_messages(cable: Cable, echo: Echo) -> None:
    for number in range(5):
        message = b"batch %d" % number
        with SerialLink.open(cable.host_path) as host:
            host.send(message, timeout=10)
            assert host.receive(timeout=10) == message[::-1]
    assert echo.lost == []


def test_the_host_may_vanish_in_the_middle_of_a_message(cable: Cable, echo: Echo) -> None:
    with SerialLink.open(cable.host_path) as host:
        host.post(incompressible(SIZE))
        while host.progress().sent_bytes < 30_000:
            host.pump()
    with SerialLink.open(cable.host_path) as host:
        host.send(b"new start", timeout=10)
        assert host.receive(timeout=10) == b"trats wen"


def test_an_answer_that_nobody_waits_for_is_given_up_and_the_next_host_is_served(cable: Cable) -> None:
    side = Echo(cable.appliance_path, dead_after=0.5)
    side.start()
    try:
        with SerialLink.open(cable.host_path) as host:
            host.send(random.Random(3).randbytes(SIZE), timeout=10)
        end = time.monotonic() + 30
        while not side.lost and time.monotonic() < end:
            time.sleep(0.01)
        assert [type(error) for error in side.lost] == [LinkDeadError]
        with SerialLink.open(cable.host_path) as host:
            host.send(b"hello", timeout=10)
            assert host.receive(timeout=10) == b"olleh"
    finally:
        side.stop()


def test_a_silent_line_is_dead_for_sender_and_receiver(cable: Cable) -> None:
    with SerialLink.open(cable.host_path, dead_after=0.5) as host:
        with pytest.raises(LinkDeadError, match="check the cable"):
            host.send(b"anybody?", timeout=10)
        with pytest.raises(LinkDeadError):
            host.receive(timeout=10)


def test_waiting_has_an_end(cable: Cable, echo: Echo) -> None:
    with SerialLink.open(cable.host_path) as host:
        with pytest.raises(LinkTimeoutError) as caught:
            host.receive(timeout=0.1)
        assert caught.value.code == "link-timeout"
        with pytest.raises(LinkTimeoutError):
            host.send(incompressible(500_000), timeout=0.05)
        host.send(b"still usable", timeout=10)
        assert host.receive(timeout=10) == b"elbasu llits"


def test_one_who_listens_does_not_mind_an_empty_line(cable: Cable) -> None:
    with SerialLink.open(cable.appliance_path, dead_after=0.2) as appliance, pytest.raises(LinkTimeoutError):
        appliance.receive(timeout=1.2, listening=True)


def test_an_unplugged_device_is_reported_at_once(cable: Cable) -> None:
    with SerialLink.open(cable.host_path) as host, SerialLink.open(cable.appliance_path) as appliance:
        host.post(incompressible(SIZE))
        host.pump()
        cable.unplug()
        for link in (host, appliance):
            with pytest.raises(LinkError, match="is gone; plug it in and open the link again"):
                link.receive(timeout=5)
    with pytest.raises(LinkError, match="plug the cable in"):
        SerialLink.open(cable.host_path)


def test_attack_a_second_program_cannot_open_the_line(cable: Cable) -> None:
    with SerialLink.open(cable.host_path), pytest.raises(LinkError, match="another program"):
        SerialLink.open(cable.host_path)


def test_too_long_a_message_is_refused_by_the_other_side(cable: Cable, echo: Echo) -> None:
    with SerialLink.open(cable.host_path, max_message_bytes=8_000_000) as host:
        with pytest.raises(LinkError, match="takes at most 4194304"):
            host.send(bytes(5_000_000), timeout=10)
        host.send(b"fits", timeout=10)
        assert host.receive(timeout=10) == b"stif"


def test_garbage_from_the_other_end_is_harmless(cable: Cable) -> None:
    with SerialLink.open(cable.host_path) as host:
        babbler = os.open(cable.appliance_path, os.O_RDWR | os.O_NOCTTY)
        os.write(babbler, random.Random(9).randbytes(3000))
        deadline = time.monotonic() + 10
        while host.counters.crc_errors == 0 and time.monotonic() < deadline:
            with pytest.raises(LinkTimeoutError):
                host.receive(timeout=0.2)
        os.close(babbler)
        assert host.counters.crc_errors > 0
        side = Echo(cable.appliance_path)
        side.start()
        try:
            host.send(b"now clean", timeout=10)
            assert host.receive(timeout=10) == b"naelc won"
        finally:
            side.stop()


def test_the_cable_leaves_nothing_behind(tmp_path: Path) -> None:
    with Cable.started(tmp_path, "short") as laid:
        assert {path.name for path in tmp_path.iterdir()} == {"short-appliance", "short-host"}
        assert Path(laid.host_path).is_char_device()
    assert list(tmp_path.iterdir()) == []


def test_the_noise_is_as_strong_as_asked_and_the_same_for_the_same_seed() -> None:
    data = bytes(400_000)

    def noise(seed: int, **rates: float) -> Noise:
        return Noise(Faults(seed=seed, **rates), way=0)  # type: ignore[arg-type]

    rates = {"bit_error_rate": 1e-3, "drop_rate": 1e-2, "duplicate_rate": 1e-3}
    arrived = [noise(seed, **rates).spoil(data) for seed in (1, 1, 2)]
    assert arrived[0] == arrived[1] != arrived[2]
    assert 2_500 < sum(byte.bit_count() for byte in arrived[0]) < 4_000
    dropped = noise(1, drop_rate=1e-2)
    assert 3_000 < len(data) - len(dropped.spoil(data)) < 5_000
    doubled = noise(1, duplicate_rate=1e-2)
    assert 3_000 < len(doubled.spoil(data)) - len(data) < 5_000
    parts, whole = noise(1, bit_error_rate=1e-3), noise(1, bit_error_rate=1e-3).spoil(data)
    assert b"".join(parts.spoil(data[at : at + 999]) for at in range(0, len(data), 999)) == whole


def test_a_wire_is_as_fast_and_as_late_as_asked() -> None:
    wire = Wire(Faults(baud=9600, latency=0.1), way=0)
    now, sent, arrived, first = 50.0, 0, 0, 0.0
    while arrived < 960:
        if room := wire.room(now):
            part = min(room, 960 - sent)
            sent += part
            if part:
                wire.take(bytes(part), now, asked=room)
        arrived += len(wire.arrived(now))
        first = first or (now if arrived else 0.0)
        now += 0.0003
    assert 0.1 < first - 50 < 0.12
    assert 1.1 <= now - 50 < 1.12
