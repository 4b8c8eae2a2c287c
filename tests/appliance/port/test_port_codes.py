"""The port's process with a real camera stream and a real terminal: distorted codes in, codes out, walls around it."""

from __future__ import annotations

import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.port.codes_support import HEIGHT, PSBT, WIDTH, Outside, fast
from appliance.port.port_support import PATIENCE_SECONDS, Port, devices
from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.internal import Codes, Inbound, Outbound, Way
from undercroft_appliance.port import codes
from undercroft_appliance.port.__main__ import MOST_MEMORY_BYTES
from undercroft_appliance.port.relay import MAX_WAITING
from undercroft_demo.cable import Cable
from undercroft_protocol.codec import Value
from undercroft_protocol.qr.camera.y4m_stream import header
from undercroft_protocol.qr.eye import Sight
from undercroft_protocol.qr.eye.zxing import ZxingEye
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.stream import Format, Kind, Payload
from undercroft_protocol.serial.link import SerialLink

MESSAGE = random.Random(4).randbytes(3000)
UR_PSBT = Payload(Format.UR, Kind.PSBT, PSBT)
BBQR_PSBT = Payload(Format.BBQR, Kind.PSBT, PSBT)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    there = Outside(tmp_path)
    yield there
    there.close()


@pytest.fixture
def port(outside: Outside, tmp_path: Path) -> Iterator[Port]:
    started = Port(tmp_path / "port.log", *outside.options)
    outside.plug()
    yield started
    started.close()


def heard(port: Port) -> bool:
    return bool(select.select([port.keeper], [], [], 0)[0])


def sent(outside: Outside, port: Port, payload: Payload) -> Value:
    """What the keeper gets of a payload that is shown to the port."""
    outside.show(payload, lambda: heard(port))
    message = port.received()
    assert message is not None
    return message


def times(number: int) -> Callable[[], bool]:
    """For so many pictures."""
    left = iter(range(number))
    return lambda: next(left, None) is None


def says(port: Port, text: str) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while text not in port.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    return text in port.log.read_text()


def test_a_message_comes_in_and_its_reply_goes_out_by_distorted_codes(outside: Outside, port: Port) -> None:
    assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)
    port.keeper.send(Outbound(MESSAGE[::-1], Way.FAST))
    assert outside.read() == fast(MESSAGE[::-1])


@pytest.mark.parametrize(("payload", "way"), [(UR_PSBT, Way.UR), (BBQR_PSBT, Way.BBQR)], ids=["UR", "BBQr"])
def test_a_psbt_is_answered_in_its_own_format(outside: Outside, port: Port, payload: Payload, way: Way) -> None:
    assert sent(outside, port, payload) == Inbound(PSBT, way)
    signed = PSBT + b"signed"
    port.keeper.send(Outbound(signed, way))
    assert outside.read() == Payload(payload.format, Kind.PSBT, signed)


def test_a_refusal_of_a_psbt_is_shown_as_bytes_that_the_host_can_read(outside: Outside, port: Port) -> None:
    for way in (Way.UR, Way.BBQR):
        port.keeper.send(Outbound(b"\xd2refusal" + bytes((way,)), way))
        assert outside.read() == Payload(Format.UR, Kind.BYTES, b"\xd2refusal" + bytes((way,)))
        port.keeper.send(Codes(b""))
        assert outside.goes_dark()


def test_a_new_message_takes_the_reply_to_the_last_one_off_the_screen(outside: Outside, port: Port) -> None:
    port.keeper.send(Outbound(b"old", Way.FAST))
    assert outside.read() == fast(b"old")
    assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)
    assert outside.goes_dark()


def test_the_keeper_shows_its_log_and_blanks_the_screen(outside: Outside, port: Port) -> None:
    port.keeper.send(Codes(MESSAGE))
    assert outside.read() == fast(MESSAGE)
    port.keeper.send(Codes(b""))
    assert outside.goes_dark()


def test_the_same_psbt_counts_as_new_once_its_reply_was_taken_off(outside: Outside, port: Port) -> None:
    for _ in range(2):
        assert sent(outside, port, UR_PSBT) == Inbound(PSBT, Way.UR)
        port.keeper.send(Outbound(b"\xd2busy", Way.UR))
        assert outside.read().data == b"\xd2busy"
        port.keeper.send(Codes(b""))
        assert outside.goes_dark()


def test_each_reply_goes_the_way_of_its_message(outside: Outside, tmp_path: Path) -> None:
    with Cable.started(tmp_path, "line") as cable, SerialLink.open(cable.host_path) as host:
        port = Port(tmp_path / "port.log", "--line", cable.appliance_path, *outside.options)
        try:
            assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)
            host.send(b"by the line", timeout=PATIENCE_SECONDS)
            assert port.received() == Inbound(b"by the line", Way.LINE)
            port.keeper.send(Outbound(b"to the line", Way.LINE))
            port.keeper.send(Outbound(b"to the screen", Way.FAST))
            assert host.receive(timeout=PATIENCE_SECONDS) == b"to the line"
            assert outside.read() == fast(b"to the screen")
        finally:
            port.close()


def test_attack_garbage_in_place_of_pictures_leaves_the_port_working(outside: Outside, port: Port) -> None:
    noise = random.Random(5)
    outside.put(b"FRAME\n" + noise.randbytes(WIDTH * HEIGHT))
    outside.put(noise.randbytes(30_000))
    outside.put(header(WIDTH, HEIGHT, 15) + b"FRAME\n" + bytes(1000))
    outside.put(header(WIDTH, HEIGHT, 15))
    assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)


def test_attack_codes_of_strangers_never_reach_the_keeper(outside: Outside, port: Port) -> None:
    for number in range(12):
        outside.film(f"https://example.com/{number}")
        outside.film(f"{number:09}{'7' * 100}")
    outside.show(Payload(Format.UR, Kind.BYTES, b"somebody's backup" * 20), times(6))
    assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)


def test_attack_a_flood_while_the_keeper_is_busy_is_dropped_and_the_port_stays_alive(
    outside: Outside, port: Port
) -> None:
    # Larger than a socket pair takes, so that the keeper's channel is full with the first; it squeezes well.
    large = bytes(400_000)
    for number in range(MAX_WAITING + 3):
        body = bytes((number,)) + large
        outside.show(fast(body), times(6))
    assert says(port, "a message was dropped")
    taken = []
    while (message := port.keeper.receive(1.0)) is not None:
        taken.append(message)
    assert 1 + MAX_WAITING <= len(taken) <= 2 + MAX_WAITING
    assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)


def test_a_camera_that_goes_and_comes_back_goes_on(outside: Outside, port: Port) -> None:
    assert sent(outside, port, fast(b"first")) == Inbound(b"first", Way.FAST)
    outside.put(b"FRAME\n" + bytes(1000))
    outside.unplug()
    assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)


def test_attack_a_stopped_screen_loses_a_reply_and_not_the_port(outside: Outside, port: Port) -> None:
    outside.stop_terminal()
    port.keeper.send(Outbound(random.Random(6).randbytes(5000), Way.FAST))
    assert says(port, "a reply was not shown [screen]")
    assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)


def test_a_screen_that_is_gone_ends_the_port_with_its_reason(outside: Outside, port: Port) -> None:
    outside.close()
    port.keeper.send(Outbound(b"reply", Way.FAST))
    assert port.process.wait(PATIENCE_SECONDS) == 1
    assert "error [screen]" in port.log.read_text()


def test_a_terminal_that_is_too_small_for_codes_is_refused_at_the_start(tmp_path: Path) -> None:
    outside = Outside(tmp_path, columns=40, lines=20)
    port = Port(tmp_path / "port.log", *outside.options)
    assert port.process.wait(PATIENCE_SECONDS) == 1
    assert "error [configuration]" in port.log.read_text()
    assert "40 columns and 20 rows" in port.log.read_text()
    port.close()
    outside.close()


def test_a_small_terminal_gets_smaller_codes(tmp_path: Path) -> None:
    outside = Outside(tmp_path, columns=80, lines=25)
    port = Port(tmp_path / "port.log", *outside.options)
    port.keeper.send(Outbound(MESSAGE, Way.FAST))
    assert outside.read() == fast(MESSAGE)
    port.close()
    outside.close()


def test_what_is_no_camera_ends_the_port_with_its_reason(outside: Outside, tmp_path: Path) -> None:
    port = Port(tmp_path / "port.log", "--camera", "/dev/null", *outside.options[2:])
    assert port.process.wait(PATIENCE_SECONDS) == 1
    assert "error [camera]" in port.log.read_text()
    port.close()


class Blind(ZxingEye):
    """As a library that draws or reads otherwise than the one that was tested."""

    def look(self, picture: Picture) -> list[Sight]:
        return []


def test_what_cannot_read_its_own_codes_is_found_at_the_start(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "ZxingEye", Blind)
    with pytest.raises(ConfigurationError, match="cannot be drawn and read"):
        codes.Codes.over(-1, -1, print).__enter__()


TRIES = """
import os, socket, sys
from undercroft_appliance.port.codes import Codes
from undercroft_appliance.sandbox import confine

with Codes.over(int(sys.argv[1]), int(sys.argv[2]), print) as codes:
    confine("port")
    codes.post(b"reply", 1)
    codes.pump()
    try:
        os.open(sys.argv[3], os.O_RDONLY)
    except PermissionError:
        print("refused", flush=True)
    socket.socket()
"""


def test_attack_a_reader_that_was_taken_over_opens_no_file_and_no_socket(outside: Outside) -> None:
    with devices(*outside.options) as opened:
        numbers = (opened.named["camera"], opened.named["codes"])
        command = [sys.executable, "-c", TRIES, *map(str, numbers), str(outside.fifo)]
        done = subprocess.run(command, pass_fds=numbers, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("refused\n", -signal.SIGSYS)


def test_behind_its_walls_the_port_has_one_thread_little_memory_and_no_numpy(outside: Outside, port: Port) -> None:
    assert sent(outside, port, fast(MESSAGE)) == Inbound(MESSAGE, Way.FAST)
    port.keeper.send(Outbound(MESSAGE, Way.FAST))
    assert outside.read() == fast(MESSAGE)
    process = Path(f"/proc/{port.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert status["Threads"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["VmHWM"].split()[0]) < 200_000
    limits = (process / "limits").read_text().splitlines()
    assert next(line.split()[3:5] for line in limits if line.startswith("Max data")) == [str(MOST_MEMORY_BYTES)] * 2
    loaded = (process / "maps").read_text()
    assert "zxingcpp" in loaded
    assert "numpy" not in loaded
    assert "cv2" not in loaded
