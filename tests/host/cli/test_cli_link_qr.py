"""The operator's commands over codes: a camera and a screen in the place of a cable, and the same answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_support import Line
from exchange import Ticking
from facing import Facing, face_to_face
from psbt_examples import PsbtAppliance, signed_by, unsigned_psbt
from scripted_appliance import NAMES, ScriptedAppliance, cleared_payment, found
from undercroft_host.cli import app as cli_app
from undercroft_host.cli.live import LiveLine
from undercroft_host.link_text import QrText, parse_link
from undercroft_protocol.errors import ScreenError
from undercroft_protocol.link import Link
from undercroft_protocol.messages import LogFile
from undercroft_protocol.qr.link import QrSettings, Seen
from undercroft_protocol.qr.stream import Format, Gathered, Kind, Payload


class Desk:
    """A desk before which one appliance stands at a time; ``before`` is done when a link was opened."""

    def __init__(self) -> None:
        self.appliance: ScriptedAppliance | None = None
        self.stray: bytes | None = None
        self.loss = 0.0
        self.facing: list[Facing] = []

    def open(self, link: str, *_: object, **__: object) -> Link:
        assert isinstance(parse_link(link), QrText)
        facing = face_to_face(settings=QrSettings(version=12), loss=self.loss)
        facing.answer = self._answer
        if self.stray is not None:
            facing.far.show(Payload(Format.FAST, Kind.MESSAGE, self.stray))
        self.facing.append(facing)
        return facing.near

    def _answer(self, payload: Payload) -> Payload | None:
        if self.appliance is None:
            return None
        self.appliance.heard.append(payload.data)
        return Payload(payload.format, payload.kind, self.appliance.reply(payload.data))


@pytest.fixture
def line(line: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    store = line.store()
    found(store)
    store.close()
    return line


@pytest.fixture
def desk(line: Line, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()
    monkeypatch.setattr(cli_app, "open_link", made.open)
    return made


def test_a_payment_is_signed_over_codes_though_pictures_are_lost(line: Line, desk: Desk, clock: Ticking) -> None:
    store = line.store()
    payment = str(cleared_payment(store, clock))
    store.close()
    desk.loss = 0.2
    for name in NAMES[:2]:
        desk.appliance = PsbtAppliance(name)
        line.json("payment", "send", payment, "--to", name, "--link", "qr")
    assert line.json("payment", "show", payment)["state"] == "signed"
    assert all(facing.near_pane.closed for facing in desk.facing)


def test_a_psbt_is_signed_over_codes(line: Line, desk: Desk, tmp_path: Path) -> None:
    desk.appliance = PsbtAppliance("alice")
    psbt, out = unsigned_psbt(0).serialize(), tmp_path / "out.psbt"
    (tmp_path / "in.psbt").write_bytes(psbt)
    line.json("psbt", "sign", str(tmp_path / "in.psbt"), "--to", "alice", "--link", "qr", "--out", str(out))
    assert out.read_bytes() == signed_by("alice", psbt)


def test_the_log_comes_out_over_codes(line: Line, desk: Desk, tmp_path: Path) -> None:
    desk.appliance = PsbtAppliance("alice")
    for _ in range(3):
        desk.appliance.note("signed")
    out = tmp_path / "alice.log"
    told = line.json("appliance", "log", "alice", "--link", "qr", "--out", str(out))
    assert (told["entries"], told["whole"]) == (3, True)
    assert len(LogFile.from_bytes(out.read_bytes()).entries) == 3


def test_an_old_answer_that_an_appliance_still_shows_is_passed_over(line: Line, desk: Desk) -> None:
    desk.appliance = PsbtAppliance("alice")
    line.json("appliance", "show", "alice", "--link", "qr")
    desk.stray = desk.appliance.reply(desk.appliance.heard[-1])
    assert line.json("appliance", "show", "alice", "--link", "qr")["state"] == "armed"
    assert len(desk.appliance.heard) == 2


def test_nobody_before_the_camera_is_an_appliance_that_is_silent(
    line: Line, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QrText, "patience_seconds", 0)
    error = line.error("appliance", "show", "alice", "--link", "qr", code=7)
    assert error["code"] == "appliance-silent"
    assert "no code in" in error["message"]


def test_a_terminal_without_room_for_the_codes_is_told_with_what_to_do(
    line: Line, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(_: object, codes: object) -> None:
        raise ScreenError("25 columns and 29 rows are missing on this terminal of 80 x 24")

    monkeypatch.setattr("facing.Pane.show", show)
    error = line.error("appliance", "show", "alice", "--link", "qr", code=7)
    assert "25 columns and 29 rows are missing" in error["message"]
    assert "--link" in error["hint"]


# --- the line that says how far it is ---------------------------------------------------------------------------

SEEN = Seen(30, 12, Gathered(3, 7), 9.96, None)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_in_a_log_the_line_is_rare_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with LiveLine(clock=clock) as live:
        for _ in range(250):
            clock.now += 0.1
            live.say(SEEN)
    assert capsys.readouterr().err == "3 of 7 codes; 30 pictures, 10.0 new codes/s\n" * 2


def test_on_a_terminal_it_changes_in_place_and_is_cleared_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    clock = Clock()
    with LiveLine(clock=clock) as live:
        for _ in range(10):
            clock.now += 0.1
            live.say(SEEN)
    said = capsys.readouterr().err
    assert said.count("3 of 7 codes") == 5
    assert "\n" not in said
    assert said.endswith("\r\x1b[K")


def test_there_is_no_line_on_the_terminal_that_shows_the_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not LiveLine().is_on("/dev/tty")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.fileno", lambda: 2)
    monkeypatch.setattr("os.ttyname", lambda _: "/dev/pts/3")
    assert [LiveLine().is_on(screen) for screen in ("/dev/tty", "tty:/dev/pts/3", "/dev/pts/4", "window")] == [
        True,
        True,
        False,
        False,
    ]
