"""How long a reply stands, when what was read counts as new, and what failures cost: on a fake clock."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from undercroft_appliance.internal import Inbound, Way
from undercroft_appliance.port.codes import QUIET_SECONDS, SHOWN_SECONDS, Codes
from undercroft_protocol.errors import LinkError, QrError, ScreenError
from undercroft_protocol.qr.eye import Sight
from undercroft_protocol.qr.link import QrLink
from undercroft_protocol.qr.picture import Matrix, Picture
from undercroft_protocol.qr.sources import source_of
from undercroft_protocol.qr.stream import Format, Kind, Payload

PSBT = b"psbt\xff" + bytes(40)
BLANK = Picture(8, 8, bytes(64))


class Stand:
    """Camera, screen, eye and clock of one carrier of codes."""

    def __init__(self) -> None:
        self.now = 100.0
        self.texts: list[str] = []
        self.trouble: Exception | None = None
        self.shown: Sequence[Matrix] | None = None
        self.said: list[str] = []
        link = QrLink(self, self, self, clock=lambda: self.now, entropy=os.urandom)
        self.codes = Codes(link, self.said.append, clock=lambda: self.now)

    def fileno(self) -> int | None:
        return 0

    def picture(self, *, timeout: float) -> Picture | None:
        assert timeout == 0
        return BLANK

    def look(self, picture: Picture) -> list[Sight]:
        if isinstance(self.trouble, QrError):
            raise self.trouble
        return [Sight(text, ((0, 0), (7, 0), (7, 7), (0, 7))) for text in self.texts]

    def show(self, codes: Sequence[Matrix]) -> None:
        if isinstance(self.trouble, ScreenError):
            raise self.trouble
        self.shown = codes

    def blank(self) -> None:
        self.shown = None

    def close(self) -> None:
        self.shown = None

    def pumped(self, payload: Payload | None, *, after: float = 0.0) -> list[Inbound]:
        self.now += after
        self.texts = []
        if payload is not None:
            self.texts = [source_of(payload, version=20, entropy=os.urandom).next_symbol()]
        return self.codes.pump()


@pytest.fixture
def stand() -> Stand:
    return Stand()


UR_PSBT = Payload(Format.UR, Kind.PSBT, PSBT)


def lit(stand: Stand) -> bool:
    return stand.shown is not None


def test_a_reply_vanishes_after_its_time_and_the_port_wakes_up_for_it(stand: Stand) -> None:
    stand.codes.post(b"reply", Way.FAST)
    assert lit(stand)
    stand.pumped(None, after=SHOWN_SECONDS - 0.05)
    assert lit(stand)
    wait = stand.codes.wait_seconds()
    assert wait is not None
    assert wait <= 0.05
    stand.pumped(None, after=0.05)
    assert not lit(stand)
    assert stand.codes.wait_seconds() is None


def test_the_same_psbt_is_taken_once_while_it_is_shown_and_again_after_a_pause(stand: Stand) -> None:
    assert stand.pumped(UR_PSBT) == [Inbound(PSBT, Way.UR)]
    for _ in range(50):
        assert stand.pumped(UR_PSBT, after=1.0) == []
    stand.pumped(None, after=QUIET_SECONDS / 2)
    assert stand.pumped(UR_PSBT) == []
    stand.pumped(None, after=QUIET_SECONDS)
    assert stand.pumped(UR_PSBT) == [Inbound(PSBT, Way.UR)]


def test_attack_a_psbt_that_stays_in_sight_is_one_refusal_also_where_it_follows_a_reply(stand: Stand) -> None:
    stand.codes.post(b"the reply to another", Way.FAST)
    assert stand.pumped(UR_PSBT) == [Inbound(PSBT, Way.UR)]
    stand.codes.post(b"\xd2refused", Way.UR)
    for _ in range(50):
        assert stand.pumped(UR_PSBT, after=0.1) == []
        assert lit(stand)
    assert stand.pumped(UR_PSBT, after=SHOWN_SECONDS) == []
    assert not lit(stand)


@pytest.mark.parametrize("format_", [Format.UR, Format.BBQR])
def test_attack_what_is_no_message_is_not_handed_on(stand: Stand, format_: Format) -> None:
    for kind in (Kind.BYTES, Kind.PSBT):
        taken = stand.pumped(Payload(format_, kind, PSBT))
        assert bool(taken) is (kind is Kind.PSBT)


@pytest.mark.parametrize("format_", [Format.UR, Format.BBQR])
def test_attack_a_request_that_is_announced_as_a_psbt_is_not_handed_on(stand: Stand, format_: Format) -> None:
    assert stand.pumped(Payload(format_, Kind.PSBT, b"\xd2request")) == []


def test_attack_a_message_without_content_is_not_handed_on(stand: Stand) -> None:
    assert stand.pumped(Payload(Format.FAST, Kind.MESSAGE, b"")) == []


def test_attack_a_picture_on_which_the_reader_fails_costs_no_more_than_itself(stand: Stand) -> None:
    stand.trouble = QrError("zxing-cpp failed on a picture")
    for _ in range(100):
        assert stand.pumped(UR_PSBT) == []
    stand.trouble = None
    assert stand.pumped(UR_PSBT) == [Inbound(PSBT, Way.UR)]


def test_a_screen_that_takes_nothing_loses_the_reply_and_says_so(stand: Stand) -> None:
    stand.trouble = ScreenError("the terminal takes no more")
    stand.codes.post(b"reply", Way.FAST)
    assert stand.said == ["a reply was not shown [screen]: the terminal takes no more"]
    assert stand.codes.wait_seconds() is None
    stand.trouble = None
    stand.codes.post(b"reply", Way.FAST)
    assert lit(stand)


def test_a_screen_that_is_gone_is_the_end(stand: Stand) -> None:
    stand.trouble = ScreenError("the terminal is gone")
    stand.trouble.__cause__ = OSError(5, "Input/output error")
    with pytest.raises(LinkError, match="the terminal is gone"):
        stand.codes.post(b"reply", Way.FAST)


@pytest.mark.parametrize("format_", [Format.UR, Format.BBQR])
def test_attack_a_mirror_shows_a_reply_for_a_moment_longer_and_it_is_no_message(stand: Stand, format_: Format) -> None:
    reply = Payload(format_, Kind.PSBT, PSBT + b"signed")
    way = Way.BBQR if format_ is Format.BBQR else Way.UR
    stand.codes.post(reply.data, way)
    assert stand.pumped(reply, after=0.1) == []
    # The camera's pictures are behind what is done: one of before comes when the reply is off the screen already.
    assert stand.pumped(Payload(Format.FAST, Kind.MESSAGE, b"request")) == [Inbound(b"request", Way.FAST)]
    assert stand.pumped(reply, after=0.1) == []
    stand.codes.post(b"the next reply", Way.FAST)
    assert stand.pumped(reply, after=0.1) == []
