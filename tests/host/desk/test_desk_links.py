"""Opening links: each text leads to its carrier, what fails says what to do, and the host is as patient as it takes."""

from __future__ import annotations

import contextlib
import os
import pty
import termios
from pathlib import Path

import pytest

from exchange import NOW, Ticking
from facing import Pane
from scripted_appliance import QUORUM, VAULT, ScriptedAppliance
from undercroft_host.config import QrDesk
from undercroft_host.desk import qr_desk
from undercroft_host.desk.links import open_link, unplugged
from undercroft_host.desk.talk import ANSWER_SECONDS, STATUS_SECONDS, ApplianceSession
from undercroft_host.errors import ApplianceUnplugged, LinkInvalid
from undercroft_host.store.engine import Store
from undercroft_protocol import cose
from undercroft_protocol.errors import CameraError, FolderFileError, LinkError, QrSizeError, ScreenError
from undercroft_protocol.file_link import FileLink
from undercroft_protocol.messages import LogReply, LogRequest, open_request
from undercroft_protocol.qr.camera.y4m_stream import header
from undercroft_protocol.qr.link import QrLink, QrSettings


def test_a_folder_is_opened_as_it_stands_in_the_link(tmp_path: Path) -> None:
    assert isinstance(open_link(f"file:{tmp_path}"), FileLink)
    with pytest.raises(ApplianceUnplugged) as raised:
        open_link(f"file:{tmp_path}/none")
    assert "folder" in raised.value.hint


def test_attack_a_path_of_something_else_is_no_link_and_one_of_nothing_is_unplugged(tmp_path: Path) -> None:
    for path in (str(tmp_path), "/dev/null"):
        with pytest.raises(LinkInvalid, match="is not a"):
            open_link(f"serial:{path}")
    with pytest.raises(ApplianceUnplugged, match="plug the cable in"):
        open_link(f"serial:{tmp_path}/none")


def test_a_serial_line_is_opened_at_the_speed_that_its_link_names() -> None:
    master, slave = pty.openpty()
    try:
        for rate, speed in (("", termios.B115200), (",57600", termios.B57600)):
            with contextlib.closing(open_link(f"serial:{os.ttyname(slave)}{rate}")):
                assert termios.tcgetattr(slave)[4:6] == [speed, speed]
    finally:
        os.close(master)
        os.close(slave)


@pytest.fixture
def camera(tmp_path: Path) -> str:
    (tmp_path / "film").write_bytes(header(32, 24, 30))
    return f"y4m:{tmp_path}/film"


def test_a_qr_link_is_made_of_the_desks_camera_and_screen_or_its_own(
    camera: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def open_screen(text: str) -> Pane:
        opened.append(text)
        return Pane()

    monkeypatch.setattr(qr_desk, "open_screen", open_screen)
    desk = QrDesk(camera=camera, screen="/dev/tty7", version=11)
    assert isinstance(open_link("qr", desk), QrLink)
    assert isinstance(open_link(f"qr:{camera},window", desk), QrLink)
    assert opened == ["/dev/tty7", "window"]


def test_a_camera_that_was_opened_is_given_back_when_the_screen_cannot_be(
    camera: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []

    class Camera:
        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr(qr_desk, "open_camera", lambda _: Camera())
    with pytest.raises(ApplianceUnplugged) as raised:
        open_link("qr:/dev/video0,/dev/null")
    assert closed
    assert "--link" in raised.value.hint


@pytest.mark.parametrize("error", [CameraError("x"), ScreenError("x"), QrSizeError("x"), FolderFileError("x")])
def test_each_failure_of_a_carrier_has_its_own_advice(error: LinkError) -> None:
    assert unplugged("alice", error).hint != ApplianceUnplugged.default_hint
    assert "alice: x" in str(unplugged("alice", error))


def test_the_settings_of_a_desk_are_those_of_a_link() -> None:
    desk = QrDesk()
    assert QrSettings(desk.version, desk.codes, desk.pictures_per_second) == QrSettings()


@pytest.mark.parametrize(("link", "seconds"), [("serial:/dev/alice", 0), ("qr", 120), ("file:/stick", 86_400)])
def test_a_slower_carrier_gets_more_time_and_its_requests_live_longer(
    store: Store, clock: Ticking, alice: ScriptedAppliance, link: str, seconds: int
) -> None:
    waited: list[float] = []
    opened: list[str] = []
    receive = alice.receive

    def waiting(*, timeout: float) -> bytes:
        waited.append(timeout)
        return receive(timeout=timeout)

    def opener(text: str) -> ScriptedAppliance:
        opened.append(text)
        return alice

    alice.receive = waiting  # type: ignore[method-assign]
    with ApplianceSession(
        store, "test", "alice", VAULT, clock, quorum_id=QUORUM.id, link=link, opener=opener, monotonic=lambda: 0.0
    ) as talk:
        talk.ask(LogRequest(0), LogReply)
    assert opened == [link]
    assert waited == [STATUS_SECONDS + seconds, ANSWER_SECONDS + seconds]
    expires = [open_request(one, cose.read(one), (QUORUM.vault_key,)).header.expires for one in alice.heard]
    assert expires == [NOW + 60 + seconds, NOW + 120 + seconds]
