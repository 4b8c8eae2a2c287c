"""USB by a folder that looks like the kernel's: what came before the start is used, what comes later is not let in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from undercroft_appliance.boot import usb


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    """Two buses, and a keyboard on the first."""
    place = tmp_path / "devices"
    for name in ("usb1", "usb2", "1-1", "1-1:1.0"):
        (place / name).mkdir(parents=True)
    for bus in ("usb1", "usb2"):
        (place / bus / "authorized_default").write_text("1\n")
    (tmp_path / "authorized_default").write_text("-1\n")
    return place


def plug_in(devices: Path, name: str) -> None:
    (devices / name).mkdir()


def test_attack_no_bus_lets_in_what_is_plugged_in_after_the_start(devices: Path) -> None:
    later = devices.parent / "authorized_default"
    assert usb.refuse_newcomers(devices, later).is_good
    switches = [devices / bus / "authorized_default" for bus in ("usb1", "usb2")]
    assert [switch.read_text() for switch in (*switches, later)] == ["0"] * 3


def test_attack_a_bus_that_goes_on_to_let_devices_in_is_found(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: 1)
    found = usb.refuse_newcomers(devices, devices.parent / "authorized_default")
    assert not found.is_good
    assert "authorized_default" in found.seen


def test_a_bus_that_cannot_be_asked_is_found(devices: Path) -> None:
    (devices / "usb1/authorized_default").unlink()
    (devices / "usb1/authorized_default").mkdir()
    assert not usb.refuse_newcomers(devices, devices / "none").is_good


def test_a_machine_without_usb_has_nothing_to_refuse_and_does_not_wait(tmp_path: Path) -> None:
    assert usb.refuse_newcomers(tmp_path / "none", tmp_path / "none").is_good
    began = time.monotonic()
    usb.wait_until_settled(tmp_path / "none")
    assert time.monotonic() - began < usb.SETTLED_SECONDS


class Clock:
    """Time that passes only by waiting; ``at``: what is plugged in when."""

    def __init__(self, devices: Path, at: dict[float, str]) -> None:
        self.now, self._devices, self._at = 0.0, devices, at

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for when in [when for when in self._at if when <= self.now]:
            plug_in(self._devices, self._at.pop(when))


@pytest.mark.parametrize(
    ("at", "settled"),
    [
        ({}, 0.0),
        ({1.5: "1-2"}, 1.5),
        # A hub, and behind it, each found later than the last, a keyboard and a camera.
        ({1.0: "1-2", 2.5: "1-2.1", 4.0: "1-2.2"}, 4.0),
        ({2.5: "1-2"}, 0.0),
    ],
)
def test_usb_is_waited_for_while_it_still_finds_something(
    devices: Path, monkeypatch: pytest.MonkeyPatch, at: dict[float, str], settled: float
) -> None:
    clock = Clock(devices, at)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    usb.wait_until_settled(devices)
    assert 0 <= clock.now - settled - usb.SETTLED_SECONDS <= 0.1


def test_attack_a_device_that_comes_and_goes_does_not_hold_up_the_start(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(devices, {float(second): f"1-9.{second}" for second in range(1, 60)})
    monkeypatch.setattr(time, "sleep", clock.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    usb.wait_until_settled(devices)
    assert usb.MOST_SECONDS <= clock.now <= usb.MOST_SECONDS + 0.1
