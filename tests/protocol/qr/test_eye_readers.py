"""Every reader on clean and spoilt pictures: what is shown is read exactly, and nothing else is."""

from __future__ import annotations

import random

import numpy as np
import pytest
import zxingcpp

from protocol.qr.bbqr_examples import LIMIT, psbt
from protocol.qr.eye_support import eye, shown, texts
from undercroft_demo.optics import Image, Optics, as_array, as_picture, screen_image
from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye import NAMES, best_eye, eye_by_name
from undercroft_protocol.qr.eye.sight import MOST_PIXELS, within_bounds
from undercroft_protocol.qr.picture import MOST_SIDE, Picture
from undercroft_protocol.qr.stream import Format, Kind, Payload

DIGITS = "0012345678901234567890123456789"
TEXTS = (
    DIGITS,
    "UR:BYTES/1-3/LPADAXCSENCYLOBEMOHSGMOEPA",
    "ur:crypto-psbt/taaddpoeadgegu",
    "B$ZP0200" + "ABCDEFGH" * 8,
    "cHNidP8BAHECAAAAAQ==/+x",
    "Name: vault\nPolicy: 2 of 3\n",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", TEXTS)
def test_each_mode_of_a_code_comes_out_exactly(name: str, text: str) -> None:
    assert texts(eye(name), shown([text])) == [text]


def test_a_psbt_in_byte_mode_is_read_to_its_last_bit() -> None:
    data = psbt(300) + bytes(range(256))
    barcode = zxingcpp.create_barcode(data, zxingcpp.BarcodeFormat.QRCode, ec_level="L")
    picture = as_picture(np.array(barcode.to_image(scale=4, add_quiet_zones=True), np.uint8))
    (sight,) = eye("zxing").look(picture)
    assert Collector(limit=LIMIT).take(sight.text) == Payload(Format.PLAIN, Kind.PSBT, data)


@pytest.mark.parametrize("name", NAMES)
def test_easy_pictures_are_read(name: str) -> None:
    reader, read = eye(name), 0
    for seed in range(6):
        text = "".join(random.Random(seed).choices("0123456789", k=250))
        screen = screen_image([draw(text, version=5)], width=450, height=450)
        seen = texts(reader, as_picture(Optics("easy", width=640, height=480, seed=seed).shoot(screen)))
        assert seen in ([text], [])
        read += len(seen)
    assert read >= 5


@pytest.mark.parametrize("version", [5, 20, 40])
def test_a_hand_held_camera_reads_every_version(version: int) -> None:
    text = "".join(random.Random(version).choices("0123456789", k=250))
    code = draw(text, version=version)
    screen = screen_image([code], width=5 * (code.size + 8), height=5 * (code.size + 8))
    for seed in range(3):
        optics = Optics("medium", width=1280, height=720, seed=seed)
        assert texts(best_eye(), as_picture(optics.shoot(screen))) == [text]


@pytest.mark.parametrize("name", ["zxing", "pyzbar"])
def test_several_codes_in_one_picture_are_all_read(name: str) -> None:
    several = [f"{number:030}" for number in range(6)]
    assert texts(eye(name), shown(several)) == several


def test_corners_are_those_of_the_code_in_the_picture() -> None:
    picture = shown(["HELLO"], width=400, height=300)
    for name in NAMES:
        (sight,) = eye(name).look(picture)
        xs, ys = zip(*sight.corners, strict=True)
        assert len(sight.corners) == 4
        # The code of 21 modules, ten pixels each, stands in the middle.
        assert max(abs(min(xs) - 95), abs(max(xs) - 305), abs(min(ys) - 45), abs(max(ys) - 255)) <= 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_code_on_its_side_is_read(name: str, quarters: int) -> None:
    turned = as_picture(np.ascontiguousarray(np.rot90(as_array(shown([DIGITS])), quarters)))
    assert texts(eye(name), turned) == [DIGITS]


def test_inverted_and_mirrored_codes_are_read() -> None:
    image = as_array(shown([DIGITS]))
    assert texts(best_eye(), as_picture(255 - image)) == [DIGITS]
    assert texts(best_eye(), as_picture(np.ascontiguousarray(image[:, ::-1]))) == [DIGITS]


def _noise(width: int, height: int) -> Image:
    return np.asarray(np.random.default_rng(7).integers(0, 256, (height, width)), np.uint8)


BLANK = {
    "white": as_picture(np.full((480, 640), 255, np.uint8)),
    "black": as_picture(np.zeros((480, 640), np.uint8)),
    "noise": as_picture(_noise(640, 480)),
    "one pixel": Picture(1, 1, b"\x80"),
    "a row": as_picture(_noise(640, 1)),
    "a column": as_picture(_noise(1, 480)),
    "three pixels": as_picture(_noise(3, 1)),
    "smaller than a code": as_picture(_noise(20, 20)),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("picture", BLANK.values(), ids=BLANK.keys())
def test_pictures_without_a_code_give_nothing(name: str, picture: Picture) -> None:
    reader = eye(name)
    for _ in range(3):
        assert reader.look(picture) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_code_of_which_a_third_is_covered_gives_nothing(name: str) -> None:
    image = as_array(shown([DIGITS * 5], width=480, height=480)).copy()
    image[150:330, 150:330] = 128
    assert eye(name).look(as_picture(image)) == []


@pytest.mark.parametrize("name", NAMES)
def test_large_pictures_are_read_at_half_their_size(name: str) -> None:
    code = as_array(shown([DIGITS], width=600, height=600))
    large: Image = np.full((2400, 3200), 255, np.uint8)
    large[1000:1600, 2000:2600] = code
    (sight,) = eye(name).look(as_picture(large))
    assert sight.text == DIGITS
    assert all(2000 <= x < 2600 and 1000 <= y < 1600 for x, y in sight.corners)


def test_attack_of_a_picture_with_more_pixels_than_are_looked_at_every_other_is() -> None:
    assert within_bounds(Picture(2048, 2048, bytes(MOST_PIXELS)))[1] == 1
    row = bytes((1, 2)) * 1024
    smaller, factor = within_bounds(Picture(2048, 2049, row + bytes(2048) + row * 2047))
    assert (smaller.width, smaller.height, factor) == (1024, 1025, 2)
    assert set(smaller.grey) == {1}


@pytest.mark.parametrize("name", NAMES)
def test_attack_a_picture_beyond_every_camera_is_refused(name: str) -> None:
    with pytest.raises(QrError, match="4096 a side at most"):
        eye(name).look(Picture(MOST_SIDE + 1, 100, bytes(100 * (MOST_SIDE + 1))))


def test_attack_no_reader_has_a_name_that_is_not_in_the_list() -> None:
    with pytest.raises(QrError, match="there are zxing, pyzbar, opencv"):
        eye_by_name("os")
