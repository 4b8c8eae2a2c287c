"""What the port gets to draw codes on, and what becomes of keys that are pressed there."""

from __future__ import annotations

import os
import pty
import select
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from undercroft_appliance import consoles, devices
from undercroft_appliance.devices import Devices
from undercroft_appliance.errors import ConfigurationError


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """For codes: the end at which somebody looks and types, and its path."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


def shown(master: int, within: float = 10.0) -> bytes:
    """What stands on a screen, once something does."""
    return os.read(master, 4096) if select.select([master], [], [], within)[0] else b""


def test_a_passphrase_that_is_typed_at_the_wrong_terminal_is_not_shown(terminal: tuple[int, str], tty: str) -> None:
    master, path = terminal
    before = termios.tcgetattr(master)
    with Devices.opened(line=None, baudrate=115200, camera=None, codes=path, terminal=tty) as made:
        # Also when the port has what it needs.
        made.close()
        os.write(master, b"correct horse\r")
        assert shown(master, within=0.2) == b""
    assert termios.tcgetattr(master) == before
    os.write(master, b"y")
    assert shown(master) == b"y"


def test_attack_of_a_console_the_port_gets_the_cells_alone(
    terminal: tuple[int, str], tty: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A port with the console itself would bring it to the front: ESC [ 12 ; 2 ]."""
    master, path = terminal
    (tmp_path / "cells").write_bytes(b"")
    asked = []

    def cells(number: int) -> int:
        asked.append(number)
        return os.open(tmp_path / "cells", os.O_RDWR)

    monkeypatch.setattr(devices, "console_number", lambda _: 2)
    monkeypatch.setattr(devices, "opened_cells", cells)
    with Devices.opened(line=None, baudrate=115200, camera=None, codes=path, terminal=tty) as made:
        assert asked == [2]
        assert {Path(f"/proc/self/fd/{number}").readlink() for number in made.named.values()} == {tmp_path / "cells"}
        assert shown(master) == b"\x1b[?25l"
        made.close()
    assert shown(master) == b"\x1b[?25h"


def test_consoles_are_known_by_the_kernels_numbers() -> None:
    assert [consoles.console_number(os.makedev(4, minor)) for minor in (0, 1, 2, 63, 64)] == [None, 1, 2, 63, None]
    assert consoles.console_number(os.makedev(136, 2)) is None


def test_attack_what_has_the_name_of_cells_and_is_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open
    monkeypatch.setattr(os, "open", lambda _, flags: real(os.devnull, flags))
    with pytest.raises(ConfigurationError, match="not the cells"):
        consoles.opened_cells(2)


def test_cells_that_cannot_be_had_are_told() -> None:
    with pytest.raises(ConfigurationError, match="vcsa62"):
        consoles.opened_cells(62)
