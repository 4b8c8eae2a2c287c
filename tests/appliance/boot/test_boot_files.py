"""Mounts and settings in their order, with calls that are written down; and the USB gadget's tree in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from undercroft_appliance.boot import files, gadget, kernel_calls
from undercroft_appliance.boot.kernel_calls import NO_DEVICES, NO_PROGRAMS, NO_SETUID, READ_ONLY, REMOUNT
from undercroft_appliance.errors import BootError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    made: list[tuple[object, ...]] = []

    def write_text(path: Path, text: str, **_: object) -> int:
        made.append(("write", str(path), text))
        return len(text)

    monkeypatch.setattr(files, "mount", lambda *words: made.append(("mount", *words)))
    monkeypatch.setattr(Path, "write_text", write_text)
    return made


def test_attack_nothing_that_is_mounted_has_programs_or_gives_rights(calls: list[tuple[object, ...]]) -> None:
    files.mount_all()
    for _, kind, place, flags, *_ in calls:
        assert isinstance(flags, int)
        assert flags & NO_PROGRAMS
        assert flags & NO_SETUID
        assert bool(flags & NO_DEVICES) is (kind != "devtmpfs"), place
    assert [call[2] for call in calls] == ["/proc", "/sys", "/dev", "/sys/kernel/security"]


def test_the_root_is_made_read_only_after_everything_is_set(calls: list[tuple[object, ...]]) -> None:
    files.seal()
    assert calls[-1] == ("mount", "rootfs", "/", REMOUNT | READ_ONLY | NO_SETUID | NO_DEVICES)
    written = {str(call[1]).removeprefix("/proc/sys/"): call[2] for call in calls[:-1]}
    assert written["kernel/yama/ptrace_scope"] == "3\n"
    # Or else Ctrl-Alt-Del starts the machine anew with keys in its memory.
    assert written["kernel/ctrl-alt-del"] == "0\n"


def test_attack_a_setting_that_is_not_taken_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "write_text", refuses)
    with pytest.raises(BootError, match="cannot be set"):
        files.seal()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may mount")
def test_a_mount_that_fails_is_told() -> None:
    with pytest.raises(BootError, match="is not mounted at"):
        kernel_calls.mount("proc", "/nowhere", 0)


def test_the_gadget_is_one_serial_port_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "udc" / "fe980000.usb").mkdir(parents=True)
    place = tmp_path / "usb_gadget" / "undercroft"
    gadget.describe(place, tmp_path / "udc")
    assert (place / "UDC").read_text() == "fe980000.usb"
    assert [path.name for path in (place / "functions").iterdir()] == ["acm.usb0"]
    assert (place / "configs/c.1/acm.usb0").readlink() == place / "functions/acm.usb0"
    # Attack: a host's program that tells which owner's appliance this is.
    assert (place / "strings/0x409/serialnumber").read_text() == "0"


def test_a_usb_port_that_cannot_be_a_device_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gadget, "_WAIT_SECONDS", 0.0)
    with pytest.raises(BootError, match="cannot be a device"):
        gadget.describe(tmp_path / "gadget", tmp_path / "udc")
    (tmp_path / "taken").write_text("")
    with pytest.raises(BootError, match="does not become a serial port"):
        gadget.describe(tmp_path / "taken" / "gadget", tmp_path / "udc")
