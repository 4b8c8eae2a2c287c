"""Putting a message together, saying what was taken, and sending again what was not."""

from __future__ import annotations

import hashlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serial_support import incompressible
from undercroft_protocol.errors import FrameError
from undercroft_protocol.serial.assembly import BITMAP_BITS, Assembly, TakenFrames
from undercroft_protocol.serial.pace import (
    MAX_PIECE_BYTES,
    MAX_WINDOW_BYTES,
    MIN_PIECE_BYTES,
    MIN_WINDOW_BYTES,
    PieceSize,
    Window,
)
from undercroft_protocol.serial.payload import MOST_UNITS, unit_bytes
from undercroft_protocol.serial.transfer import ANNOUNCEMENT, Outgoing, Transfer
from undercroft_protocol.squeeze import squeeze

MESSAGE = incompressible(199)
SENT = squeeze(MESSAGE)
WIDE = 1 << 30


def _assembly(sent: bytes = SENT, length: int = len(MESSAGE)) -> Assembly:
    digest = hashlib.sha256(MESSAGE).digest()
    return Assembly(number=1, first=1, length=length, squeezed=len(sent), digest=digest)


@given(st.lists(st.tuples(st.integers(0, 199), st.integers(1, 60)), max_size=40))
def test_pieces_in_any_order_and_overlap_are_counted_once(pieces: list[tuple[int, int]]) -> None:
    assembly = _assembly()
    there: set[int] = set()
    for start, length in pieces:
        piece = SENT[start : start + length]
        assert assembly.add(start, piece)
        there |= set(range(start, start + len(piece)))
        assert assembly.received == len(there)
    assert assembly.complete == (len(there) == len(SENT))
    assert assembly.add(0, SENT)
    assert assembly.verified() == MESSAGE
    assert assembly.progress == len(MESSAGE)


@pytest.mark.parametrize(
    ("sent", "length"),
    [
        (SENT[:-1] + bytes([SENT[-1] ^ 1]), len(MESSAGE)),
        (SENT, len(MESSAGE) - 1),
        (SENT, len(MESSAGE) + 1),
        (b"\x09" + SENT[1:], len(MESSAGE)),
        (b"\x01" + SENT[1:], len(MESSAGE)),
        (b"\x02" + SENT[1:], len(MESSAGE)),
        (b"", len(MESSAGE)),
    ],
    ids=["bit", "shorter", "longer", "unknown method", "no deflate", "no LZMA2", "nothing"],
)
def test_attack_what_is_not_the_announced_message_is_none(sent: bytes, length: int) -> None:
    assembly = _assembly(sent, length)
    assembly.add(0, sent)
    assert assembly.complete
    with pytest.raises(FrameError):
        assembly.verified()


def test_attack_a_bomb_gives_no_more_than_was_announced() -> None:
    bomb = squeeze(bytes(50_000_000))
    assembly = _assembly(bomb, length=100_000)
    for start in range(0, len(bomb), 1000):
        assert assembly.add(start, bomb[start : start + 1000])
    tracemalloc.start()
    with pytest.raises(FrameError, match="more than 100000 bytes"):
        assembly.verified()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


def test_attack_a_piece_outside_the_message_is_not_taken() -> None:
    assembly = _assembly()
    for start, piece in ((200, b"x"), (199, b"xy"), (2**16 - 1, b"x"), (0, b""), (0, bytes(201))):
        assert not assembly.add(start, piece)
    assert assembly.received == 0


@given(st.integers(0, 500), st.lists(st.tuples(st.integers(1, 2000), st.booleans()), min_size=1, max_size=60))
def test_the_bitmap_says_what_was_missed(before: int, frames: list[tuple[int, bool]]) -> None:
    taken = TakenFrames(before)
    good: set[int] = set()
    for sequence, was_taken in frames:
        taken.note(sequence, taken=was_taken)
        if was_taken and sequence > taken.latest - BITMAP_BITS:
            good.add(sequence)
    bits = int.from_bytes(taken.bitmap(), "little")
    missed = {taken.latest - index for index in range(BITMAP_BITS) if bits >> index & 1}
    assert taken.latest == max(before, *(sequence for sequence, _ in frames))
    named = set(range(max(before, taken.latest - BITMAP_BITS) + 1, taken.latest + 1))
    assert missed == named - good


def test_on_a_clean_line_the_bitmap_is_empty() -> None:
    taken = TakenFrames(7)
    for sequence in range(8, 1000):
        taken.note(sequence, taken=True)
        assert taken.bitmap() == b""


def test_attack_a_sequence_number_far_ahead_costs_no_memory() -> None:
    taken = TakenFrames()
    taken.note(1, taken=True)
    taken.note(2**32 - 1, taken=True)
    assert taken.bitmap() == b"\xfe" + b"\xff" * 31


@pytest.mark.parametrize("length", [1, 2, 65_535, 65_536, 65_537, 4 * 1024 * 1024 + 1, 2**27])
def test_a_place_of_two_bytes_reaches_the_end_of_any_message(length: int) -> None:
    unit = unit_bytes(length)
    assert (length - 1) // unit < MOST_UNITS
    assert unit == 1 or (length - 1) // (unit // 2) >= MOST_UNITS
    assert unit <= MAX_PIECE_BYTES


def _transfer(size: int, first: int = 1) -> Transfer:
    return Transfer(Outgoing.of(incompressible(size - 1)), number=1, first=first)


def test_what_an_acknowledgement_leaves_out_is_sent_again_and_nothing_else() -> None:
    transfer = _transfer(4000, first=10)
    pieces = [transfer.next_piece(sequence, 1000, WIDE, 0.0) for sequence in range(10, 15)]
    assert pieces[0] is ANNOUNCEMENT
    assert transfer.all_sent
    arrived, lost, _ = transfer.acknowledge(14, 0b01010)
    assert arrived == [pieces[0], pieces[2], pieces[4]]
    assert lost == [pieces[1], pieces[3]]
    assert transfer.acknowledged == 2000
    again = [transfer.next_piece(sequence, 1000, WIDE, 0.0) for sequence in (15, 16, 17)]
    assert again == [pieces[1], pieces[3], None]
    transfer.acknowledge(16, 0)
    assert transfer.settled
    assert transfer.progress == 3999


def test_a_lost_piece_is_cut_when_pieces_have_become_smaller() -> None:
    transfer = _transfer(1000)
    assert transfer.next_piece(1, 1000, WIDE, 0.0) is ANNOUNCEMENT
    transfer.next_piece(2, 1000, WIDE, 0.0)
    transfer.acknowledge(2, 0b01)
    sizes = [piece.size for number in range(3, 10) if (piece := transfer.next_piece(number, 300, WIDE, 0.0))]
    assert sizes == [300, 300, 300, 100]


def test_pieces_of_a_long_message_have_whole_units() -> None:
    transfer = _transfer(200_000)
    pieces = [piece for number in range(1, 190) if (piece := transfer.next_piece(number, 1999, WIDE, 0.0))]
    assert transfer.unit == 4
    assert {piece.size for piece in pieces[1:-1]} == {1996}
    assert all(piece.start % 4 == 0 for piece in pieces)
    assert pieces[-1].stop == 200_000


def test_no_more_than_a_window_is_under_way() -> None:
    transfer = _transfer(100_000)
    sizes = [piece.size for number in range(1, 1000) if (piece := transfer.next_piece(number, 1024, 8192, 0.0))]
    assert sum(sizes) == 8192


def test_the_piece_size_stays_between_its_bounds() -> None:
    size = PieceSize()
    for lost, bound in ((True, MIN_PIECE_BYTES), (False, MAX_PIECE_BYTES)):
        for _ in range(3000):
            size.note(size.bytes_now(), lost=lost)
        assert size.bytes_now() == bound


def test_the_window_opens_on_a_quick_line_and_closes_on_a_slow_one() -> None:
    window = Window()
    for seconds, bound in ((0.002, MAX_WINDOW_BYTES), (0.8, MIN_WINDOW_BYTES)):
        for _ in range(100):
            window.note(1000, seconds)
        assert window.bytes_now == bound
