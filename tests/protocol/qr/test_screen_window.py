"""Codes in a window, on a display without a monitor: what the display shows is read, pixel by pixel."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from unittest.mock import MagicMock

import pytest

from protocol.qr.drawing_support import digits, read_all
from undercroft_protocol.errors import ScreenError
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.picture import Picture
from undercroft_protocol.qr.screen import open_screen
from undercroft_protocol.qr.screen import window as window_module
from undercroft_protocol.qr.screen.window import WindowScreen
from undercroft_protocol.qr.sheet import picture_of


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """The name of a display of 1000 x 700 pixels."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("Xvfb is not installed")
    pytest.importorskip("tkinter")
    reader, writer = os.pipe()
    options = ["-displayfd", str(writer), "-screen", "0", "1000x700x24", "-nolisten", "tcp"]
    running = subprocess.Popen([server, *options], pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as answer:
        number = answer.readline().strip()
    if not number:
        running.wait(10)
        pytest.skip("Xvfb does not start here")
    yield f":{number}"
    running.terminate()
    running.wait(10)


@pytest.fixture
def window(display: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[WindowScreen]:
    monkeypatch.setenv("DISPLAY", display)
    screen = open_screen("window")
    assert isinstance(screen, WindowScreen)
    yield screen
    screen.close()


def shown_by(screen: WindowScreen) -> Picture:
    """The picture as Tk itself holds it on the display."""
    image = screen._image
    width, height = image.width(), image.height()
    rows = (image.get(x, y)[0] for y in range(height) for x in range(width))
    return Picture(width, height, bytes(rows))


def test_the_window_shows_the_codes_pixel_by_pixel(window: WindowScreen) -> None:
    window._root.geometry("240x160")
    codes = [draw(digits(40, seed), version=3) for seed in range(2)]
    window.show(codes)
    assert shown_by(window) == picture_of(codes, width=240, height=160)
    assert read_all(shown_by(window)) == sorted(digits(40, seed) for seed in range(2))


def test_the_window_follows_its_new_size_and_goes_blank(window: WindowScreen) -> None:
    code = draw("123", version=2)
    window._root.geometry("200x100")
    window.show([code])
    window._root.geometry("100x200")
    window.show([code])
    assert (shown_by(window).width, shown_by(window).height) == (100, 200)
    window.blank()
    assert str(window._label.cget("image")) == ""


def test_a_window_that_is_too_small_says_so(window: WindowScreen) -> None:
    window._root.geometry("100x80")
    with pytest.raises(ScreenError, match=r"the window has 100 x 80 pixels, .* 185 x 185; version 13 would fit"):
        window.show([draw("1", version=40)])
    window.show([draw("1", version=13)])
    with pytest.raises(ScreenError, match="no version would fit"):
        window.show([draw("1", version=5)] * 4)


def test_a_window_that_its_user_closed_is_an_error_and_not_opened_again(window: WindowScreen) -> None:
    window.show([draw("1")])
    window._closed()
    with pytest.raises(ScreenError, match="closed"):
        window.show([draw("1")])
    with pytest.raises(ScreenError, match="closed"):
        window.blank()


def test_a_desktop_that_ends_is_an_error(window: WindowScreen) -> None:
    window._root.destroy()
    with pytest.raises(ScreenError, match="desktop"):
        window.show([draw("1")])


def test_without_a_desktop_the_report_names_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tkinter")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ScreenError, match="no desktop"):
        open_screen("window")


class NoDesktopError(Exception):
    """What tkinter raises."""


def a_desk(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """A stand-in for tkinter, where there is no display: a desktop of 1000 x 700 pixels."""
    tkinter = MagicMock()
    tkinter.TclError = NoDesktopError
    root = tkinter.Tk.return_value
    root.winfo_screenwidth.return_value = root.winfo_width.return_value = 1000
    root.winfo_screenheight.return_value = root.winfo_height.return_value = 700
    monkeypatch.setattr(window_module, "_tkinter", lambda: tkinter)
    return tkinter


def test_a_desktop_that_ends_while_the_window_opens_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    a_desk(monkeypatch).Tk.return_value.update.side_effect = NoDesktopError
    with pytest.raises(ScreenError, match="desktop"):
        open_screen("window")


def test_tk_is_given_the_picture_and_nothing_after_its_window_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    tkinter = a_desk(monkeypatch)
    screen = open_screen("window")
    codes = [draw("1", version=5), draw("2", version=5)]
    screen.show(codes)
    given = tkinter.PhotoImage.call_args.kwargs["data"]
    assert given == b"P5 1000 700 255\n" + picture_of(codes, width=1000, height=700).grey
    (_, closed), _ = tkinter.Tk.return_value.protocol.call_args
    closed()
    with pytest.raises(ScreenError, match="closed"):
        screen.show(codes)
    with pytest.raises(ScreenError, match="closed"):
        screen.blank()
    screen.close()
    assert tkinter.PhotoImage.call_count == 1
    assert tkinter.Tk.return_value.destroy.call_count == 1


def test_without_tkinter_the_report_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ScreenError, match="python3-tk"):
        open_screen("window")
