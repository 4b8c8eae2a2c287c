"""What a recorded line tells of a request: whether the appliance has all of it, and whether its answer has begun."""

from __future__ import annotations

import hashlib

import pytest

from undercroft_demo.image_test.exchange import Exchange
from undercroft_protocol.serial import payload
from undercroft_protocol.serial.frame import Frame, Kind, encode_frame

TAG = b"abcd"


def frame(kind: Kind, body: bytes = b"") -> bytes:
    return encode_frame(Frame(kind, TAG, 5, body))


def announced(number: int, message: bytes) -> bytes:
    digest = hashlib.sha256(message).digest()
    return frame(Kind.OPEN, payload.OPEN.pack(number, 0, len(message), len(message), digest))


def confirmed(number: int) -> bytes:
    return frame(Kind.ACK, payload.ACK.pack(number) + b"\x01")


STATUS = announced(1, b"how are you")
BATCH = announced(2, b"pay them all")
FINE = confirmed(1) + announced(77, b"fine")


def test_nothing_was_asked_yet() -> None:
    seen = Exchange.read(b"", b"noise\0more\0")
    assert (seen.asked, seen.is_delivered, seen.is_answered, seen.is_at_work) == (None, False, False, False)


@pytest.mark.parametrize("answered", [b"", FINE, FINE + confirmed(1)])
def test_a_request_that_is_not_confirmed_is_not_at_work(answered: bytes) -> None:
    seen = Exchange.read(STATUS + BATCH, answered)
    assert seen.asked == (2, len(b"pay them all"))
    assert not seen.is_at_work


def test_a_confirmed_request_without_an_answer_is_at_work() -> None:
    assert Exchange.read(STATUS + BATCH, FINE + confirmed(2)).is_at_work
    # What is announced or confirmed again is no second one.
    assert Exchange.read(STATUS + BATCH * 2, FINE * 2 + confirmed(2) * 2).is_at_work


def test_mishap_an_answer_that_has_begun_is_no_power_cut_in_the_middle() -> None:
    seen = Exchange.read(STATUS + BATCH, FINE + confirmed(2) + announced(78, b"signed"))
    assert seen.is_answered
    assert not seen.is_at_work


def test_mishap_an_answer_that_was_cut_within_its_first_frame_has_begun() -> None:
    whole = announced(78, b"signed")
    for size in range(1, len(whole) + 1):
        seen = Exchange.read(STATUS + BATCH, FINE + confirmed(2) + whole[:size])
        assert not seen.is_at_work
        # The last byte is the zero between frames.
        assert seen.is_answered is (size >= len(whole) - 1)


def test_mishap_half_a_frame_of_another_kind_is_no_answer() -> None:
    """Found by a run on another machine: half a confirmation counted as a reply, which came before it was asked for."""
    whole = confirmed(2)
    for size in range(len(whole)):
        seen = Exchange.read(STATUS + BATCH, FINE + whole[:size])
        assert (seen.is_at_work, seen.is_answered) == (False, False)
