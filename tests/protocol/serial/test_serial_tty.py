"""Only the path of a serial device is ever opened."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import socket
from pathlib import Path

import pytest

from undercroft_protocol.errors import DevicePathError, LinkError
from undercroft_protocol.serial.link import SerialLink
from undercroft_protocol.serial.tty import HandedTty, open_tty


@pytest.mark.parametrize(
    "url",
    [
        "rfc2217://127.0.0.1:4000",
        "spy:///dev/ttyUSB0",
        "loop://",
        "hwgrep://.*",
        "alt:///dev/ttyUSB0?class=Serial",
        "cp2110://0",
        "SOCKET://127.0.0.1:4000",
        "/dev/../socket://127.0.0.1:4000",
    ],
)
def test_attack_pyserial_url_is_refused(url: str) -> None:
    with pytest.raises(DevicePathError) as caught:
        SerialLink.open(url)
    assert caught.value.code == "device-path"


def test_attack_socket_url_is_refused_and_nothing_connects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        with pytest.raises(DevicePathError):
            SerialLink.open(f"socket://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("path", ["", "ttyS0", "./tty", "../dev/tty", "/dev/tty\0x", "/dev/tty\nS0", "/dev/\x1b[2J"])
def test_attack_relative_or_odd_path_is_refused(path: str) -> None:
    with pytest.raises(DevicePathError) as caught:
        open_tty(path)
    assert str(caught.value).isprintable()


def test_attack_file_fifo_socket_and_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name in ("file", "fifo", "socket", "link", "."):
            with pytest.raises(DevicePathError, match="not a character device"):
                open_tty(str(tmp_path / name))


def test_attack_a_device_that_is_no_tty_is_refused() -> None:
    with pytest.raises(DevicePathError, match="/dev/null is not a tty"):
        open_tty("/dev/null")


def test_a_missing_device_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="plug the cable in") as caught:
        open_tty(str(tmp_path / "nothing"))
    assert caught.value.code == "link"


def test_a_line_that_another_process_opened_is_used_by_its_descriptor() -> None:
    master, slave = pty.openpty()
    with contextlib.closing(open_tty(os.ttyname(slave))) as port, SerialLink.over(HandedTty(os.dup(port.fileno()))):
        # The greeting.
        assert os.read(master, 1000)
    os.close(master)
    os.close(slave)


def test_attack_a_descriptor_that_is_no_tty_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(DevicePathError):
        HandedTty(file.fileno())


def test_a_kernel_without_locks_on_files_is_none_to_fail_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    master, slave = pty.openpty()
    open_tty(os.ttyname(slave)).close()
    os.close(master)
    os.close(slave)
