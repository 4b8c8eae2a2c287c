"""The link as a state machine: a side that is started anew, a line that falls silent."""

from __future__ import annotations

import pytest

from serial_support import Bench, Clock, Faults, incompressible
from undercroft_protocol.errors import LinkDeadError, LinkError
from undercroft_protocol.serial.machine import LinkMachine

# Restarts.


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
    bench.sides[0].send(incompressible(100_000))
    bench.run(until=lambda: bench.sides[0].progress().sent_bytes > 20_000)
    error, after = _until_it_raises(bench.sides[0], bench.clock)
    assert isinstance(error, LinkDeadError)
    assert 9.9 <= after < 12


def test_the_line_works_again_after_it_was_dead() -> None:
    bench = Bench()
    bench.sides[0].send(incompressible(50_000))
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
    bench.sides[0].send(incompressible(100_000))
    bench.run(until=lambda: bench.sides[0].progress().sent_bytes > 20_000)
    bench.clock.now += 3600
    bench.run()
    assert bench.raised == [[], []]
    assert bench.got[1] == [incompressible(100_000)]


def test_a_wrong_speed_is_named_when_only_noise_comes() -> None:
    bench = Bench()
    bench.sides[0].send(b"x")
    bench.sides[0].feed(b"\x80\xf8\x00" * 50)
    error, _ = _until_it_raises(bench.sides[0], bench.clock)
    assert "speed" in str(error)
