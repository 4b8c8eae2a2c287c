"""Messages between two screens and two cameras: nobody acknowledges, and still each message arrives once."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from facing import Blind, Bytes, Facing, Pane, Room, Watching, face_to_face
from undercroft_protocol.errors import CameraError, LinkError, LinkTimeoutError, QrError, QrSizeError, ScreenError
from undercroft_protocol.link import Progress
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.eye import Sight, eye_by_name
from undercroft_protocol.qr.fast import FastSource
from undercroft_protocol.qr.link import QrLink, QrSettings, Seen
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.stream import Format, Gathered, Kind, Payload

REQUEST = random.Random(1).randbytes(1500)
REPLY = random.Random(2).randbytes(2500)
PSBT = b"psbt\xff" + random.Random(3).randbytes(1200)


def message(data: bytes) -> Payload:
    return Payload(Format.FAST, Kind.MESSAGE, data)


def answering(facing: Facing, reply: bytes) -> None:
    facing.answer = lambda _: message(reply)


def test_a_request_and_its_reply_go_over() -> None:
    facing = face_to_face()
    answering(facing, REPLY)
    facing.near.send(REQUEST, timeout=5)
    assert facing.near.receive(timeout=30) == REPLY
    assert facing.heard == [message(REQUEST)]


@pytest.mark.parametrize("loss", [0.1, 0.5])
@pytest.mark.parametrize("codes", [1, 2])
def test_lost_pictures_cost_time_and_nothing_else(loss: float, codes: int) -> None:
    facing = face_to_face(settings=QrSettings(version=10, codes=codes), loss=loss)
    answering(facing, REPLY)
    facing.near.send(REQUEST, timeout=5)
    assert facing.near.receive(timeout=60) == REPLY
    assert facing.heard == [message(REQUEST)]


def test_the_screen_is_blank_once_the_reply_is_there() -> None:
    facing = face_to_face()
    answering(facing, REPLY)
    facing.near.send(REQUEST, timeout=5)
    assert facing.near_pane.codes
    facing.near.receive(timeout=30)
    assert not facing.near_pane.codes
    shown = facing.near_pane.shown
    facing.near.pump()
    assert facing.near_pane.shown == shown


def test_many_conversations_each_get_their_own_reply() -> None:
    facing = face_to_face()
    facing.answer = lambda payload: message(b"to " + payload.data)
    for number in range(5):
        facing.near.send(b"request %d" % number, timeout=5)
        assert facing.near.receive(timeout=30) == b"to request %d" % number
    assert len(facing.heard) == 5


def test_the_same_request_again_is_heard_again() -> None:
    facing = face_to_face()
    answering(facing, REPLY)
    for _ in range(2):
        facing.near.send(REQUEST, timeout=5)
        assert facing.near.receive(timeout=30) == REPLY
    assert facing.heard == [message(REQUEST)] * 2


def test_a_stray_old_reply_on_the_other_screen_comes_first_and_the_request_is_still_shown() -> None:
    facing = face_to_face()
    facing.far.show(message(b"a reply to an earlier host"))
    facing.far.pump()
    facing.near.send(REQUEST, timeout=5)
    assert facing.near.receive(timeout=30) == b"a reply to an earlier host"
    answering(facing, REPLY)
    assert facing.near.receive(timeout=30) == REPLY
    assert facing.heard == [message(REQUEST)]


def test_a_link_that_is_opened_while_the_other_side_shows_loses_nothing() -> None:
    facing = face_to_face()
    facing.far.show(message(REPLY))
    for _ in range(40):
        facing.room.pass_time(0.1)
    assert facing.near.receive(timeout=30) == REPLY


def test_a_psbt_is_answered_in_the_format_in_which_it_came() -> None:
    for form in (Format.UR, Format.BBQR):
        facing = face_to_face()
        facing.answer = lambda payload: Payload(payload.format, payload.kind, payload.data + b"signed")
        facing.near.show(Payload(form, Kind.PSBT, PSBT))
        found: list[Payload] = []
        while not found and facing.room.now < 60:
            found = facing.near.pump()
            facing.room.pass_time(1 / 30)
        assert facing.heard == [Payload(form, Kind.PSBT, PSBT)]
        assert found == [Payload(form, Kind.PSBT, PSBT + b"signed")]


def test_a_psbt_in_a_form_that_is_only_read_is_answered_in_ur() -> None:
    facing = face_to_face()
    facing.far.show(Payload(Format.PMOFN, Kind.PSBT, PSBT))
    found: list[Payload] = []
    while not found and facing.room.now < 60:
        facing.room.pass_time(1 / 30)
        found = facing.near.pump()
    assert found == [Payload(Format.UR, Kind.PSBT, PSBT)]


def test_what_is_no_message_is_passed_over_while_a_message_is_awaited() -> None:
    facing = face_to_face()
    facing.far.show(Payload(Format.UR, Kind.PSBT, PSBT))
    with pytest.raises(LinkTimeoutError):
        facing.near.receive(timeout=10)
    facing.far.show(message(REPLY))
    assert facing.near.receive(timeout=30) == REPLY


def test_a_reply_that_never_comes_says_what_is_missing() -> None:
    facing = face_to_face()
    facing.near.send(REQUEST, timeout=5)
    with pytest.raises(LinkTimeoutError, match=r"no code in [0-9]+ pictures") as error:
        facing.near.receive(timeout=3)
    assert "3 s" in str(error.value)
    assert facing.near_pane.codes


def test_a_reply_that_stops_half_way_says_how_many_codes_came() -> None:
    facing = face_to_face()
    source = FastSource(REPLY, version=10, session=b"half")
    facing.far_pane.codes = [draw(source.next_symbol())]
    with pytest.raises(LinkTimeoutError, match=f"1 of {source.count} codes"):
        facing.near.receive(timeout=1)


def test_a_camera_that_gives_nothing_is_told_apart_from_one_that_sees_nothing() -> None:
    room = Room()
    link = QrLink(Blind(room), Pane(), eye_by_name("zxing"), clock=room, entropy=Bytes(1))
    with pytest.raises(LinkTimeoutError, match="the camera gave no picture"):
        link.receive(timeout=2)
    assert room.now == pytest.approx(2, abs=0.1)


def test_codes_that_are_no_message_are_named_in_the_report() -> None:
    facing = face_to_face()
    facing.far_pane.codes = [draw("HTTPS://EXAMPLE.COM/MENU")]
    with pytest.raises(LinkTimeoutError, match=r"no message in [0-9]+ codes"):
        facing.near.receive(timeout=1)


def test_a_camera_that_is_unplugged_in_the_middle_ends_it_at_once() -> None:
    facing = face_to_face()
    answering(facing, REPLY)
    facing.near.send(REQUEST, timeout=5)
    facing.room.others.append(lambda: setattr(facing.near_camera, "unplugged", facing.room.now > 0.2))
    with pytest.raises(CameraError, match="unplugged"):
        facing.near.receive(timeout=30)
    assert facing.room.now < 1
    facing.near.close()
    assert facing.near_pane.closed
    assert facing.near_camera.closed


def test_a_screen_that_fails_at_the_end_does_not_keep_the_camera() -> None:
    class Stuck(Pane):
        def close(self) -> None:
            raise ScreenError("the terminal is gone")

    camera = Watching(Pane(), Room())
    link = QrLink(camera, Stuck(), eye_by_name("zxing"))
    with pytest.raises(ScreenError):
        link.close()
    assert camera.closed


def test_a_screen_that_is_too_small_is_said_when_sending_begins() -> None:
    class Small(Pane):
        def show(self, codes: object) -> None:
            raise ScreenError("20 columns are missing")

    room = Room()
    link = QrLink(Watching(Pane(), room), Small(), eye_by_name("zxing"), clock=room)
    with pytest.raises(ScreenError, match="20 columns"):
        link.send(REQUEST, timeout=5)


@pytest.mark.parametrize("size", [0, 5001])
def test_a_message_of_no_or_too_many_bytes_is_refused(size: int) -> None:
    room, pane = Room(), Pane()
    link = QrLink(Watching(Pane(), room), pane, eye_by_name("zxing"), clock=room, limit=5000)
    with pytest.raises(LinkError, match="limit"):
        link.send(bytes(size), timeout=5)
    assert not pane.shown


def test_attack_a_reply_beyond_the_limit_is_never_put_together() -> None:
    room, pane, other = Room(), Pane(), Pane()
    link = QrLink(Watching(other, room), pane, eye_by_name("zxing"), clock=room, limit=1000)
    source = FastSource(random.Random(4).randbytes(3000), version=10, session=b"long")
    room.others.append(lambda: other.show([draw(source.next_symbol())]))
    with pytest.raises(LinkTimeoutError):
        link.receive(timeout=5)


def test_attack_a_mirror_in_front_of_the_camera_is_not_the_other_side() -> None:
    room, pane = Room(), Pane()
    link = QrLink(Watching(pane, room), pane, eye_by_name("zxing"), settings=QrSettings(version=10), clock=room)
    link.send(REQUEST, timeout=5)
    with pytest.raises(LinkTimeoutError):
        link.receive(timeout=5)
    assert link.seen.codes > 20


@pytest.mark.parametrize(("seconds", "given"), [(2.9, 0), (3.1, 1)])
def test_attack_what_was_shown_until_now_is_not_the_other_side_for_three_seconds(seconds: float, given: int) -> None:
    room, seen = Room(), Pane()
    link = QrLink(Watching(seen, None), Pane(), eye_by_name("zxing"), settings=QrSettings(10), clock=room)
    link.send(b"ours", timeout=5)
    link.blank()
    room.now += seconds
    seen.show([draw(FastSource(b"ours", version=10, session=b"abcd").next_symbol())])
    assert len(link.pump()) == given


def test_attack_a_picture_on_which_the_library_fails_does_not_end_the_scan() -> None:
    class Fragile:
        def __init__(self) -> None:
            self.looked = 0

        def look(self, picture: Picture) -> list[Sight]:
            self.looked += 1
            if self.looked % 2:
                raise QrError("the library failed")
            return eye_by_name("zxing").look(picture)

    room, other = Room(), Pane()
    link = QrLink(Watching(other, room), Pane(), Fragile(), clock=room)
    source = FastSource(REPLY, version=10, session=b"abcd")
    room.others.append(lambda: other.show([draw(source.next_symbol())]))
    assert link.receive(timeout=30) == REPLY


def test_pictures_come_at_the_pace_that_was_asked_for_and_never_in_a_rush() -> None:
    room, pane = Room(), Pane()
    link = QrLink(
        Watching(Pane(), None), pane, eye_by_name("zxing"), settings=QrSettings(10, 1, 10), clock=room, entropy=Bytes(1)
    )
    link.send(REQUEST, timeout=5)
    shown = []
    for _ in range(100):
        room.now += 0.02
        link.pump()
        shown.append(pane.shown)
    assert shown[-1] == pytest.approx(20, abs=1)
    room.now += 10
    for _ in range(5):
        link.pump()
    assert pane.shown - shown[-1] == 1
    assert link.wait_seconds() == pytest.approx(0.05)


def test_nothing_is_waited_for_when_nothing_is_shown() -> None:
    facing = face_to_face()
    assert facing.near.wait_seconds() is None
    facing.near.send(REQUEST, timeout=5)
    assert facing.near.wait_seconds() is not None
    facing.near.cancel()
    assert facing.near.wait_seconds() is None
    assert not facing.near_pane.codes


def test_a_short_message_is_one_still_code_however_many_may_be_shown() -> None:
    facing = face_to_face(settings=QrSettings(version=20, codes=6))
    facing.near.send(b"short", timeout=5)
    assert len(facing.near_pane.codes) == 1
    assert facing.near_pane.codes[0].version < 20


def test_progress_rises_to_the_whole_message_both_ways() -> None:
    facing = face_to_face()
    answering(facing, REPLY)
    steps: list[Progress] = []
    seen: list[Seen] = []
    link = QrLink(
        facing.near_camera,
        facing.near_pane,
        eye_by_name("zxing"),
        settings=QrSettings(version=10),
        clock=facing.room,
        entropy=Bytes(1),
        on_progress=steps.append,
        on_seen=seen.append,
    )
    link.send(REQUEST, timeout=5)
    link.receive(timeout=30)
    assert [step.received_bytes for step in steps] == sorted(step.received_bytes for step in steps)
    assert all(one != another for one, another in pairwise(steps))
    assert steps[-1].sent_bytes == steps[-1].total_bytes == len(REQUEST)
    assert steps[-1].received_bytes == steps[-1].expected_bytes > 0
    assert seen[-1].pictures == len(seen)
    assert seen[-1].codes > 0
    assert max(one.symbols_per_second for one in seen) > 1


def test_of_a_message_so_much_is_sent_as_codes_of_it_were_shown() -> None:
    room = Room()
    link = QrLink(
        Watching(Pane(), None), Pane(), eye_by_name("zxing"), settings=QrSettings(10), clock=room, entropy=Bytes(1)
    )
    # Twelve codes.
    link.send(random.Random(1).randbytes(3000), timeout=5)
    sent = [link.progress().sent_bytes]
    for _ in range(15):
        room.now += 0.11
        link.pump()
        sent.append(link.progress().sent_bytes)
    assert sent == [250 * min(shown, 12) for shown in range(1, 17)]
    assert link.progress() == Progress(3000, 3000, 0, 0)
    link.blank()
    assert link.progress() == Progress(0, 0, 0, 0)


def test_a_psbt_that_is_shown_once_more_is_given_once_more_when_it_was_forgotten() -> None:
    facing = face_to_face()
    for number in range(2):
        facing.near.show(Payload(Format.UR, Kind.PSBT, PSBT))
        for _ in range(100):
            facing.near.pump()
            facing.room.pass_time(1 / 30)
        assert len(facing.heard) == number + 1
        facing.far.forget()


def test_a_camera_without_a_descriptor_cannot_be_waited_for() -> None:
    with pytest.raises(CameraError):
        face_to_face().near.fileno()


@pytest.mark.parametrize("values", [(4, 1, 10), (41, 1, 10), (20, 0, 10), (20, 13, 10), (20, 1, 0), (20, 1, 61)])
def test_settings_are_bounded(values: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="version 5 to 40"):
        QrSettings(*values)


def test_a_message_that_no_codes_of_this_version_hold_says_so() -> None:
    room = Room()
    link = QrLink(
        Watching(Pane(), room),
        Pane(),
        eye_by_name("zxing"),
        settings=QrSettings(version=5),
        clock=room,
        entropy=Bytes(1),
    )
    with pytest.raises(QrSizeError, match="larger version"):
        link.send(random.Random(5).randbytes(3_000_000), timeout=5)


def test_what_is_seen_is_said_in_words() -> None:
    assert Seen(5, 9, Gathered(3, 7), 1.0, None).missing == "3 of 7 codes"
    assert Seen(5, 9, Gathered(0, 0), 0.0, QrError("no such format")).missing == (
        "no message in 9 codes; the last one: no such format"
    )
