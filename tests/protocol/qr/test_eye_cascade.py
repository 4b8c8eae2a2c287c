"""What the zxing eye remembers from picture to picture, when it tries harder, and how it does on bad pictures."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from protocol.qr.eye_support import placed, shown, texts
from undercroft_demo.optics import Image, Optics, as_array, as_picture, screen_image
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye.patch import Box, Patch
from undercroft_protocol.qr.eye.places import KEPT_PICTURES, Places
from undercroft_protocol.qr.eye.rescue import OpenCvRescue
from undercroft_protocol.qr.eye.sight import Sight
from undercroft_protocol.qr.eye.zxing import MOST_PATIENCE, MOST_RESCUED, RESCUE_EVERY, ZxingEye
from undercroft_protocol.qr.picture import Picture

SMALL = {"width": 160, "height": 160}


def at(text: str, left: int, top: int) -> Picture:
    return placed(shown([text], **SMALL), width=800, height=600, left=left, top=top)


def test_a_code_that_stays_is_read_in_every_picture() -> None:
    reader = ZxingEye()
    for number in range(20):
        assert texts(reader, at(f"{number}", 300, 200)) == [f"{number}"]


def test_a_code_in_each_corner_of_the_picture_is_read_by_its_place() -> None:
    for left, top in ((0, 0), (640, 0), (0, 440), (640, 440)):
        reader = ZxingEye()
        for number in range(3):
            assert texts(reader, at(f"{number}", left, top)) == [f"{number}"]


def test_a_code_that_moved_far_is_found_again_at_the_second_picture() -> None:
    reader = ZxingEye()
    assert texts(reader, at("1", 10, 10)) == ["1"]
    reader.look(at("2", 600, 400))
    assert texts(reader, at("3", 600, 400)) == ["3"]


def test_a_code_that_moves_as_a_hand_does_is_never_lost() -> None:
    reader = ZxingEye()
    for number in range(20):
        assert texts(reader, at(f"{number}", 10 + 25 * number, 10 + 15 * number)) == [f"{number}"]


def test_a_code_that_vanished_comes_back_anywhere() -> None:
    reader = ZxingEye()
    empty = as_picture(np.full((600, 800), 255, np.uint8))
    assert texts(reader, at("1", 10, 10)) == ["1"]
    for _ in range(2 * KEPT_PICTURES):
        assert reader.look(empty) == []
    assert texts(reader, at("2", 600, 400)) == ["2"]


def test_a_picture_of_another_size_in_between_does_no_harm() -> None:
    reader = ZxingEye(OpenCvRescue())
    assert texts(reader, at("1", 630, 430)) == ["1"]
    for picture in (Picture(1, 1, b"\x00"), as_picture(np.full((30, 900), 200, np.uint8))):
        assert reader.look(picture) == []
    assert texts(reader, at("2", 630, 430)) == ["2"]


def test_a_second_code_that_comes_later_is_seen_soon() -> None:
    reader = ZxingEye()
    assert texts(reader, at("1", 10, 10)) == ["1"]
    both = as_array(at("1", 10, 10)).copy()
    both[420:580, 600:760] = as_array(shown(["2"], **SMALL))
    seen = [texts(reader, as_picture(both)) for _ in range(10)]
    assert ["1", "2"] in seen
    assert all("1" in one for one in seen)


def test_a_place_is_forgotten_after_a_while() -> None:
    places = Places()
    places.note([Sight("1", ((0, 0), (10, 0), (10, 10), (0, 10)))])
    fresh = [places.fresh]
    for _ in range(KEPT_PICTURES - 1):
        places.note([])
        fresh.append(places.fresh)
        assert len(places.missing([])) == 1
    assert fresh == [True] + [False] * (KEPT_PICTURES - 1)
    places.note([])
    assert len(places) == 0


def test_a_place_follows_its_code() -> None:
    places = Places()
    for shift in range(0, 40, 4):
        places.note([Sight("1", ((shift, 0), (shift + 10, 0), (shift + 10, 10), (shift, 10)))])
        assert len(places) == 1


def test_attack_corners_outside_the_picture_still_give_a_part_of_it() -> None:
    picture = as_picture(np.zeros((50, 60), np.uint8))
    for box in (Box(-500, -500, -400, -400), Box(900, 900, 901, 901), Box(-1000, 20, 1000, 21), Box(59, 49, 60, 50)):
        part = box.wider(0.25, picture)
        assert 0 <= part.left < part.right <= 60
        assert 0 <= part.top < part.bottom <= 50
        patch = Patch.cut(picture, part)
        assert patch.height >= 1
        assert len(patch.grey) >= patch.height * patch.stride


class CountedRescue:
    """Makes nothing of any part, and counts."""

    def __init__(self) -> None:
        self.parts = 0

    def attempts(self, picture: Picture, box: Box) -> Iterator[Patch]:
        self.parts += 1
        yield from ()


def test_attempts_without_success_become_rare() -> None:
    rescue = CountedRescue()
    reader = ZxingEye(rescue)
    torn = [at("1", 300, 200), as_picture(np.full((600, 800), 255, np.uint8))]
    for number in range(160):
        reader.look(torn[number % 2])
    assert MOST_PATIENCE <= rescue.parts <= MOST_PATIENCE + 160 // RESCUE_EVERY


def test_attack_many_broken_codes_in_one_picture_take_few_attempts() -> None:
    rescue = CountedRescue()
    image: Image = np.tile(as_array(shown(["12345678901234567890"], width=200, height=200)), (4, 5)).copy()
    for top in range(0, 800, 200):
        for left in range(0, 1000, 200):
            image[top + 70 : top + 130, left + 70 : left + 130] = 128
    ZxingEye(rescue).look(as_picture(image))
    assert 1 <= rescue.parts <= MOST_RESCUED


def test_attack_many_codes_that_vanish_at_once_take_few_attempts() -> None:
    rescue = CountedRescue()
    reader = ZxingEye(rescue)
    assert len(reader.look(shown([f"{number}" for number in range(8)]))) == 8
    before = rescue.parts
    reader.look(as_picture(np.full((600, 800), 255, np.uint8)))
    assert rescue.parts - before == MOST_RESCUED


@pytest.mark.slow
def test_smoothing_and_sharpening_read_what_plain_zxing_cannot() -> None:
    plain = rescued = 0
    for seed in range(16):
        text = "".join(random.Random(seed).choices("0123456789", k=2000))
        code = draw(text, version=20)
        screen = screen_image([code], width=10 * (code.size + 8), height=10 * (code.size + 8))
        picture = as_picture(Optics("hard", width=1280, height=720, seed=seed).shoot(screen))
        for seen in (texts(ZxingEye(), picture), texts(ZxingEye(OpenCvRescue()), picture)):
            assert seen in ([text], [])
        plain += len(texts(ZxingEye(), picture))
        rescued += len(texts(ZxingEye(OpenCvRescue()), picture))
    assert rescued >= plain + 4
    assert rescued >= 11


def test_an_enlarged_attempt_gives_corners_of_the_picture_itself() -> None:
    picture = at("HELLO", 300, 200)
    for patch in OpenCvRescue().attempts(picture, Box(250, 150, 550, 450)):
        assert patch.point(0, 0) == (250, 150)
        assert patch.point(100 * patch.scale, 50 * patch.scale) == (350, 200)
