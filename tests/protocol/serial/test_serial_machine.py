"""The link machine on a simulated line: whole messages, once, in order, through every fault."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serial_support import Bench, Clock, Faults
from undercroft_protocol.errors import LinkDeadError, LinkError
from undercroft_protocol.serial import payload
from undercroft_protocol.serial.frame import Frame, FrameReader, Kind, encode_frame
from undercroft_protocol.serial.handshake import NO_TAG, NOBODY, tag_of
from undercroft_protocol.serial.machine import MAX_QUEUED_MESSAGES, LinkMachine, Progress
from undercroft_protocol.serial.receiver import MAX_UNREAD_MESSAGES


def test_messages_arrive_whole_and_in_order_both_ways() -> None:
    bench = Bench()
    sent = [bench.rng.randbytes(size) for size in (0, 1, 253, 254, 1024, 5000, 60_000)]
    for message in sent:
        bench.sides[0].send(message)
        bench.sides[1].send(message[::-1])
    bench.run()
    assert bench.settled()
    assert bench.got[1] == sent
    assert bench.got[0] == [message[::-1] for message in sent]
    assert bench.sides[0].delivered == bench.sides[1].delivered == len(sent)
    assert bench.sides[0].counters.retransmissions == 0
    assert bench.raised == [[], []]


def test_a_silent_line_needs_no_timer() -> None:
    bench = Bench()
    bench.sides[0].send(b"once")
    bench.run()
    assert [side.next_deadline() for side in bench.sides] == [None, None]
    assert [side.outgoing() for side in bench.sides] == [b"", b""]


FAULTS = {
    "one flip in 1000 bytes": Faults(flip=1e-3),
    "one flip in 100 bytes": Faults(flip=1e-2),
    "one byte in 300 dropped": Faults(drop=3e-3),
    "frames repeated": Faults(repeat=0.4),
    "frames swapped": Faults(swap=0.4),
    "a third of the frames lost": Faults(lose=0.33),
    "everything at once": Faults(flip=2e-3, drop=1e-3, repeat=0.2, swap=0.2, lose=0.1),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("seed", range(3))
def test_noise_changes_nothing_that_is_delivered(faults: Faults, seed: int) -> None:
    bench = Bench(seed=seed, faults=faults)
    sent = [[bench.rng.randbytes(size) for size in (20_000, 10, 3_000)] for _ in range(2)]
    for side in (0, 1):
        for message in sent[side]:
            bench.sides[side].send(message)
    bench.run(seconds=300, until=bench.settled)
    assert bench.settled()
    assert bench.raised == [[], []]
    assert bench.got == [sent[1], sent[0]]


@given(st.integers(0, 2**32), st.integers(0, 3000), st.floats(0, 0.01), st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_any_size_seed_noise_and_chunking_delivers_exactly_once(seed: int, size: int, flip: float, chunk: int) -> None:
    bench = Bench(seed=seed, faults=Faults(flip=flip, drop=flip / 4, chunk=chunk))
    sent = [bench.rng.randbytes(size), b"next"]
    for message in sent:
        bench.sides[0].send(message)
    bench.run(seconds=300, until=bench.settled)
    assert bench.got == [[], sent]


def test_chunks_may_end_at_every_byte() -> None:
    for chunk in range(1, 60):
        bench = Bench(seed=chunk, faults=Faults(chunk=chunk))
        message = bench.rng.randbytes(300)
        bench.sides[0].send(message)
        bench.run()
        assert bench.got == [[], [message]]


def test_the_size_of_pieces_follows_the_noise() -> None:
    sizes = []
    for flip in (0.0, 1e-3, 1e-2):
        bench = Bench(faults=Faults(flip=flip))
        bench.sides[0].send(bench.rng.randbytes(60_000))
        bench.run(seconds=300, until=bench.settled)
        assert bench.settled()
        sizes.append(bench.sides[0].counters.frames_sent)
    assert sizes[0] < sizes[1] < sizes[2]


# Restarts.


def _starts_in_the_middle() -> list[int]:
    return list(range(24))


@pytest.mark.parametrize("steps", range(24))
def test_a_restarted_receiver_gets_the_message_from_its_start(steps: int) -> None:
    bench = Bench(seed=steps)
    message = bench.rng.randbytes(40_000)
    bench.sides[0].send(message)
    for _ in range(steps):
        bench.step(0)
        bench.step(1)
        bench.clock.now += 0.001
    before = list(bench.got[1])
    bench.restart(1)
    bench.run()
    assert bench.settled()
    # The message may have been delivered before the restart; its acknowledgement may have got lost with it.
    assert bench.got[1] in ([message], [*before, message])
    assert bench.sides[0].delivered == 1


@pytest.mark.parametrize("steps", range(24))
def test_a_message_whose_sender_restarted_is_dropped_whole(steps: int) -> None:
    bench = Bench(seed=steps)
    bench.sides[0].send(bench.rng.randbytes(40_000))
    for _ in range(steps):
        bench.step(0)
        bench.step(1)
        bench.clock.now += 0.001
    before = list(bench.got[1])
    bench.restart(0)
    bench.sides[0].send(b"after the restart")
    bench.run()
    assert bench.got[1] == [*before, b"after the restart"]
    assert bench.settled()


@pytest.mark.parametrize("seed", range(12))
def test_restarts_at_any_byte_of_a_noisy_line_leave_no_damage(seed: int) -> None:
    bench = Bench(seed=seed, faults=Faults(flip=5e-4, chunk=50))
    legal = [{bench.rng.randbytes(6000), b"end"} for _ in range(2)]
    for _ in range(6):
        for side in (0, 1):
            for message in sorted(legal[side], key=len):
                bench.sides[side].send(message)
        for _ in range(bench.rng.randrange(30)):
            bench.step(bench.rng.randrange(2))
            bench.clock.now += 0.001
        # The tail of a write arrives after the restart.
        side = bench.rng.randrange(2)
        late = bench.sides[side].outgoing()
        bench.restart(bench.rng.randrange(2))
        bench.sides[1 - side].feed(late[bench.rng.randrange(len(late) + 1) :])
    bench.run(seconds=100, until=bench.settled)
    finals = [bench.rng.randbytes(100), bench.rng.randbytes(5000)]
    bench.got = [[], []]
    for side in (0, 1):
        bench.sides[side].send(finals[side])
    bench.run(seconds=100, until=bench.settled)
    assert bench.settled()
    for side in (0, 1):
        assert bench.got[1 - side][-1] == finals[side]
        assert set(bench.got[1 - side][:-1]) <= legal[side]


def test_a_message_is_not_repeated_when_the_acknowledgement_is_lost() -> None:
    bench = Bench()
    bench.sides[0].send(b"pay once")
    while not bench.got[1]:
        bench.step(0)
        if not bench.got[1]:
            bench.step(1)
    assert bench.sides[1].outgoing()  # the acknowledgement, and nobody hears it
    bench.run()
    assert bench.got[1] == [b"pay once"]
    assert bench.sides[0].delivered == 1


def test_a_message_is_not_repeated_when_the_sender_forgot_the_line_meanwhile() -> None:
    bench = Bench()
    bench.sides[0].send(b"first")
    bench.run()
    peer = bench.sides[1]
    bench.sides[1] = bench.machine(1)
    bench.sides[0].send(b"second")
    bench.run()
    bench.sides[1] = peer  # the same start of the peer is back on the line
    bench.sides[0].send(b"third")
    bench.run()
    assert bench.got[1] == [b"first", b"second", b"third"]


def test_a_new_session_begins_before_the_sequence_numbers_run_out() -> None:
    bench = Bench()
    bench.sides[0].send(b"early")
    bench.run()
    bench.sides[0]._sequence = 2**31
    bench.sides[0].send(b"late")
    bench.sides[1].send(b"answer")
    bench.run()
    assert bench.got == [[b"answer"], [b"early", b"late"]]
    assert bench.sides[0]._sequence < 100


# Silence.


def _until_it_raises(machine: LinkMachine, clock: Clock) -> tuple[LinkError, float]:
    start = clock.now
    while clock.now - start < 60:
        try:
            machine.poll()
        except LinkError as error:
            return error, clock.now - start
        machine.outgoing()
        deadline = machine.next_deadline()
        assert deadline is not None
        clock.now = max(clock.now + 0.001, deadline)
    raise AssertionError("it waited for ever")


def test_a_dead_line_is_reported_after_dead_after_seconds() -> None:
    bench = Bench()
    machine = bench.sides[0]
    machine.send(b"hello?")
    error, after = _until_it_raises(machine, bench.clock)
    assert isinstance(error, LinkDeadError)
    assert error.code == "link-dead"
    assert "10 s" in str(error)
    assert 10 <= after < 12
    assert machine.idle
    assert machine.next_deadline() is None


def test_a_line_that_dies_in_the_middle_of_a_message_is_reported() -> None:
    bench = Bench()
    bench.sides[0].send(bytes(100_000))
    bench.run(until=lambda: bench.sides[0].progress().sent_bytes > 20_000)
    error, after = _until_it_raises(bench.sides[0], bench.clock)
    assert isinstance(error, LinkDeadError)
    assert 9.9 <= after < 12


def test_the_line_works_again_after_it_was_dead() -> None:
    bench = Bench()
    bench.sides[0].send(bytes(50_000))
    bench.run(until=lambda: bench.sides[0].progress().sent_bytes > 20_000)
    _until_it_raises(bench.sides[0], bench.clock)
    bench.sides[0].send(b"back")
    bench.sides[1].send(b"again")
    bench.run()
    assert bench.got == [[b"again"], [b"back"]]
    assert bench.raised == [[], []]


def test_who_watches_an_idle_line_hears_that_it_lives_and_when_it_dies() -> None:
    bench = Bench()
    bench.sides[0].watch(True)
    bench.run(seconds=100)
    assert bench.raised == [[], []]
    bench.ways[1].faults.lose = 1.0
    bench.run(seconds=15)
    assert [type(error) for error in bench.raised[0]] == [LinkDeadError]
    assert bench.raised[1] == []


def test_a_process_that_was_suspended_asks_before_it_gives_up() -> None:
    bench = Bench()
    bench.sides[0].send(bytes(100_000))
    bench.run(until=lambda: bench.sides[0].progress().sent_bytes > 20_000)
    bench.clock.now += 3600
    bench.run()
    assert bench.raised == [[], []]
    assert bench.got[1] == [bytes(100_000)]


# Hostile lines and peers.


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
        bench.ways[0].faults.lose = 1.0
    machine.send(bench.rng.randbytes(3000))
    bench.run(seconds=30)
    assert bench.got[0] == []
    assert machine.counters.echoes > 0
    assert [len(bench.got[1]), len(bench.raised[0])] == ([1, 0] if with_peer else [0, 1])
    if not with_peer:
        assert "looped" in str(bench.raised[0][0])


def test_a_wrong_speed_is_named_when_only_noise_comes() -> None:
    bench = Bench()
    bench.sides[0].send(b"x")
    bench.sides[0].feed(b"\x80\xf8\x00" * 50)
    error, _ = _until_it_raises(bench.sides[0], bench.clock)
    assert "speed" in str(error)


class Impostor:
    """A peer of `machine` whose frames the test writes by hand."""

    session = b"impostor"

    def __init__(self, machine: LinkMachine) -> None:
        self.machine = machine
        self.reader = FrameReader()
        self.say(Kind.HELLO, 0, payload.HELLO.pack(self.session, NOBODY), NO_TAG)
        hello = next(frame for frame in self.heard() if frame.kind is Kind.HELLO)
        self.theirs = payload.HELLO.unpack(hello.payload)[0]
        self.say(Kind.HELLO, 0, payload.HELLO.pack(self.session, self.theirs), NO_TAG)
        self.heard()

    @property
    def tag(self) -> bytes:
        return tag_of(self.session, self.theirs)

    def say(self, kind: Kind, sequence: int, content: bytes, tag: bytes | None = None) -> None:
        self.machine.feed(encode_frame(Frame(kind, self.tag if tag is None else tag, sequence, content)))

    def heard(self) -> list[Frame]:
        frames: list[Frame] = []
        while data := self.machine.outgoing():
            frames += self.reader.feed(data)
        return frames


def test_attack_a_huge_announced_length_is_refused_before_allocation() -> None:
    bench = Bench()
    impostor = Impostor(bench.sides[0])
    tracemalloc.start()
    impostor.say(Kind.OPEN, 1, payload.OPEN.pack(1, 1, 2**32 - 1, bytes(32)))
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
        bench.sides[0].send(bytes(101))
    assert bench.sides[0].idle


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
    bench.run(seconds=20)
    assert bench.sides[0].delivered == MAX_UNREAD_MESSAGES
    assert bench.raised == [[], []]
    bench.sides[1].messages = held  # type: ignore[method-assign]
    bench.run()
    assert bench.got[1] == sent


def test_attack_a_false_digest_delivers_nothing() -> None:
    bench = Bench()
    impostor = Impostor(bench.sides[0])
    impostor.say(Kind.OPEN, 1, payload.OPEN.pack(1, 1, 4, bytes(32)))
    impostor.say(Kind.DATA, 2, payload.DATA.pack(0) + b"evil")
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
        (Kind.OPEN, 5, bytes(45)),
        (Kind.DATA, 5, b"abc"),
        (Kind.DATA, 5, payload.DATA.pack(2**32 - 1) + b"x"),
        (Kind.DATA, 2**32 - 1, payload.DATA.pack(0)),
        (Kind.ACK, 5, b""),
        (Kind.ACK, 2**32 - 1, payload.ACK.pack(1)),
        (Kind.ACK, 0, payload.ACK.pack(0) + bytes(33)),
        (Kind.RESET, 5, bytes(8)),
        (Kind.RESET, 2**32 - 1, payload.RESET.pack(2, 0, 0)),
        (Kind.RESET, 0, payload.RESET.pack(9, 0, 0)),
        (Kind.HELLO, 0, bytes(15)),
        (Kind.HELLO, 0, payload.HELLO.pack(NOBODY, NOBODY)),
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
    impostor.say(Kind.OPEN, 1, payload.OPEN.pack(1, 1, 100_000, bytes(32)))
    for number in range(5000):
        impostor.say(Kind.DATA, 2 + number, payload.DATA.pack(2 * number) + b"x")
    assembly = bench.sides[0]._receiver._assembly
    assert assembly is not None
    assert len(assembly._starts) <= 512
    assert bench.sides[0].progress() == Progress(0, 0, 512, 100_000)


def test_attack_a_flood_of_new_sessions_neither_fills_the_memory_nor_the_line() -> None:
    bench = Bench()
    machine = bench.sides[0]
    own = Impostor(machine).theirs
    for number in range(2000):
        hello = payload.HELLO.pack(b"%8d" % number, own if number % 2 else NOBODY)
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


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.integers(0, 40), st.binary(max_size=60)), max_size=20))
@settings(max_examples=60, deadline=None)
def test_attack_no_sequence_of_good_frames_makes_the_machine_raise(frames: list[tuple[Kind, int, bytes]]) -> None:
    bench = Bench()
    bench.sides[0].send(bytes(3000))
    impostor = Impostor(bench.sides[0])
    for kind, sequence, content in frames:
        impostor.say(kind, sequence, content)
        impostor.heard()


def test_progress_tells_both_sides_how_far_it_is() -> None:
    bench = Bench()
    seen: list[tuple[Progress, Progress]] = []
    bench.tap = lambda side, data: seen.append((bench.sides[0].progress(), bench.sides[1].progress()))
    bench.sides[0].send(bytes(100_000))
    bench.run()
    sent = [own.sent_bytes for own, _ in seen]
    received = [peer.received_bytes for _, peer in seen]
    assert sent == sorted(sent)
    assert received == sorted(received)
    assert bench.sides[0].progress() == Progress(100_000, 100_000, 0, 0)
    assert bench.sides[1].progress() == Progress(0, 0, 100_000, 100_000)
