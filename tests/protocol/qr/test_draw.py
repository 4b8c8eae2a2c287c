"""What is drawn says what was asked for, on every writer and every reader that is here."""

from __future__ import annotations

import importlib
import random
import string
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from protocol.qr.drawing_support import digits, read_matrix
from undercroft_demo.fetched import lend_zbar
from undercroft_protocol.errors import QrError, QrSizeError
from undercroft_protocol.qr import draw as draw_module
from undercroft_protocol.qr.capacity import (
    ALPHANUMERIC,
    Mode,
    capacity,
    capacity_alphanumeric,
    capacity_bytes,
    capacity_digits,
    mode_of,
)
from undercroft_protocol.qr.draw import MASK, Writer, draw, draw_alike, draw_with_qrcode, draw_with_zxing
from undercroft_protocol.qr.picture import Matrix
from undercroft_protocol.qr.sheet import tight_picture

WRITERS = pytest.mark.parametrize("writer", [draw_with_zxing, draw_with_qrcode])
CHARACTERS = {
    Mode.NUMERIC: string.digits,
    Mode.ALPHANUMERIC: "".join(sorted(ALPHANUMERIC - set(string.digits))),
    Mode.BYTE: string.ascii_lowercase,
}


def text_of(mode: Mode, length: int) -> str:
    return "".join(random.Random(length).choices(CHARACTERS[mode], k=length))


def pixels_of(matrix: Matrix) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    picture = tight_picture([matrix], scale=4, columns=1)
    return np.frombuffer(picture.grey, np.uint8).reshape(picture.height, picture.width)


def test_the_standards_own_figures() -> None:
    # ISO/IEC 18004, table 7: versions 1, 10, 27 and 40 at level L.
    assert [capacity_digits(one) for one in (1, 10, 27, 40)] == [41, 652, 3517, 7089]
    assert [capacity_alphanumeric(one) for one in (1, 10, 27, 40)] == [25, 395, 2132, 4296]
    assert [capacity_bytes(one) for one in (1, 10, 27, 40)] == [17, 271, 1465, 2953]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("version", range(1, 41))
def test_each_version_takes_its_capacity_and_not_one_character_more(version: int, mode: Mode) -> None:
    text = text_of(mode, capacity(mode, version))
    assert draw(text, version=version).version == version
    assert draw(text).version == version
    with pytest.raises(QrSizeError, match=f"version {version} holds {len(text)}"):
        draw(text + text[0], version=version)
    # The table is right in both directions: the writer itself refuses what the table refuses.
    with pytest.raises(ValueError, match="too long"):
        draw_with_zxing(text + text[0], version)


def test_text_beyond_the_largest_code_is_refused() -> None:
    with pytest.raises(QrSizeError, match="7089"):
        draw("1" * 7090)


@WRITERS
@pytest.mark.parametrize(("mode", "version"), [(Mode.NUMERIC, 40), (Mode.ALPHANUMERIC, 27), (Mode.BYTE, 7)])
def test_both_writers_codes_are_read_by_zxing(writer: Writer, mode: Mode, version: int) -> None:
    text = text_of(mode, capacity(mode, version))
    assert read_matrix(writer(text, version)) == [text]


@WRITERS
@pytest.mark.parametrize("mode", list(Mode))
def test_both_writers_codes_are_read_by_opencv(writer: Writer, mode: Mode) -> None:
    text = text_of(mode, capacity(mode, 7) - 5)
    assert cv2.QRCodeDetectorAruco().detectAndDecode(pixels_of(writer(text, 7)))[0] == text


@WRITERS
@pytest.mark.parametrize("mode", list(Mode))
def test_both_writers_codes_are_read_by_zbar(writer: Writer, mode: Mode) -> None:
    if lend_zbar() is None:
        pytest.skip("zbar is not here")
    pyzbar = importlib.import_module("pyzbar.pyzbar")
    text = text_of(mode, capacity(mode, 10) - 5)
    assert [code.data.decode("ascii") for code in pyzbar.decode(pixels_of(writer(text, 10)))] == [text]


def test_both_writers_draw_the_same_modules() -> None:
    for version in (1, 6, 7, 27, 40):
        text = digits(capacity_digits(version), version)
        assert draw_with_zxing(text, version) == draw_with_qrcode(text, version)


@WRITERS
def test_every_ascii_character_comes_back(writer: Writer) -> None:
    text = "".join(map(chr, range(128)))
    code = zxingcpp.read_barcode(pixels_of(writer(text, 10)))
    assert code is not None
    assert code.bytes == text.encode("ascii")


@WRITERS
@pytest.mark.parametrize("text", ["(01)09501101530003", "[01]1", "\\x41\\", "^FNC1", "{3}", "%s%n", "UR:BYTES/1-2/LP"])
def test_attack_text_that_writers_might_take_for_a_command_is_only_text(writer: Writer, text: str) -> None:
    assert read_matrix(writer(text, 5)) == [text]


@WRITERS
def test_mask_and_level_are_fixed(writer: Writer) -> None:
    code = zxingcpp.read_barcode(pixels_of(writer("12345", 20)))
    assert code is not None
    assert code.ec_level == "L"
    seen: Any = code.extra
    assert seen["DataMask"] == MASK


@pytest.mark.parametrize("text", ["", "ä", "\uff11\uff12", "\u0663", "\U0001f728"])
def test_empty_or_foreign_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ASCII"):
        draw(text)


@pytest.mark.parametrize("version", [0, 41, -1])
def test_impossible_version_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match="no QR version"):
        draw("1", version=version)


def test_modes_are_the_densest() -> None:
    assert mode_of("0123") is Mode.NUMERIC
    assert mode_of("UR:CRYPTO-PSBT/1-2/$%*+. ") is Mode.ALPHANUMERIC
    assert mode_of("ur:crypto-psbt") is Mode.BYTE


def test_texts_of_several_lengths_get_one_version() -> None:
    codes = draw_alike(["1", "1" * 100, "abc"])
    assert {code.version for code in codes} == {draw("1" * 100).version}
    assert [read_matrix(code) for code in codes] == [["1"], ["1" * 100], ["abc"]]


def test_without_zxing_the_fallback_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_module, "_HAVE_ZXING", False)
    assert draw_module.writer() is draw_with_qrcode
    assert read_matrix(draw("1234", version=5)) == ["1234"]


def test_without_any_writer_the_report_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_module, "_HAVE_ZXING", False)
    monkeypatch.setattr(draw_module, "find_spec", lambda name: None)
    with pytest.raises(QrError, match="install zxing-cpp"):
        draw("1234")


def test_a_writer_that_gives_another_size_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_module, "_HAVE_ZXING", True)
    real = zxingcpp.create_barcode
    monkeypatch.setattr(zxingcpp, "create_barcode", lambda *a, **options: real(*a, **(options | {"version": 6})))
    with pytest.raises(QrError, match="version 6 where 5"):
        draw("1234", version=5)
