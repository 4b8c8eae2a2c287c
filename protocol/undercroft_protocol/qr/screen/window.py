"""Codes in a window, drawn with tkinter, the toolkit that comes with Python."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from undercroft_protocol.errors import ScreenError
from undercroft_protocol.qr.picture import Matrix
from undercroft_protocol.qr.sheet import best_grid, largest_version, picture_of, size_of

_TITLE = "Undercroft"
_SHARE_OF_DESKTOP = 0.8
_SMALLEST = 64


class WindowScreen:
    """A white window; codes stand in its middle, a whole number of pixels to a module.

    It handles its own events (moved, resized, closed) at each `show` and `blank` only. Raises ScreenError, also when
    there is no tkinter or no desktop.
    """

    def __init__(self) -> None:
        tkinter = _tkinter()
        try:
            self._root: Any = tkinter.Tk()
        except tkinter.TclError as error:
            raise ScreenError("there is no desktop to open a window on; show the codes on a terminal") from error
        self._tk = tkinter
        self._open = True
        with self._desktop():
            self._root.title(_TITLE)
            self._root.configure(background="white")
            self._root.minsize(_SMALLEST, _SMALLEST)
            width = int(self._root.winfo_screenwidth() * _SHARE_OF_DESKTOP)
            height = int(self._root.winfo_screenheight() * _SHARE_OF_DESKTOP)
            self._root.geometry(f"{width}x{height}")
            self._label: Any = tkinter.Label(self._root, background="white", borderwidth=0, highlightthickness=0)
            self._label.pack(expand=True, fill="both")
            self._root.protocol("WM_DELETE_WINDOW", self._closed)
            self._root.update()

    def show(self, codes: Sequence[Matrix]) -> None:
        """Put up these codes as large as they fit. Raises ScreenError, QrSizeError."""
        with self._desktop():
            self._handle_events()
            width, height = self._root.winfo_width(), self._root.winfo_height()
            self._require_space(codes, width, height)
            picture = picture_of(codes, width=width, height=height)
            header = b"P5 %d %d 255\n" % (width, height)
            # Tk forgets an image that Python forgets.
            self._image = self._tk.PhotoImage(master=self._root, data=header + picture.grey, format="PPM")
            self._label.configure(image=self._image)
            self._handle_events()

    def blank(self) -> None:
        """Empty the window. Raises ScreenError."""
        with self._desktop():
            self._handle_events()
            self._label.configure(image="")
            self._handle_events()

    def close(self) -> None:
        """Close the window; again is nothing."""
        if self._open:
            with self._desktop():
                self._closed()

    def _require_space(self, codes: Sequence[Matrix], width: int, height: int) -> None:
        grid = best_grid(len(codes), size_of(codes), width, height)
        if grid.scale:
            return
        smaller = largest_version(len(codes), width, height)
        advice = f"version {smaller} would fit" if smaller else "no version would fit"
        raise ScreenError(
            f"the window has {width} x {height} pixels, {len(codes)} of version {codes[0].version} need "
            f"{grid.width} x {grid.height}; {advice}; or make the window larger"
        )

    def _handle_events(self) -> None:
        if self._open:
            self._root.update()
        if not self._open:
            raise ScreenError("the window was closed")

    def _closed(self) -> None:
        self._open = False
        self._root.destroy()

    @contextmanager
    def _desktop(self) -> Iterator[None]:
        try:
            yield
        except self._tk.TclError as error:
            self._open = False
            raise ScreenError("the desktop has closed the window") from error


def _tkinter() -> ModuleType:
    try:
        return importlib.import_module("tkinter")
    except ImportError as error:
        raise ScreenError("windows need tkinter; install the package python3-tk, or show on a terminal") from error
