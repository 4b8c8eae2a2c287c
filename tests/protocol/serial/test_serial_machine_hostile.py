"""The link as a state machine: garbage, echoes, and a peer that frames nonsense correctly."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serial_support import Bench, Faults, Impostor, incompressible
from undercroft_protocol.errors import LinkError
from undercroft_protocol.link import Progress
from undercroft_protocol.serial import payload
from undercroft_protocol.serial.frame import NO_TAG, Frame, Kind, encode_frame
from undercroft_protocol.serial.handshake import NOBODY
from undercroft_protocol.serial.machine import MAX_QUEUED_MESSAGES
from undercroft_protocol.serial.receiver import MAX_UNREAD_MESSAGES

MESSAGES = incompressible(60_000), incompressible(60_001)


@pytest.mark.parametrize("kind", ["random", "zeros", "ones", "half a frame"])
def test_attack_a_megabyte_of_garbage_in_the_middle_of_a_message_only_delays_it(kind: str) -> None:
    rng = random.Random(7)
    flood = {
        "random": rng.randbytes(1_000_000),
        "zeros": bytes(1_000_000),
        "ones": b"\xff" * 1_000_000,
        "half a frame": encode_frame(Frame(Kind.DATA, b"abcd", 1, bytes(500)))[:300] * 3000,
    }[kind]
    bench = Bench()
    message = bench.rng.randbytes(100_000)
    bench.sides[0].send(message)
    bench.run(until=lambda: bench.sides[0].progress().sent_bytes > 20_000)
    tracemalloc.start()
    for side in bench.sides:
        for start in range(0, len(flood), 65536):
            side.feed(flood[start : start + 65536])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    bench.run()
    assert bench.got == [[], [message]]


@pytest.mark.parametrize("with_peer", [False, True], ids=["nobody there", "beside a peer"])
def test_attack_an_echo_is_never_taken_for_the_peer(with_peer: bool) -> None:
    bench = Bench()
    machine = bench.sides[0]
    bench.tap = lambda side, data: machine.feed(data) if side == 0 else None
    if not with_peer:
        bench.ways[0].faults.lose = bench.ways[1].faults.lose = 1.0
    machine.send(bench.rng.randbytes(3000))
    bench.run(seconds=30)
    assert bench.got[0] == []
    assert machine.counters.echoes > 0
    assert [len(bench.got[1]), len(bench.raised[0])] == ([1, 0] if with_peer else [0, 1])
    if not with_peer:
        assert "looped" in str(bench.raised[0][0])


@pytest.mark.parametrize(
    ("length", "squeezed"), [(2**32 - 1, 2**32 - 1), (4 * 1024 * 1024 + 1, 10), (10, 2**32 - 1), (10, 12)]
)
def test_attack_a_huge_announced_length_is_refused_before_allocation(length: int, squeezed: int) -> None:
    bench = Bench()
    impostor = Impostor(bench.sides[0])
    tracemalloc.start()
    impostor.say(Kind.OPEN, 1, payload.OPEN.pack(1, 1, length, squeezed, bytes(32)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    (reset,) = [frame for frame in impostor.heard() if frame.kind is Kind.RESET]
    assert payload.RESET.unpack(reset.payload) == (payload.Reason.TOO_LONG, 1, 4 * 1024 * 1024)


@pytest.mark.parametrize("faults", [Faults(), Faults(lose=0.33)], ids=["clean", "a third lost"])
def test_the_sender_of_too_long_a_message_is_told_and_goes_on_with_the_next(faults: Faults) -> None:
    bench = Bench(faults=faults, limits=(4_000_000, 10_000))
    for message in (bytes(10_001), bytes(10_000), b"small"):
        bench.sides[0].send(message)
    bench.run(seconds=300, until=bench.settled)
    assert bench.got[1] == [bytes(10_000), b"small"]
    (error,) = bench.raised[0]
    assert error.code == "link"
    assert "10001 bytes" in str(error)
    assert "10000" in str(error)


def test_a_message_over_the_own_bound_is_not_queued() -> None:
    bench = Bench(limits=(100, 100))
    with pytest.raises(LinkError, match="101 bytes; at most 100"):
        bench.sides[0].send(incompressible(101))
    assert bench.sides[0].idle


def test_messages_longer_than_the_link_can_number_are_not_promised() -> None:
    with pytest.raises(LinkError, match="at most 134217727 can be carried"):
        Bench(limits=(2**27, 100))


def test_the_queue_is_bounded() -> None:
    bench = Bench()
    for _ in range(MAX_QUEUED_MESSAGES):
        bench.sides[0].send(b"x")
    with pytest.raises(LinkError, match="64 messages are waiting"):
        bench.sides[0].send(b"x")


def test_messages_that_nobody_takes_hold_the_sender_back_and_get_through_later() -> None:
    bench = Bench()
    sent = [bytes([number]) * 10 for number in range(MAX_UNREAD_MESSAGES + 5)]
    for message in sent:
        bench.sides[0].send(message)
    held = bench.sides[1].messages
    bench.sides[1].messages = list  # type: ignore[method-assign]  # nobody fetches
    sent_before = bench.sides[0].counters.frames_sent
    bench.run(seconds=20)
    assert bench.sides[0].delivered == MAX_UNREAD_MESSAGES
    # It asks now and then, and does not fill the line meanwhile.
    assert bench.sides[0].counters.frames_sent - sent_before < 1200
    assert bench.raised == [[], []]
    bench.sides[1].messages = held  # type: ignore[method-assign]
    bench.run()
    assert bench.got[1] == sent


def test_attack_a_false_digest_delivers_nothing() -> None:
    bench = Bench()
    impostor = Impostor(bench.sides[0])
    impostor.say(Kind.OPEN, 1, payload.OPEN.pack(1, 1, 4, 5, bytes(32)))
    impostor.say(Kind.DATA, 2, payload.DATA.pack(0) + b"\0evil")
    assert bench.sides[0].messages() == []
    assert bench.sides[0].counters.digest_errors == 1
    acks = [frame for frame in impostor.heard() if frame.kind is Kind.ACK]
    assert [payload.ACK.unpack_from(frame.payload)[0] for frame in acks] == [0]


def test_a_message_that_arrives_spoilt_behind_good_crcs_is_sent_again() -> None:
    bench = Bench()
    message = bench.rng.randbytes(10_000)
    bench.sides[0].send(message)
    while not bench.sides[1].progress().received_bytes:
        bench.step(0)
        bench.step(1)
    assembly = bench.sides[1]._receiver._assembly
    assert assembly is not None
    assembly._buffer[0] ^= 1
    bench.run()
    assert bench.got[1] == [message]
    assert bench.sides[1].counters.digest_errors == 1


def test_attack_a_peer_that_always_loses_the_message_ends_in_an_error() -> None:
    bench = Bench()
    impostor = Impostor(bench.sides[0])
    bench.sides[0].send(b"again and again")
    for _ in range(200):
        frames = [frame for frame in impostor.heard() if frame.kind is Kind.OPEN]
        if not frames:
            break
        sequence = frames[-1].sequence
        content = payload.RESET.pack(payload.Reason.UNKNOWN_MESSAGE, 0, 0)
        impostor.say(Kind.RESET, sequence, content)
    with pytest.raises(LinkError, match="lost the message 100 times"):
        bench.sides[0].poll()
    assert bench.sides[0].idle


@pytest.mark.parametrize(
    ("kind", "sequence", "content"),
    [
        (Kind.OPEN, 5, b""),
        (Kind.OPEN, 5, bytes(49)),
        (Kind.DATA, 5, b"abc"),
        (Kind.DATA, 5, payload.DATA.pack(2**16 - 1) + b"x"),
        (Kind.DATA, 2**32 - 1, payload.DATA.pack(0)),
        (Kind.ACK, 5, b""),
        (Kind.ACK, 2**32 - 1, payload.ACK.pack(1)),
        (Kind.ACK, 0, payload.ACK.pack(0) + bytes(33)),
        (Kind.RESET, 5, bytes(8)),
        (Kind.RESET, 2**32 - 1, payload.RESET.pack(2, 0, 0)),
        (Kind.RESET, 0, payload.RESET.pack(9, 0, 0)),
        (Kind.HELLO, 0, bytes(20)),
        (Kind.HELLO, 0, payload.HELLO.pack(payload.LINK_VERSION, NOBODY, NOBODY, 1)),
    ],
)
def test_attack_senseless_frames_do_no_harm(kind: Kind, sequence: int, content: bytes) -> None:
    bench = Bench()
    machine = bench.sides[0]
    machine.send(b"to the impostor")
    impostor = Impostor(machine)
    impostor.heard()
    impostor.say(kind, sequence, content)
    impostor.heard()
    machine.poll()
    assert machine.messages() == []
    assert not machine.idle
    bench.run()
    assert bench.got[1] == [b"to the impostor"]


def test_attack_every_second_byte_does_not_fill_the_memory() -> None:
    bench = Bench()
    impostor = Impostor(bench.sides[0])
    impostor.say(Kind.OPEN, 1, payload.OPEN.pack(1, 1, 60_000, 60_000, bytes(32)))
    for number in range(5000):
        impostor.say(Kind.DATA, 2 + number, payload.DATA.pack(2 * number) + b"x")
    assembly = bench.sides[0]._receiver._assembly
    assert assembly is not None
    assert len(assembly._starts) <= 512
    assert bench.sides[0].progress() == Progress(0, 0, 512, 60_000)


def test_attack_a_flood_of_new_sessions_neither_fills_the_memory_nor_the_line() -> None:
    bench = Bench()
    machine = bench.sides[0]
    own = Impostor(machine).theirs
    for number in range(2000):
        hello = payload.HELLO.pack(payload.LINK_VERSION, b"%8d" % number, own if number % 2 else NOBODY, 1)
        machine.feed(encode_frame(Frame(Kind.HELLO, NO_TAG, 0, hello)))
        machine.feed(encode_frame(Frame(Kind.PING, b"none", number, b"")))
    assert len(machine.outgoing()) < 100
    assert len(machine._identity._delivered) <= 16
    bench.sides[1].send(b"the honest one")
    bench.run()
    assert bench.got[0] == [b"the honest one"]


def test_attack_an_old_hello_played_again_resets_nothing() -> None:
    bench = Bench()
    recorded: list[bytes] = []
    bench.tap = lambda side, data: recorded.append(data) if side == 1 else None
    bench.sides[0].send(b"first")
    bench.run()
    bench.restart(0)
    message = bench.rng.randbytes(60_000)
    bench.sides[0].send(message)
    bench.run(until=lambda: bench.sides[0].progress().sent_bytes > 20_000)
    progress = bench.sides[0].progress()
    bench.sides[0].feed(b"".join(recorded[:3]))
    assert bench.sides[0].progress() == progress
    bench.run()
    assert bench.got[1] == [b"first", message]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("ago", [1, 100, 300, 4095, 4096, 4097, 5000, 7900, 8100, 8191])
def test_attack_old_frames_played_again_cost_a_moment_and_no_message(ago: int, side: int) -> None:
    bench = Bench()
    recorded: list[bytes] = []
    bench.sides[side].send(incompressible(20_000))
    bench.tap = lambda writer, data: recorded.append(data)
    bench.run()
    bench.tap = lambda writer, data: None
    # As if that many frames had gone over the line since; only the last 13 bits of a number are on the wire.
    for each in bench.sides:
        each._sequence += ago
        each._receiver._taken.latest += ago
    bench.sides[side].send(MESSAGES[0])
    bench.sides[1 - side].send(MESSAGES[1])
    bench.run(until=lambda: bench.sides[side].progress().sent_bytes > 30_000)
    for data in recorded:
        for each in bench.sides:
            each.feed(data)
    before = bench.clock.now
    bench.run()
    assert bench.clock.now - before < 5
    assert bench.got[1 - side][1:] == [MESSAGES[0]]
    assert bench.got[side] == [MESSAGES[1]]
    assert bench.raised == [[], []]


def test_attack_acknowledgements_from_far_ahead_do_not_use_the_numbers_up() -> None:
    bench = Bench()
    machine = bench.sides[0]
    impostor = Impostor(machine)
    machine.send(MESSAGES[0])
    impostor.heard()
    machine._sequence = 2**31 - 5000
    for _ in range(10):
        impostor.say(Kind.ACK, machine._sequence + 4000, payload.ACK.pack(0))
        impostor.heard()
    assert machine._sequence < 2**31 + 1000
    assert machine.progress().sent_bytes == 0


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.integers(0, 40), st.binary(max_size=60)), max_size=20))
@settings(max_examples=60, deadline=None)
def test_attack_no_sequence_of_good_frames_makes_the_machine_raise(frames: list[tuple[Kind, int, bytes]]) -> None:
    bench = Bench()
    bench.sides[0].send(incompressible(3000))
    impostor = Impostor(bench.sides[0])
    for kind, sequence, content in frames:
        impostor.say(kind, sequence, content)
        impostor.heard()
