"""The link on lines that are no lines, and beside peers that keep to the frames and to nothing else."""

from __future__ import annotations

import hashlib
import random
import tracemalloc

import pytest

from serial_support import Bench, Faults, Impostor, Way, incompressible
from undercroft_protocol.errors import FrameError, LinkDeadError, LinkError
from undercroft_protocol.serial import payload, repair
from undercroft_protocol.serial.frame import NO_TAG, Frame, Kind, encode_frame
from undercroft_protocol.serial.handshake import NOBODY
from undercroft_protocol.squeeze import squeeze

MESSAGE = incompressible(60_000)


# Lines.


class OtherSpeed(Way):
    """8N1 bits sent at one speed and sampled at another, with the receiver's rules: start bit, eight bits, stop bit."""

    def __init__(self, ratio: float) -> None:
        super().__init__(Faults(), random.Random(0))
        self.ratio = ratio

    def carry(self, data: bytes) -> list[bytes]:
        bits = [1] * 3
        for byte in data:
            bits += [0, *(byte >> bit & 1 for bit in range(8)), 1]
        bits += [1] * 30
        heard = bytearray()
        at = 0.0
        while at + 10 * self.ratio < len(bits):
            if bits[int(at)]:
                at += 0.25
                continue
            heard.append(sum(bits[int(at + (1.5 + bit) * self.ratio)] << bit for bit in range(8)))
            at += 9.5 * self.ratio
        return [bytes(heard)]


@pytest.mark.parametrize("ratio", [0.5, 2.0, 6.0, 1 / 12])
def test_two_speeds_end_in_a_clear_error_on_both_sides(ratio: float) -> None:
    bench = Bench()
    bench.ways = [OtherSpeed(ratio), OtherSpeed(1 / ratio)]
    for side in bench.sides:
        side.send(MESSAGE)
    bench.run(seconds=60)
    assert bench.got == [[], []]
    for raised in bench.raised:
        assert [type(error) for error in raised] == [LinkDeadError]
        assert "same speed" in str(raised[0]) or "nothing was heard" in str(raised[0])
    assert any("same speed" in str(raised[0]) for raised in bench.raised)
    assert bench.clock.now < 1000 + 15


def test_the_other_speed_of_this_test_is_a_line_when_the_speeds_agree() -> None:
    bench = Bench()
    bench.ways = [OtherSpeed(1.0), OtherSpeed(1.0)]
    bench.sides[0].send(MESSAGE)
    bench.run()
    assert bench.got[1] == [MESSAGE]


class Stalling(Way):
    """Stops after so many bytes, in the middle of whatever it is, until `until` on the clock."""

    def __init__(self, bench: Bench, after: int, until: float) -> None:
        super().__init__(Faults(), random.Random(0))
        self.bench, self.left, self.until, self.kept = bench, after, until, b""

    def carry(self, data: bytes) -> list[bytes]:
        self.kept += data
        if self.bench.clock.now >= self.until:
            self.left = len(self.kept)
        passed, self.kept = self.kept[: self.left], self.kept[self.left :]
        self.left -= len(passed)
        return [passed] if passed else []


@pytest.mark.parametrize("after", [0, 1, 20, 60, 61, 62, 100, 5_000, 20_001])
def test_a_line_that_stalls_anywhere_for_long_only_delays_the_message(after: int) -> None:
    bench = Bench()
    bench.ways[0] = Stalling(bench, after, until=bench.clock.now + 8)
    bench.sides[0].send(MESSAGE)
    bench.run(until=lambda: bool(bench.got[1]) and bench.settled())
    assert bench.clock.now > 1008
    assert bench.got[1] == [MESSAGE]
    assert bench.raised == [[], []]


def test_a_line_that_stalls_for_longer_is_dead_and_then_works_again() -> None:
    bench = Bench()
    bench.ways[0] = Stalling(bench, 5_000, until=bench.clock.now + 20)
    bench.sides[0].send(MESSAGE)
    bench.run(seconds=30)
    assert [type(error) for error in bench.raised[0]] == [LinkDeadError]
    bench.clock.now += 10
    bench.sides[0].send(b"again")
    bench.run()
    assert bench.got[1][-1] == b"again"
    assert set(bench.got[1]) <= {MESSAGE, b"again"}


@pytest.mark.slow
def test_attack_16_mb_of_random_bytes_cost_little_memory_and_hide_no_message() -> None:
    rng = random.Random(16)
    bench = Bench()
    bench.sides[0].send(b"before")
    bench.run()
    with pytest.raises(FrameError):
        repair.one_bit(b"x", 0x12345)  # its table is made once, and is no part of the flood
    tracemalloc.start()
    said = 0
    for _ in range(256):
        for side in bench.sides:
            side.feed(rng.randbytes(65536))
            said += len(side.outgoing())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000
    assert said == 0
    bench.sides[0].send(MESSAGE)
    bench.run()
    assert bench.got == [[], [b"before", MESSAGE]]
    assert bench.raised == [[], []]


def test_a_cable_plugged_into_itself_is_named() -> None:
    bench = Bench()
    machine = bench.sides[0]
    bench.tap = lambda side, data: machine.feed(data) if side == 0 else None
    for way in bench.ways:
        way.faults.lose = 1.0
    machine.send(MESSAGE)
    bench.run(seconds=15)
    (error,) = bench.raised[0]
    assert isinstance(error, LinkDeadError)
    assert "looped" in str(error)


def test_a_peer_of_another_version_is_named() -> None:
    bench = Bench()
    bench.ways[1].faults.lose = 1.0
    machine = bench.sides[0]
    machine.send(b"hello?")
    hello = payload.HELLO.pack(payload.LINK_VERSION + 1, b"tomorrow", NOBODY, 1)
    machine.feed(encode_frame(Frame(Kind.HELLO, NO_TAG, 0, hello)))
    bench.run(seconds=15)
    assert "another version" in str(bench.raised[0][0])


def test_a_peer_of_the_first_version_whose_frames_are_noise_here_is_thought_of() -> None:
    bench = Bench()
    bench.ways[1].faults.lose = 1.0
    machine = bench.sides[0]
    machine.send(b"hello?")
    # What the first version said when it was opened.
    machine.feed(bytes.fromhex("0002110101010101010109f5b165224a58b791010101010101010105a4fb0aa100"))
    bench.run(seconds=15)
    assert "the same version" in str(bench.raised[0][0])


# Peers.


def _deliver(impostor: Impostor, sent: bytes, length: int, digest: bytes) -> None:
    impostor.say(Kind.OPEN, 1, payload.OPEN.pack(1, 1, length, len(sent), digest))
    for number, start in enumerate(range(0, len(sent), 2000)):
        impostor.say(Kind.DATA, 2 + number, payload.DATA.pack(start) + sent[start : start + 2000])


def test_a_squeezed_message_of_another_hand_is_taken() -> None:
    bench = Bench()
    text = b"the same again and " * 3000
    _deliver(Impostor(bench.sides[0]), squeeze(text), len(text), hashlib.sha256(text).digest())
    assert bench.sides[0].messages() == [text]


@pytest.mark.parametrize("announced", [1_000_000, 4 * 1024 * 1024])
def test_attack_a_bomb_behind_a_good_crc_gives_nothing_and_the_next_message_arrives(announced: int) -> None:
    bench = Bench()
    machine = bench.sides[0]
    impostor = Impostor(machine)
    bomb = squeeze(bytes(20_000_000))
    assert len(bomb) < 20_000
    tracemalloc.start()
    _deliver(impostor, bomb, announced, bytes(32))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * announced + 4_000_000
    assert machine.messages() == []
    assert machine.counters.digest_errors == 1
    bench.sides[1].send(MESSAGE)
    bench.run()
    assert bench.got[0] == [MESSAGE]


def test_attack_a_peer_that_never_acknowledges_is_dead_in_time() -> None:
    bench = Bench()
    machine = bench.sides[0]
    Impostor(machine)
    machine.send(MESSAGE)
    bench.ways[1].faults.lose = 1.0
    bench.run(seconds=30)
    (error,) = bench.raised[0]
    assert isinstance(error, LinkDeadError)
    assert bench.clock.now - 1000 < 15


def test_attack_a_peer_that_acknowledges_everything_and_delivers_nothing_ends_in_an_error() -> None:
    bench = Bench()
    machine = bench.sides[0]
    impostor = Impostor(machine)
    machine.send(incompressible(5_000))
    said = 0
    for _ in range(5_000):
        frames = impostor.heard()
        if not frames:
            break
        said += sum(len(frame.payload) for frame in frames)
        impostor.say(Kind.ACK, frames[-1].sequence, payload.ACK.pack(0))
    with pytest.raises(LinkError, match="lost the message 100 times"):
        machine.poll()
    assert said < 101 * 6_000
    assert machine.idle


def test_attack_noise_that_is_repaired_into_a_frame_of_long_ago_is_not_taken() -> None:
    bench = Bench()
    impostor = Impostor(bench.sides[0])
    sent = squeeze(MESSAGE)
    impostor.say(Kind.OPEN, 1000, payload.OPEN.pack(1, 1000, len(MESSAGE), len(sent), hashlib.sha256(MESSAGE).digest()))
    impostor.heard()
    wire = bytearray(encode_frame(Frame(Kind.DATA, impostor.tag, 900, payload.DATA.pack(0) + b"late" * 9)))
    wire[20] ^= 4
    bench.sides[0].feed(bytes(wire))
    assert bench.sides[0].counters.repairs == 1
    assert bench.sides[0].progress().received_bytes == 0
    assert [frame for frame in impostor.heard() if frame.kind is not Kind.ACK] == []
