"""What processes say reaches the log as plain lines under their names, and holds up nobody."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from undercroft_appliance.process_log import MOST_BYTES, MOST_LINES, ProcessLog


@pytest.fixture
def log() -> Iterator[ProcessLog]:
    made = ProcessLog()
    yield made
    made.close()


def said(log: ProcessLog, capfd: pytest.CaptureFixture[str]) -> list[str]:
    log.pass_on()
    return capfd.readouterr().err.splitlines()


def test_each_line_stands_under_the_name_of_its_process(log: ProcessLog, capfd: pytest.CaptureFixture[str]) -> None:
    with log.end_for("port") as port, log.end_for("keeper") as keeper:
        assert said(log, capfd) == []
        os.write(port, b"the line is gone\nundercroft-appliance keeper: all is well\n")
        os.write(keeper, b"ended by OSError\n")
        assert said(log, capfd) == [
            "undercroft-appliance port: the line is gone",
            "undercroft-appliance port: undercroft-appliance keeper: all is well",
            "undercroft-appliance keeper: ended by OSError",
        ]


def test_last_words_are_passed_on_when_the_process_is_gone(log: ProcessLog, capfd: pytest.CaptureFixture[str]) -> None:
    with log.end_for("keeper") as end:
        os.write(end, b"ended by ValueError")
    with log.end_for("keeper") as end:
        os.write(end, b"the next one\n")
    log.close()
    assert capfd.readouterr().err.splitlines() == [
        "undercroft-appliance keeper: ended by ValueError", "undercroft-appliance keeper: the next one",
    ]  # fmt: skip
    assert said(log, capfd) == []


def test_attack_a_flood_of_empty_lines_is_cut(log: ProcessLog, capfd: pytest.CaptureFixture[str]) -> None:
    with log.end_for("port") as end:
        os.write(end, b"\n" * MOST_BYTES)
        assert said(log, capfd) == ["undercroft-appliance port: "] * MOST_LINES


@pytest.mark.parametrize(
    "order", [b"\x1b[12;2]", b"\x1b[15]", b"\x9b12;2]", b"\x1bc", b"\x07", b"\x0e", "ä\x85".encode()]
)
def test_attack_the_log_gets_no_order_for_a_console(
    log: ProcessLog, capfd: pytest.CaptureFixture[str], order: bytes
) -> None:
    with log.end_for("port") as end:
        os.write(end, order + b"\rPay 1 BTC to Mallory? yes\n")
        text = "".join(said(log, capfd))
    assert text.isascii()
    assert text.isprintable()


def test_attack_a_flood_neither_fills_the_log_nor_keeps_the_words_of_others_out(
    log: ProcessLog, capfd: pytest.CaptureFixture[str]
) -> None:
    with log.end_for("port") as port, log.end_for("keeper") as keeper:
        os.set_blocking(port, False)
        for _ in range(3):
            with contextlib.suppress(BlockingIOError):
                while os.write(port, b"x" * 4095 + b"\n"):
                    pass
            os.write(keeper, b"locked\n")
            lines = said(log, capfd)
            assert lines[-1] == "undercroft-appliance keeper: locked"
            assert sum(map(len, lines)) < 2 * MOST_BYTES


def test_a_log_that_takes_nothing_does_not_keep_the_supervisor() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, bytes(65536)):
            pass
    os.set_blocking(writing, True)
    program = "from undercroft_appliance import process_log; process_log.tell('the port was ended')"
    subprocess.run([sys.executable, "-c", program], stderr=writing, check=True, timeout=60)
    os.close(reading)
    os.close(writing)
