"""The passphrase's way from the terminal into guarded memory, with no stop in between.

Line mode without echo: exactly then the kernel zeroes its own buffer of what it hands over. Never raw mode,
never a terminal library, never a `str`. What the kernel drops by itself it does not zero. So what the owner takes back
is taken back here, and what is thrown away is fetched first.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from undercroft_appliance.errors import (
    PassphraseCharacterError,
    PassphraseError,
    PassphraseLengthError,
    PassphraseMismatchError,
)

from .memory import Slot
from .native import libc, sodium

MIN_PASSPHRASE_BYTES = 12
_NEWLINE = 0x0A
_SPACE = 0x20
_DELETE = 0x7F
_TAKE_BACK = frozenset({0x08, _DELETE})
"""Backspace, as either sort of keyboard sends it: the last character."""
_TAKE_ALL_BACK = 0x15
"""Ctrl-U: the whole line."""
_EDITING = (termios.VERASE, termios.VWERASE, termios.VKILL)
_DISABLED = b"\0"
_INPUT_FLAGS = 0
_LOCAL_FLAGS = 3
_CONTROL_CHARACTERS = 6
_DRAIN_BYTES = 256
_DRAIN_READS = 4096
"""As many as the kernel's buffer holds bytes: each of them may end a line, and a read."""


def read_passphrase(tty_fd: int, slot: Slot, ready: Callable[[], None] | None = None) -> int:
    """Reads one line from the terminal into the slot and returns its length in bytes, without the newline.

    `ready` is called when the terminal no longer echoes and what was typed ahead is thrown away: the time to
    prompt. The terminal is restored in all cases; after an error the slot is wiped.

    Raises PassphraseLengthError (shorter than 12 bytes, or longer than the slot less one for the newline),
    PassphraseCharacterError, PassphraseError (the terminal was closed, or is none).
    """
    try:
        with no_echo(tty_fd):
            if ready is not None:
                ready()
            length = read_line(tty_fd, slot)
        _check(slot, length)
    except termios.error as error:
        slot.wipe()
        raise PassphraseError(str(error.args[-1])) from error
    except BaseException:
        slot.wipe()
        raise
    return length


def compare(first: Slot, first_length: int, second: Slot, second_length: int) -> None:
    """Raises PassphraseMismatchError unless both are the same; its time does not tell where they differ."""
    if first_length != second_length or sodium.sodium_memcmp(first.sodium, second.sodium, first_length) != 0:
        raise PassphraseMismatchError


@contextmanager
def no_echo(tty_fd: int) -> Iterator[None]:
    """Line mode without echo; what else was typed is thrown away, before and after. Raises PassphraseError."""
    try:
        before = termios.tcgetattr(tty_fd)
        silent = termios.tcgetattr(tty_fd)
    except termios.error:
        raise PassphraseError("this is no terminal") from None
    silent[_INPUT_FLAGS] |= termios.ICRNL
    silent[_INPUT_FLAGS] &= ~(termios.ISTRIP | termios.IGNCR | termios.INLCR)
    # NOFLSH: Attack: a passphrase that was ended by Ctrl-C, upon which the kernel would drop it.
    silent[_LOCAL_FLAGS] |= termios.ICANON | termios.ECHONL | termios.NOFLSH
    silent[_LOCAL_FLAGS] &= ~termios.ECHO
    # Attack: a passphrase that was typed, taken back and given up is read out of the kernel's memory after the lock.
    for number in _EDITING:
        silent[_CONTROL_CHARACTERS][number] = _DISABLED
    termios.tcsetattr(tty_fd, termios.TCSADRAIN, silent)
    try:
        # Attack: keys typed (or injected) before the owner was asked.
        _drain(tty_fd)
        yield
    finally:
        # Attack: half a passphrase, typed when the power was switched off, is read out of the kernel's memory.
        _drain(tty_fd)
        termios.tcsetattr(tty_fd, termios.TCSAFLUSH, before)


def read_line(tty_fd: int, slot: Slot) -> int:
    """Reads one line into the slot; returns its length in bytes, without the newline and what was taken back.

    Of a longer one the rest is read too, since the kernel zeroes only what it hands over. Raises
    PassphraseLengthError for it, PassphraseError when the terminal is gone; the slot is not wiped then.
    """
    too_long = False
    while True:
        count = _read(tty_fd, slot)
        if count == 0:
            raise PassphraseError("the terminal was closed")
        if slot.sodium[count - 1] == _NEWLINE:
            break
        too_long = True
    if too_long:
        raise PassphraseLengthError(f"more than {slot.size - 1} bytes")
    slot.part(count - 1, 1).wipe()
    return _edited(slot, count - 1)


def _drain(tty_fd: int) -> None:
    """Fetch what waits in the terminal, also a line that is not ended, and wipe it. Raises termios.error."""
    waiting = select.poll()
    waiting.register(tty_fd, select.POLLIN)
    # What was typed a moment ago is on its way from the driver to the terminal until somebody looks.
    waiting.poll(0)
    settings = termios.tcgetattr(tty_fd)
    # Line mode switched off and on: what waits counts as a line.
    for flags in (settings[_LOCAL_FLAGS] & ~termios.ICANON, settings[_LOCAL_FLAGS]):
        settings[_LOCAL_FLAGS] = flags
        termios.tcsetattr(tty_fd, termios.TCSANOW, settings)
    scrap = ctypes.create_string_buffer(_DRAIN_BYTES)
    for _ in range(_DRAIN_READS):
        if not waiting.poll(0) or libc.read(tty_fd, ctypes.addressof(scrap), _DRAIN_BYTES) <= 0:
            break
        ctypes.memset(scrap, 0, _DRAIN_BYTES)


def _edited(line: Slot, length: int) -> int:
    """Drops what the owner took back; returns how many bytes are left.

    A byte is a small integer that CPython keeps for ever: no object is made of what was typed.
    """
    kept, data = 0, line.sodium
    for position in range(length):
        if data[position] in _TAKE_BACK:
            # A character of UTF-8 goes whole.
            while kept and data[kept - 1] & 0xC0 == 0x80:
                kept -= 1
            kept = max(kept - 1, 0)
        elif data[position] == _TAKE_ALL_BACK:
            kept = 0
        else:
            data[kept] = data[position]
            kept += 1
    line.part(kept, length - kept).wipe()
    return kept


def _read(tty_fd: int, slot: Slot) -> int:
    while True:
        count: int = libc.read(tty_fd, slot.address, slot.size)
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number == errno.EIO:  # the other end of the line hung up
            return 0
        if number != errno.EINTR:
            raise PassphraseError(os.strerror(number))


def _check(slot: Slot, length: int) -> None:
    if length < MIN_PASSPHRASE_BYTES:
        raise PassphraseLengthError(f"fewer than {MIN_PASSPHRASE_BYTES} bytes")
    line = slot.sodium
    for position in range(length):
        # A stray key (an arrow, a tab) that the owner does not see and will not type again.
        if line[position] < _SPACE or line[position] == _DELETE:
            raise PassphraseCharacterError(f"at byte {position + 1}")
