"""From a payload to its codes: each fits into a code of the version, in the format in which it came."""

from __future__ import annotations

import random

import pytest

from protocol.qr.bbqr_examples import psbt
from undercroft_protocol.errors import QrError, QrSizeError
from undercroft_protocol.qr.bbqr import BbqrSource
from undercroft_protocol.qr.capacity import capacity_alphanumeric
from undercroft_protocol.qr.draw import fitting_version
from undercroft_protocol.qr.fast import FastSource, fast_session
from undercroft_protocol.qr.sources import source_of, ur_fragment_bytes
from undercroft_protocol.qr.stream import Format, Kind, Payload
from undercroft_protocol.qr.ur import UrSource
from undercroft_protocol.qr.ur.fountain import MAX_FRAGMENTS, MAX_SEQUENCE
from undercroft_protocol.qr.ur.kinds import WRITTEN
from undercroft_protocol.qr.ur.part import Part

ENTROPY = random.Random(1).randbytes


@pytest.mark.parametrize("version", range(5, 41))
def test_the_longest_part_of_a_ur_fits_and_a_byte_more_does_not(version: int) -> None:
    def characters(data: int) -> int:
        part = Part(max(WRITTEN.values(), key=len), MAX_SEQUENCE, MAX_FRAGMENTS, 1 << 22, 0xFFFFFFFF, bytes(data))
        return len(part.text())

    most = ur_fragment_bytes(version)
    assert characters(most) <= capacity_alphanumeric(version)
    # The head of a byte string below 256 bytes has a byte less than it is counted with.
    assert characters(most + (1 if most >= 256 else 2)) > capacity_alphanumeric(version)


@pytest.mark.parametrize("version", [5, 13, 20, 40])
@pytest.mark.parametrize("format_", [Format.FAST, Format.UR, Format.BBQR])
def test_every_code_fits_into_the_version(format_: Format, version: int) -> None:
    source = source_of(Payload(format_, Kind.PSBT, psbt(5000)), version=version, entropy=ENTROPY)
    assert max(fitting_version(source.next_symbol()) for _ in range(2 * source.count)) <= version


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        (Format.FAST, FastSource),
        (Format.UR, UrSource),
        (Format.BBQR, BbqrSource),
        (Format.PMOFN, UrSource),
        (Format.PLAIN, UrSource),
    ],
)
def test_the_answer_goes_in_the_format_of_the_question_or_in_ur(format_: Format, expected: type) -> None:
    assert type(source_of(Payload(format_, Kind.PSBT, psbt(100)), version=10, entropy=ENTROPY)) is expected


def test_each_sending_in_the_fast_format_has_a_session_of_its_own() -> None:
    sent = [source_of(Payload(Format.FAST, Kind.MESSAGE, b"m"), version=10, entropy=ENTROPY) for _ in range(20)]
    assert len({fast_session(source.next_symbol()) for source in sent}) == 20


def test_what_a_format_has_no_type_for_or_no_room_for_is_refused() -> None:
    with pytest.raises(QrError, match="no type for json"):
        source_of(Payload(Format.UR, Kind.JSON, b"{}"), version=10, entropy=ENTROPY)
    with pytest.raises(QrError, match="no file type for account"):
        source_of(Payload(Format.BBQR, Kind.ACCOUNT, b"a"), version=10, entropy=ENTROPY)
    with pytest.raises(QrSizeError):
        source_of(Payload(Format.UR, Kind.BYTES, bytes(200_000)), version=5, entropy=ENTROPY)
