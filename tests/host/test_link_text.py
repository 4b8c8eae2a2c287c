"""The texts of links: four forms, and never a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_host.errors import LinkInvalid
from undercroft_host.link_text import FileText, QrText, SerialText, carrier_of, parse_link


def test_a_serial_link_names_a_device() -> None:
    assert parse_link("serial:/dev/ttyACM0") == SerialText("/dev/ttyACM0")
    assert parse_link("serial:/run/my lines/a") == SerialText("/run/my lines/a")


def test_a_serial_link_may_name_its_speed() -> None:
    assert parse_link("serial:/dev/ttyUSB0,921600") == SerialText("/dev/ttyUSB0", 921600)
    assert parse_link("serial:/dev/ttyUSB0,115200") == parse_link("serial:/dev/ttyUSB0")


def test_a_qr_link_is_the_hosts_camera_and_screen_or_names_its_own() -> None:
    assert parse_link("qr") == QrText(None, None)
    assert parse_link("qr:/dev/video2,/dev/tty3") == QrText("/dev/video2", "/dev/tty3")
    assert parse_link("qr:y4m:/run/camera,window") == QrText("y4m:/run/camera", "window")


def test_a_file_link_names_a_folder() -> None:
    assert parse_link("file:/media/stick/alice") == FileText(Path("/media/stick/alice"))


def test_the_slower_the_carrier_the_more_patient_is_the_host() -> None:
    patience = [parse_link(text).patience_seconds for text in ("serial:/dev/a", "qr", "file:/a")]
    assert patience == sorted(set(patience))
    assert patience[0] == 0


def carrier(text: str) -> str:
    return carrier_of(parse_link(text), camera="/dev/video0")


def test_what_shares_a_camera_shares_a_carrier() -> None:
    assert carrier("qr") == carrier("qr") == carrier("qr:/dev/video0,/dev/tty2") == carrier("qr:/dev/video0,window")
    assert carrier("qr:/dev/video2,window") != carrier("qr")
    assert carrier("serial:/dev/a") != carrier("serial:/dev/b")
    assert carrier("serial:/dev/a") == carrier("serial:/dev/a,9600")


@pytest.mark.parametrize(
    "text",
    [
        "socket://10.0.0.1:7000",
        "rfc2217://10.0.0.1:7000",
        "spy:///dev/ttyUSB0",
        "loop://",
        "http://10.0.0.1/",
        "tcp:10.0.0.1:7000",
        "serial:socket://10.0.0.1:7000",
        "serial:spy:///dev/ttyUSB0",
        "qr:rtsp://10.0.0.1/stream,window",
        "qr:video:http://10.0.0.1/stream,window",
        "qr:/dev/video0,http://10.0.0.1",
        "file://server/share",
    ],
)
def test_attack_a_network_in_the_place_of_a_link_is_refused(text: str) -> None:
    with pytest.raises(LinkInvalid):
        parse_link(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/dev/ttyUSB0",
        "serial:",
        "serial:ttyUSB0",
        "serial:/dev/../etc/x",
        "SERIAL:/dev/ttyUSB0",
        "serial:/dev/ttyUSB0,",
        "serial:/dev/ttyUSB0,0",
        "serial:/dev/ttyUSB0,-9600",
        "serial:/dev/ttyUSB0,fast",
        "serial:/dev/ttyUSB0,٩٦٠٠",
        "serial:/dev/ttyUSB0,096",
        "serial:/dev/ttyUSB0,9600,9600",
        "serial:/dev/ttyUSB0,100000000",
        "serial:ttyUSB0,9600",
        " serial:/dev/ttyUSB0",
        "qr:",
        "qr:/dev/video0",
        "qr:/dev/video0,",
        "qr:,window",
        "qrcode",
        "file:",
        "file:stick",
        "file:~/stick",
        "file:/media/../etc",
        "serial:/dev/x\u0000",
        "serial:/dev/\u202ex",
        "serial:/" + "x" * 300,
    ],
)
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(LinkInvalid):
        parse_link(text)
