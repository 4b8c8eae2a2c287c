"""The reader that a card must pass before it is shipped."""

from __future__ import annotations

import struct

import pytest

from images.card_support import CARD_START, DATA, RESERVED, SECTOR, TABLE_SECTORS, card, fat32
from undercroft_images import fat, sdcard
from undercroft_images.errors import ImageError

FILES = {"config.txt": b"arm_64bit=1\n", "kernel8.img": bytes(range(256)) * 40, "empty.bin": b""}
SUMS = {name: sdcard.digest(content) for name, content in FILES.items()}


@pytest.fixture(scope="module")
def good() -> bytes:
    return bytes(card(FILES))


def test_a_card_with_its_files_and_nothing_else_passes(good: bytes) -> None:
    sdcard.check_card(good, SUMS)
    assert fat.read(bytes(fat32(FILES))) == FILES


def test_a_size_holds_the_files_and_their_folder() -> None:
    for sizes in ([], [1], [512] * 40, [17_000_000, 2_256_800], [90_000_000]):
        size = fat.size_for(sizes)
        assert size % (1 << 20) == 0
        clusters = size // SECTOR
        clusters -= RESERVED + 2 * -(-(clusters + 2) * 4 // SECTOR)
        assert clusters >= max(65_525, sum(-(-one // SECTOR) for one in sizes)) + 16


@pytest.mark.parametrize("name", ["config.txt", "kernel8.img", "empty.bin"])
def test_attack_a_missing_a_changed_and_an_added_file_are_seen(good: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=name):
        sdcard.check_card(good, SUMS | {name: "0" * 64})
    with pytest.raises(ImageError, match=name):
        sdcard.check_card(good, {one: sha256 for one, sha256 in SUMS.items() if one != name})
    with pytest.raises(ImageError, match=r"start\.elf"):
        sdcard.check_card(good, SUMS | {"start.elf": "0" * 64})


def changed(good: bytes, offset: int, data: bytes) -> bytes:
    copy = bytearray(good)
    copy[offset : offset + len(data)] = data
    return bytes(copy)


def test_attack_bytes_beside_the_files_are_seen(good: bytes) -> None:
    last = len(good) - 1
    used = 1 + sum(-(-len(content) // SECTOR) for content in FILES.values())
    for offset in (0, 444, 512, CARD_START - 1, CARD_START + 3 * SECTOR, CARD_START + DATA + used * SECTOR, last):
        with pytest.raises(ImageError):
            sdcard.check_card(changed(good, offset, b"\x01"), SUMS)


def test_attack_bytes_behind_the_end_of_a_file_are_seen(good: bytes) -> None:
    with pytest.raises(ImageError, match=r"config\.txt"):
        sdcard.check_card(changed(good, CARD_START + DATA + SECTOR + 100, b"\x01"), SUMS)


def test_attack_a_second_partition_is_seen(good: bytes) -> None:
    second = struct.pack("<B3xB3xII", 0, 0x0C, 4096, 100)
    with pytest.raises(ImageError, match="outside of its partition"):
        sdcard.check_card(changed(good, 462, second), SUMS)


def test_attack_a_partition_elsewhere_or_of_another_kind_is_refused(good: bytes) -> None:
    for offset, data in ((446, b"\0"), (450, b"\x83"), (454, b"\x01\x08"), (458, b"\0\0"), (440, b"\0"), (510, b"\0")):
        with pytest.raises(ImageError, match="partition"):
            sdcard.check_card(changed(good, offset, data), SUMS)
    for data in (b"", good[:512], good[:-1], good[:-SECTOR], good + bytes(SECTOR)):
        with pytest.raises(ImageError):
            sdcard.check_card(data, SUMS)


def test_attack_two_tables_that_tell_different_stories_are_refused(good: bytes) -> None:
    second = CARD_START + (RESERVED + TABLE_SECTORS) * SECTOR
    with pytest.raises(ImageError, match="two tables differ"):
        sdcard.check_card(changed(good, second + 40, b"\x07"), SUMS)


def test_attack_chains_that_cross_or_turn_back_are_refused() -> None:
    image = fat32(FILES)
    for table in (RESERVED, RESERVED + TABLE_SECTORS):
        # The kernel's second cluster is followed by its first.
        struct.pack_into("<I", image, table * SECTOR + 4 * 5, 4)
    with pytest.raises(ImageError, match="chain at cluster 4"):
        fat.read(bytes(image))


def test_attack_a_folder_a_hidden_and_a_deleted_name_are_refused() -> None:
    for kind in (0x10, 0x22, 0x08, 0x0F):
        image = fat32(FILES)
        image[DATA + 32 + 11] = kind
        with pytest.raises(ImageError):
            fat.read(bytes(image))
    image = fat32(FILES)
    image[DATA + 32] = 0xE5
    with pytest.raises(ImageError):
        fat.read(bytes(image))


def test_attack_a_long_name_that_is_another_files_is_refused() -> None:
    image = fat32({"config.txt": b"x"})
    short = bytes(image[DATA + 32 : DATA + 64])
    checksum = 0
    for byte in short[:11]:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    text = "start4.elf\0".encode("utf-16-le").ljust(26, b"\xff")
    for wrong, is_good in ((0, True), (1, False)):
        head = bytes([0x41]) + text[:10] + bytes([0x0F, 0, checksum + wrong & 0xFF])
        image[DATA + 32 : DATA + 96] = head + text[10:22] + bytes(2) + text[22:] + short
        if is_good:
            assert fat.read(bytes(image)) == {"start4.elf": b"x"}
        else:
            with pytest.raises(ImageError, match="long name"):
                fat.read(bytes(image))


def test_a_damaged_file_system_is_refused_and_never_an_error_of_ours() -> None:
    image = bytes(fat32(FILES))
    for offset in (11, 13, 14, 16, 17, 32, 36, 42, 44, 50, 82, 510, 6 * SECTOR, RESERVED * SECTOR + 12):
        with pytest.raises(ImageError):
            fat.read(changed(image, offset, bytes([image[offset] ^ 0xFF])))
    for data in (b"", image[:40], image[:SECTOR]):
        with pytest.raises(ImageError):
            fat.read(data)
