"""What a terminal shows is the codes, on any theme and size, and it gets its cursor back."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from protocol.qr.drawing_support import digits, read_all
from undercroft_demo.terminal_picture import TerminalPicture
from undercroft_protocol.errors import QrSizeError, ScreenError
from undercroft_protocol.qr.capacity import capacity_digits
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.screen import open_screen, open_terminal, terminal
from undercroft_protocol.qr.screen.terminal import TerminalScreen


class Terminal:
    """A pseudo-terminal of a size, what was written to it, and what it shows."""

    def __init__(self, columns: int, lines: int) -> None:
        self.master, self.slave = os.openpty()
        self.resize(columns, lines)
        self.written = b""
        self.shows = TerminalPicture(columns, lines, dark_theme=True)
        self._reader = threading.Thread(target=self._read)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def start(self) -> None:
        """Begin to take what is written."""
        self._reader.start()

    def finish(self) -> None:
        """Take the rest."""
        os.close(self.slave)
        self._reader.join(5)
        assert not self._reader.is_alive()

    def _read(self) -> None:
        # A master whose slave was closed answers EIO once it is empty.
        with suppress(OSError):
            while data := os.read(self.master, 3001):
                self.written += data
                self.shows.feed(data)


@contextmanager
def a_terminal(columns: int, lines: int) -> Iterator[Terminal]:
    """One that is read from the beginning; after the block everything has arrived."""
    one = Terminal(columns, lines)
    one.start()
    try:
        yield one
    finally:
        one.finish()
        os.close(one.master)


@pytest.mark.parametrize(("version", "columns", "lines"), [(5, 45, 23), (20, 120, 60), (40, 185, 93), (27, 200, 80)])
def test_a_code_is_read_from_what_the_terminal_shows(version: int, columns: int, lines: int) -> None:
    text = digits(capacity_digits(version), version)
    with a_terminal(columns, lines) as one:
        TerminalScreen(one.slave).show([draw(text, version=version)])
    assert read_all(one.shows.picture(), enlarge=3) == [text]


@pytest.mark.parametrize("count", [2, 6])
def test_several_codes_are_read_from_what_the_terminal_shows(count: int) -> None:
    texts = [digits(60, seed) for seed in range(count)]
    with a_terminal(160, 50) as one:
        TerminalScreen(one.slave).show([draw(text, version=4) for text in texts])
    assert read_all(one.shows.picture(), enlarge=3) == sorted(texts)


def test_a_large_terminal_gets_large_modules() -> None:
    with a_terminal(200, 100) as one:
        TerminalScreen(one.slave).show([draw("1", version=1)])
    # 29 modules with the quiet zone: six times as wide on 200 columns and 200 half rows.
    shown = one.shows.picture()
    first_row = shown.grey[24 * 200 : 25 * 200]
    assert first_row[: 4 * 6] == b"\xff" * 24
    assert first_row[24 : 24 + 7 * 6] == bytes(42)


def test_each_picture_begins_at_home_and_replaces_the_one_before() -> None:
    texts = [digits(40, seed) for seed in range(4)]
    with a_terminal(100, 50) as one:
        screen = TerminalScreen(one.slave)
        for text in texts:
            screen.show([draw(text, version=10)])
    assert one.written.startswith(b"\x1b[H")
    assert one.written.count(b"\x1b[H") == 4
    # Cleared once: a picture over one of the same size does not flicker.
    assert one.written.count(b"\x1b[2J") == 1
    assert read_all(one.shows.picture(), enlarge=3) == [texts[-1]]


def test_a_smaller_picture_leaves_nothing_of_the_larger_one() -> None:
    with a_terminal(185, 93) as one:
        screen = TerminalScreen(one.slave)
        screen.show([draw("1", version=40)])
        screen.show([draw("2" * 9, version=38)])
    shown = one.shows.picture()
    # Beyond version 38 (169 modules and its quiet zone) is the bare theme, which is dark.
    assert set(shown.grey[177:185]) == {0}
    assert read_all(shown, enlarge=3) == ["2" * 9]


def test_the_cursor_is_hidden_while_codes_stand_there_and_comes_back() -> None:
    with a_terminal(60, 30) as one:
        screen = TerminalScreen(one.slave)
        screen.show([draw("1", version=1)])
        screen.close()
    hidden, shown, cleared = (
        one.written.index(what) for what in (b"\x1b[?25l", b"\x1b[?25h", b"\x1b[H\x1b[0m\x1b[2J\x1b[?7h")
    )
    assert hidden < cleared < shown
    assert one.written.endswith(b"\x1b[?25h")
    assert set(one.shows.picture().grey) == {0}


def test_closing_an_unused_screen_writes_nothing_and_leaves_the_descriptor_open() -> None:
    with a_terminal(60, 30) as one:
        TerminalScreen(one.slave).close()
        assert os.isatty(one.slave)
    assert one.written == b""


def test_a_terminal_that_is_too_small_says_what_is_missing_and_what_fits() -> None:
    with a_terminal(80, 24) as one:
        screen = TerminalScreen(one.slave)
        with pytest.raises(ScreenError, match=r"25 columns and 29 rows are missing .* version 5 would fit") as caught:
            screen.show([draw("1", version=20)])
        assert "80 x 24" in str(caught.value)
        screen.show([draw("1", version=5)])
        with pytest.raises(ScreenError, match="no version would fit"):
            screen.show([draw("1", version=1)] * 16)
        # Codes begin with version 5 (`QrSettings`): nobody can ask for 1, of which two would fit.
        with pytest.raises(ScreenError, match="no version would fit"):
            screen.show([draw("1", version=5)] * 2)


def test_a_terminal_that_grew_takes_the_larger_code() -> None:
    with a_terminal(185, 93) as one:
        screen = TerminalScreen(one.slave)
        one.resize(80, 24)
        with pytest.raises(ScreenError, match="missing"):
            screen.show([draw("1", version=40)])
        one.resize(185, 93)
        screen.show([draw("1", version=40)])
    assert read_all(one.shows.picture(), enlarge=3) == ["1"]


def test_a_terminal_without_a_size_says_how_to_give_it_one() -> None:
    with a_terminal(80, 24) as one:
        one.resize(0, 0)
        with pytest.raises(ScreenError, match="stty rows"):
            TerminalScreen(one.slave).show([draw("1")])


def test_attack_a_terminal_of_65535_columns_and_rows_gets_a_picture_of_bounded_size() -> None:
    with a_terminal(1024, 512) as one:
        one.resize(65535, 65535)
        TerminalScreen(one.slave).show([draw("1", version=1)])
    assert len(one.written) < 3 * 1024 * 512
    assert read_all(one.shows.picture()) == ["1"]


def test_codes_of_two_sizes_are_refused() -> None:
    with a_terminal(100, 50) as one, pytest.raises(QrSizeError):
        TerminalScreen(one.slave).show([draw("1", version=1), draw("1", version=2)])


def test_attack_a_stopped_terminal_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "STALL_SECONDS", 0.05)
    one = Terminal(185, 93)
    screen = TerminalScreen(one.slave)
    with pytest.raises(ScreenError, match="takes no more"):
        screen.show([draw("1", version=40)])
    # A shell that has the same descriptor goes on with it.
    assert os.get_blocking(one.slave)
    one.start()
    screen.show([draw("2", version=40)])
    one.finish()
    os.close(one.master)
    assert read_all(one.shows.picture(), enlarge=3) == ["2"]


def test_attack_a_terminal_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 3))
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:100]))
    # It takes all that it is given, so that only the time for the whole picture ends this.
    with a_terminal(185, 93) as one, pytest.raises(ScreenError, match="too slow"):
        TerminalScreen(one.slave, clock=lambda: float(next(now))).show([draw("1", version=40)])


def test_a_terminal_that_hung_up_is_reported() -> None:
    one = Terminal(100, 50)
    screen = TerminalScreen(one.slave)
    os.close(one.master)
    with pytest.raises(ScreenError, match="gone"):
        screen.show([draw("1")])
    os.close(one.slave)


def test_a_terminals_path_is_opened_and_closed_again() -> None:
    with a_terminal(100, 50) as one:
        path = os.ttyname(one.slave)
        for text in (path, f"tty:{path}"):
            screen = open_screen(text)
            screen.show([draw("77", version=3)])
            screen.blank()
            screen.show([draw("78", version=3)])
            screen.close()
            screen.close()
    assert one.written.count(b"\x1b[?25h") == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tty:",
        "tty:tty1",
        "window:",
        "ws://127.0.0.1/",
        "tty:http://127.0.0.1/",
        "/home/x",
        "tty:/dev/tty\0",
        "dev/tty",
    ],
)
def test_attack_anything_but_a_terminals_path_is_refused(text: str) -> None:
    with pytest.raises(ScreenError):
        open_screen(text)


def test_attack_files_fifos_and_devices_that_are_no_terminals_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "file", tmp_path / "fifo", tmp_path, tmp_path / "none", Path("/dev/null")):
        with pytest.raises(ScreenError):
            open_terminal(str(path))
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_attack_a_fifo_in_the_place_of_a_terminal_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(ScreenError, match="is not a terminal"):
        open_terminal(str(tmp_path / "fifo"))
    ready = select.poll()
    ready.register(reader, select.POLLIN)
    # Whoever reads would have been told of a writer that came and went.
    assert ready.poll(0) == []
    os.close(reader)


@pytest.mark.parametrize("opened", ["screen.open_terminal(path)", "camera.open_camera('y4m:' + path)"])
def test_a_terminal_that_is_opened_does_not_become_the_one_that_ends_the_program(opened: str) -> None:
    master, slave = os.openpty()
    program = (
        "import os, sys; from undercroft_protocol.qr import camera, screen; path = sys.argv[1]\n"
        f"kept = {opened}\n"
        "try:\n    os.open('/dev/tty', os.O_RDWR)\nexcept OSError:\n    print('none')"
    )
    arguments = [sys.executable, "-c", program, os.ttyname(slave)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60, start_new_session=True)
    os.close(slave)
    os.close(master)
    assert done.stdout == "none\n"


def test_drawing_on_a_terminal_and_reading_a_camera_load_no_picture_library() -> None:
    program = (
        "import sys, undercroft_protocol.qr.screen, undercroft_protocol.qr.camera, undercroft_protocol.qr.draw as draw;"
        "draw.draw('1'); print(sorted({'numpy', 'cv2', 'PIL', 'tkinter', 'qrcode'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_pipe_is_no_terminal() -> None:
    reader, writer = os.pipe()
    with pytest.raises(ScreenError, match="on a terminal only"):
        TerminalScreen(writer)
    os.close(reader)
    os.close(writer)
