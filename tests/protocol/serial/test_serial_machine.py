"""The link machine on a simulated line: whole messages, once, in order, through every fault."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serial_support import Bench, Faults, incompressible
from undercroft_protocol.link import Progress


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


def test_progress_tells_both_sides_how_far_it_is() -> None:
    bench = Bench()
    seen: list[tuple[Progress, Progress]] = []
    bench.tap = lambda side, data: seen.append((bench.sides[0].progress(), bench.sides[1].progress()))
    bench.sides[0].send(incompressible(100_000))
    bench.run()
    sent = [own.sent_bytes for own, _ in seen]
    received = [peer.received_bytes for _, peer in seen]
    assert sent == sorted(sent)
    assert received == sorted(received)
    assert bench.sides[0].progress() == Progress(100_000, 100_000, 0, 0)
    assert bench.sides[1].progress() == Progress(0, 0, 100_000, 100_000)
