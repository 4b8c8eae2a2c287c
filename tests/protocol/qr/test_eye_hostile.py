"""What a hostile screen or a broken library can do to an eye: nothing that the next good picture would not survive."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from protocol.qr.eye_support import eye, flipped, shown, texts
from undercroft_demo.optics import Image, as_array, as_picture
from undercroft_protocol.errors import QrError, QrSymbolError
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye import MOST_CODES, NAMES, best_eye
from undercroft_protocol.qr.eye.rescue import OpenCvRescue
from undercroft_protocol.qr.eye.zxing import ZxingEye
from undercroft_protocol.qr.fast import FastSink, FastSource
from undercroft_protocol.qr.picture import Matrix, Picture
from undercroft_protocol.qr.sheet import tight_picture


def _foreign(content: str | bytes) -> Picture:
    """A code as a stranger writes it, of any content."""
    barcode = zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.QRCode, ec_level="L")
    return as_picture(np.array(barcode.to_image(scale=6, add_quiet_zones=True), np.uint8))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content", ["\x1b[2J\x1b[H gone", "Grüße", "pay \u202eevil", b"\x00\x01\x02binary\xff", "bell\x07", "x\x7f"]
)
def test_attack_control_characters_and_bytes_never_come_through(name: str, content: str | bytes) -> None:
    assert eye(name).look(_foreign(content)) == []


@pytest.mark.parametrize("kind", ["DataMatrix", "Aztec", "PDF417", "Code128", "MicroQRCode", "RMQRCode"])
def test_attack_only_qr_codes_are_read(kind: str) -> None:
    barcode = zxingcpp.create_barcode("12345", zxingcpp.barcode_format_from_str(kind))
    picture = as_picture(np.array(barcode.to_image(scale=6, add_quiet_zones=True), np.uint8))
    assert best_eye().look(picture) == []


def test_attack_a_wall_of_codes_gives_a_bounded_number() -> None:
    tile = [as_array(tight_picture([draw(f"{number:020}")], scale=3, columns=1)) for number in range(64)]
    rows = [np.hstack(tile[at : at + 8]) for at in range(0, 64, 8)]
    reader, wall = best_eye(), as_picture(np.vstack(rows))
    for _ in range(3):
        assert len(reader.look(wall)) == MOST_CODES


def test_foreign_codes_beside_ours_do_not_hide_it() -> None:
    ours = "9" * 200
    picture = shown([ours, "HTTPS://EXAMPLE.ORG/", "WIFI:T:WPA;S:HOME;;"], version=10)
    reader = best_eye()
    for _ in range(4):
        assert ours in texts(reader, picture)


def test_attack_finder_patterns_everywhere_hold_no_reader_up_for_long() -> None:
    finder: Image = np.full((8, 8), 255, np.uint8)
    finder[:7, :7], finder[1:6, 1:6], finder[2:5, 2:5] = 0, 255, 0
    wall = as_picture(np.tile(np.kron(finder, np.ones((2, 2), np.uint8)), (15, 20)))
    for name in NAMES:
        reader = eye(name)
        assert reader.look(wall) == []
        assert texts(reader, shown(["AFTER IT"])) == ["AFTER IT"]


def test_attack_wrong_modules_are_corrected_or_the_code_is_not_read() -> None:
    text = "".join(random.Random(3).choices("0123456789", k=500))
    code = draw(text, version=10)
    rng = random.Random(4)
    # Below the patterns at the top, left of those at the right: data.
    body = [row * code.size + column for row in range(12, code.size - 12) for column in range(12, code.size - 12)]
    outcomes = set()
    for count in (1, 2, 4, 8, 16, 64, 256):
        seen = best_eye().look(tight_picture([flipped(code, rng.sample(body, count))], scale=5, columns=1))
        assert [sight.text for sight in seen] in ([text], [])
        outcomes.add(len(seen))
    assert outcomes == {0, 1}


def test_attack_a_symbol_with_a_changed_digit_reads_well_and_is_refused_by_its_check() -> None:
    source = FastSource(random.Random(5).randbytes(3000), version=10, session=b"\x01\x02\x03\x04")
    text = source.next_symbol()
    at = len(text) // 2
    changed = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
    (sight,) = best_eye().look(shown([changed], version=10))
    assert sight.text == changed
    with pytest.raises(QrSymbolError):
        FastSink(limit=10_000).take(sight.text)


def _broken(*_args: Any, **_options: Any) -> Any:
    raise RuntimeError("boom")


def test_a_library_that_fails_on_a_picture_is_told_and_the_next_picture_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = ZxingEye(OpenCvRescue())
    with monkeypatch.context() as during:
        during.setattr("undercroft_protocol.qr.eye.zxing.zxingcpp.read_barcodes", _broken)
        with pytest.raises(QrError, match="zxing-cpp failed"):
            reader.look(shown(["ONE"]))
    assert texts(reader, shown(["ONE"])) == ["ONE"]


def test_a_failure_of_opencv_is_told_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: Any, **_options: Any) -> Any:
        raise cv2.error("boom")

    reader = ZxingEye(OpenCvRescue())
    monkeypatch.setattr("undercroft_protocol.qr.eye.rescue.cv2.GaussianBlur", fails)
    with pytest.raises(QrError, match="OpenCV failed"):
        reader.look(as_picture(np.full((100, 100), 255, np.uint8)))


def test_attack_random_modules_are_never_a_code() -> None:
    rng = random.Random(6)
    reader = best_eye()
    for _ in range(20):
        matrix = Matrix(57, bytes(rng.choices((0, 1), k=57 * 57)))
        assert reader.look(tight_picture([matrix], scale=4, columns=1)) == []


def test_the_eye_imports_nothing_but_what_it_reads_with() -> None:
    folder = Path(__file__).parents[3] / "protocol" / "undercroft_protocol" / "qr" / "eye"
    for module in ("__init__", "sight", "patch", "places", "zxing"):
        source = (folder / f"{module}.py").read_text()
        assert "import numpy" not in source
        assert "import cv2" not in source
