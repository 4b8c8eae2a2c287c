"""Keys that order the kernel about, with a keyboard's tables in the kernel's place."""

from __future__ import annotations

import errno
import fcntl
import struct
from pathlib import Path

import pytest

from undercroft_appliance.boot import keys

NOTHING, NO_TABLE = 0x0200, 0x027F
SCROLL_LOCK, SHOW_STATE, SAK, ENTER, BOOT, LETTER, CONSOLE_2 = 0x0209, 0x0204, 0x020F, 0x0201, 0x020C, 0x0B61, 0x0501


class Keyboard:
    """Tables by their numbers, each the meanings of keys by their codes."""

    def __init__(self) -> None:
        self.tables = {0: {28: ENTER, 30: LETTER, 70: SCROLL_LOCK}, 8: {60: CONSOLE_2, 70: SHOW_STATE, 83: BOOT}}
        self.refuses = False

    def ioctl(self, _: int, request: int, data: bytes) -> bytes:
        table, key, meaning = struct.unpack("=BBH", data)
        if request == 0x4B46:
            meanings = self.tables.get(table)
            nothing = NO_TABLE if key == 0 else NOTHING
            return struct.pack("=BBH", table, key, nothing if meanings is None else meanings.get(key, NOTHING))
        assert request == 0x4B47
        if self.refuses:
            raise OSError(errno.EPERM, "Operation not permitted")
        self.tables[table][key] = meaning
        return data


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Keyboard:
    made = Keyboard()
    monkeypatch.setattr(fcntl, "ioctl", made.ioctl)
    return made


def test_attack_no_key_stops_the_owners_screen_or_shows_what_the_kernel_does(
    keyboard: Keyboard, tmp_path: Path
) -> None:
    (tmp_path / "console").touch()
    keyboard.tables[8][99] = SAK
    found = keys.take_off_orders(tmp_path / "console")
    assert found.is_good, found
    assert keyboard.tables == {
        0: {28: ENTER, 30: LETTER, 70: NOTHING},
        8: {60: CONSOLE_2, 70: NOTHING, 83: BOOT, 99: NOTHING},
    }


def test_a_key_that_stays_is_found(keyboard: Keyboard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "console").touch()
    keyboard.refuses = True
    assert "not permitted" in keys.take_off_orders(tmp_path / "console").seen
    monkeypatch.setattr(fcntl, "ioctl", lambda fd, request, data: keyboard.ioctl(fd, 0x4B46, data))
    assert keys.take_off_orders(tmp_path / "console").seen == "0:70 8:70"


def test_a_console_that_is_not_there_is_found(tmp_path: Path) -> None:
    assert not keys.take_off_orders(tmp_path / "console").is_good
