"""A written card against its image; the card is never written to."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from images.card_support import CARD_START, DATA, RESERVED, SECTOR, TABLE_SECTORS, card
from undercroft_images.card_check import check_card
from undercroft_images.errors import ImageError

IMAGE = hashlib.shake_256(b"an image").digest(3 << 20) + b"and the last bytes"
SHA256 = hashlib.sha256(IMAGE).hexdigest()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "sdcard.img"
    path.write_bytes(IMAGE)
    return path


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "card"
    path.write_bytes(data)
    return path


def test_a_card_is_larger_than_its_image(tmp_path: Path, image: Path) -> None:
    assert check_card(written(tmp_path, IMAGE), image, SHA256) == 0
    assert check_card(written(tmp_path, IMAGE + b"left from before"), image, SHA256) == 16


def test_attack_one_flipped_bit_is_found_and_where(tmp_path: Path, image: Path) -> None:
    for place in (0, 440, 1 << 20, (2 << 20) + 7, len(IMAGE) - 1):
        data = bytearray(IMAGE)
        data[place] ^= 0x10
        with pytest.raises(ImageError, match=f"first at byte {place}[.;]"):
            check_card(written(tmp_path, bytes(data)), image, SHA256)


@pytest.mark.slow
def test_attack_a_flipped_bit_is_found_at_200_places_of_a_real_layout(tmp_path: Path) -> None:
    data = bytes(card({"config.txt": b"arm_64bit=1\n", "kernel8.img": bytes(range(256)) * 40}))
    image, written_card = tmp_path / "sdcard.img", written(tmp_path, data)
    image.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    tables = CARD_START + RESERVED * SECTOR
    content = CARD_START + DATA
    # Partition table, the gap behind it, first sectors, both tables, folder, files with what is behind their ends.
    regions = [(0, SECTOR), (SECTOR, CARD_START), (CARD_START, tables), (tables, tables + 400)]
    regions += [(tables + TABLE_SECTORS * SECTOR, content), (content, content + SECTOR)]
    regions += [(content + SECTOR, content + 24 * SECTOR), (content, len(data)), (len(data) - SECTOR, len(data))]
    chance = random.Random(200)
    with written_card.open("r+b", buffering=0) as file:
        for number in range(200):
            place = chance.randrange(*regions[number % len(regions)])
            file.seek(place)
            file.write(bytes([data[place] ^ 1 << chance.randrange(8)]))
            with pytest.raises(ImageError, match=f"first at byte {place}[.;]"):
                check_card(written_card, image, sha256)
            file.seek(place)
            file.write(data[place : place + 1])
    assert check_card(written_card, image, sha256) == 0


def test_attack_a_shorter_card_is_refused(tmp_path: Path, image: Path) -> None:
    for length in (0, 1, 1 << 20, len(IMAGE) - 1):
        with pytest.raises(ImageError, match=f"ends after {length} bytes"):
            check_card(written(tmp_path, IMAGE[:length]), image, SHA256)


def test_attack_a_longer_image_than_the_signed_one_is_refused(tmp_path: Path, image: Path) -> None:
    image.write_bytes(IMAGE + b"more")
    with pytest.raises(ImageError, match="not the image that was signed"):
        check_card(written(tmp_path, IMAGE + b"more"), image, SHA256)


def test_attack_image_and_card_that_were_both_exchanged_are_refused(tmp_path: Path, image: Path) -> None:
    other = IMAGE[:-1] + b"!"
    image.write_bytes(other)
    with pytest.raises(ImageError, match="not the image that was signed"):
        check_card(written(tmp_path, other), image, SHA256)


def test_mishap_a_partition_instead_of_the_card_is_told(tmp_path: Path, image: Path) -> None:
    with pytest.raises(ImageError, match="not a partition"):
        check_card(written(tmp_path, IMAGE[512:] + bytes(512)), image, SHA256)


def test_mishap_what_is_no_card_is_refused(tmp_path: Path, image: Path) -> None:
    with pytest.raises(ImageError, match="neither a card nor a file"):
        check_card(Path(os.devnull), image, SHA256)
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ImageError, match="cannot be read"):
            check_card(path, image, SHA256)


def test_the_card_is_opened_for_reading_only(tmp_path: Path, image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = []
    real = os.open

    def noted(path: Path, flag: int, *rest: int) -> int:
        flags.append(flag)
        return real(path, flag, *rest)

    card = written(tmp_path, IMAGE)
    card.chmod(0o400)
    before = card.stat()
    monkeypatch.setattr(os, "open", noted)
    check_card(card, image, SHA256)
    assert flags == [os.O_RDONLY | os.O_CLOEXEC]
    assert (card.read_bytes(), card.stat().st_mtime_ns) == (IMAGE, before.st_mtime_ns)
