"""Putting a message together, saying what was taken, and sending again what was not."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from undercroft_protocol.serial.assembly import BITMAP_BITS, Assembly, TakenFrames
from undercroft_protocol.serial.transfer import (
    ANNOUNCEMENT,
    MAX_PIECE_BYTES,
    MIN_PIECE_BYTES,
    WINDOW_BYTES,
    PieceSize,
    Transfer,
)

MESSAGE = bytes(range(200))


def _assembly() -> Assembly:
    return Assembly(number=1, first=1, length=len(MESSAGE), digest=hashlib.sha256(MESSAGE).digest())


@given(st.lists(st.tuples(st.integers(0, 199), st.integers(1, 60)), max_size=40))
def test_pieces_in_any_order_and_overlap_are_counted_once(pieces: list[tuple[int, int]]) -> None:
    assembly = _assembly()
    there: set[int] = set()
    for start, length in pieces:
        piece = MESSAGE[start : start + length]
        assert assembly.add(start, piece)
        there |= set(range(start, start + len(piece)))
        assert assembly.received == len(there)
    assert assembly.complete == (len(there) == len(MESSAGE))
    assert assembly.add(0, MESSAGE)
    assert assembly.verified() == MESSAGE


def test_attack_a_piece_outside_the_message_is_not_taken() -> None:
    assembly = _assembly()
    for start, piece in ((200, b"x"), (199, b"xy"), (2**32 - 1, b"x"), (0, b""), (0, bytes(201))):
        assert not assembly.add(start, piece)
    assert assembly.received == 0


@given(st.lists(st.tuples(st.integers(0, 2000), st.booleans()), min_size=1, max_size=60))
def test_the_bitmap_says_what_was_taken(frames: list[tuple[int, bool]]) -> None:
    taken = TakenFrames()
    for sequence, was_taken in frames:
        taken.note(sequence, taken=was_taken)
    good = {sequence for sequence, was_taken in frames if was_taken}
    bits = int.from_bytes(taken.bitmap(), "little")
    named = {taken.latest - index for index in range(BITMAP_BITS) if bits >> index & 1}
    assert taken.latest == max(sequence for sequence, _ in frames)
    assert named <= good
    assert {sequence for sequence in good if sequence > taken.latest - BITMAP_BITS} - named == _forgotten(frames)


def _forgotten(frames: list[tuple[int, bool]]) -> set[int]:
    """Frames that came when a frame 256 further had already been heard."""
    latest = 0
    early: set[int] = set()
    late: set[int] = set()
    for sequence, was_taken in frames:
        latest = max(latest, sequence)
        if was_taken:
            (late if sequence > latest - BITMAP_BITS else early).add(sequence)
    return {sequence for sequence in early - late if sequence > latest - BITMAP_BITS}


def test_attack_a_sequence_number_far_ahead_costs_no_memory() -> None:
    taken = TakenFrames()
    taken.note(1, taken=True)
    taken.note(2**32 - 1, taken=True)
    assert taken.bitmap() == b"\x01"


def test_what_an_acknowledgement_leaves_out_is_sent_again_and_nothing_else() -> None:
    transfer = Transfer(bytes(4000), number=1, first=10)
    sequences = range(10, 15)
    pieces = [transfer.next_piece(sequence, 1000, 0.0) for sequence in sequences]
    assert pieces[0] is ANNOUNCEMENT
    arrived, lost, _ = transfer.acknowledge(14, 0b10101)
    assert arrived == [pieces[0], pieces[2], pieces[4]]
    assert lost == [pieces[1], pieces[3]]
    assert transfer.acknowledged == 2000
    assert [transfer.next_piece(sequence, 1000, 0.0) for sequence in (15, 16, 17)] == [pieces[1], pieces[3], None]
    transfer.acknowledge(16, 0b11)
    assert transfer.settled


def test_a_lost_piece_is_cut_when_pieces_have_become_smaller() -> None:
    transfer = Transfer(bytes(1000), number=1, first=1)
    assert transfer.next_piece(1, 1000, 0.0) is ANNOUNCEMENT
    transfer.next_piece(2, 1000, 0.0)
    transfer.acknowledge(2, 0b10)
    sizes = [piece.size for number in range(3, 10) if (piece := transfer.next_piece(number, 300, 0.0))]
    assert sizes == [300, 300, 300, 100]


def test_no_more_than_a_window_is_under_way() -> None:
    transfer = Transfer(bytes(10 * WINDOW_BYTES), number=1, first=1)
    sizes = [piece.size for number in range(1, 1000) if (piece := transfer.next_piece(number, 1024, 0.0))]
    assert sum(sizes) == WINDOW_BYTES


def test_the_piece_size_stays_between_its_bounds() -> None:
    size = PieceSize()
    for lost, bound in ((True, MIN_PIECE_BYTES), (False, MAX_PIECE_BYTES)):
        for _ in range(3000):
            size.note(size.bytes_now(), lost=lost)
        assert size.bytes_now() == bound
