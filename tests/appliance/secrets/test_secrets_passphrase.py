"""The passphrase comes from a real (pseudo-)terminal, unseen, and the terminal is as it was afterwards."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys
import termios
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from appliance.secrets.secrets_support import OTHER_PASSPHRASE, PASSPHRASE, PassphraseOwner, stored
from undercroft_appliance.errors import (
    PassphraseCharacterError,
    PassphraseError,
    PassphraseLengthError,
    PassphraseMismatchError,
)
from undercroft_appliance.keeper.secrets import passphrase
from undercroft_appliance.keeper.secrets.memory import GuardedMemory
from undercroft_appliance.keeper.secrets.native import libc
from undercroft_appliance.keeper.secrets.passphrase import compare, read_passphrase


def test_a_line_is_read_into_the_slot_without_its_newline(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    slot = memory.take(64)
    owner.will_type(PASSPHRASE)
    assert read_passphrase(owner.tty, slot, owner.ready) == len(PASSPHRASE)
    assert slot.read_public() == PASSPHRASE.ljust(64, b"\0")


def test_attack_the_passphrase_is_never_echoed(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    before = termios.tcgetattr(owner.tty)
    assert owner.flags() & termios.ECHO
    owner.will_type(PASSPHRASE)
    read_passphrase(owner.tty, memory.take(64), owner.ready)
    assert owner.echoing == [False]
    assert owner.screen() == b"\r\n"
    assert termios.tcgetattr(owner.tty) == before


def test_attack_what_was_typed_before_the_prompt_is_thrown_away(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    slot = memory.take(64)
    owner.type_now(OTHER_PASSPHRASE + b"\n")
    assert select.select([owner.tty], [], [], 10)[0]
    owner.will_type(PASSPHRASE)
    assert read_passphrase(owner.tty, slot, owner.ready) == len(PASSPHRASE)
    assert slot.read_public().startswith(PASSPHRASE)


def test_attack_what_is_taken_back_reaches_the_keeper_because_the_kernel_would_keep_it(
    memory: GuardedMemory, owner: PassphraseOwner
) -> None:
    slot = memory.take(64)
    seen: list[bytes] = []

    def ready() -> None:
        characters = termios.tcgetattr(owner.tty)[6]
        seen.extend(characters[number] for number in (termios.VERASE, termios.VWERASE, termios.VKILL))
        owner.ready()

    owner.will_type(OTHER_PASSPHRASE + b"\x15" + PASSPHRASE)
    assert read_passphrase(owner.tty, slot, ready) == len(PASSPHRASE)
    assert seen == [b"\0"] * 3
    assert slot.read_public() == PASSPHRASE.ljust(64, b"\0")


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        (b"\x7f\x7f" + PASSPHRASE, PASSPHRASE),
        (PASSPHRASE + b"\x08\x7f", PASSPHRASE[:-2]),
        (PASSPHRASE + "\u00e9\u20ac".encode() + b"\x7f", PASSPHRASE + "\u00e9".encode()),
        (PASSPHRASE + "\u00e9\u20ac".encode() + b"\x7f\x7f", PASSPHRASE),
        (PASSPHRASE + b"\x7f" * 100 + PASSPHRASE, PASSPHRASE),
        (b"\x15" + PASSPHRASE, PASSPHRASE),
    ],
)
def test_what_is_taken_back_is_gone_from_the_slot_too(
    memory: GuardedMemory, owner: PassphraseOwner, typed: bytes, left: bytes
) -> None:
    slot = memory.take(256)
    owner.will_type(typed)
    assert read_passphrase(owner.tty, slot, owner.ready) == len(left)
    assert slot.read_public() == left.ljust(256, b"\0")


def test_a_passphrase_that_was_taken_back_is_none(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    slot = memory.take(64)
    owner.will_type(PASSPHRASE + b"\x15")
    with pytest.raises(PassphraseLengthError):
        read_passphrase(owner.tty, slot, owner.ready)
    assert slot.read_public() == bytes(64)


def test_a_terminal_in_raw_mode_still_gives_one_whole_line(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    raw = termios.tcgetattr(owner.tty)
    raw[0] &= ~termios.ICRNL
    raw[3] &= ~termios.ICANON
    termios.tcsetattr(owner.tty, termios.TCSANOW, raw)
    slot = memory.take(64)
    owner.will_type(b"mistake\x15" + PASSPHRASE[:-1] + b"x\x7f" + PASSPHRASE[-1:] + b"\r")
    assert read_passphrase(owner.tty, slot, owner.ready) == len(PASSPHRASE)
    assert slot.read_public().startswith(PASSPHRASE)
    assert not owner.flags() & termios.ICANON


def test_the_longest_passphrase_fits(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    owner.will_type(b"p" * 63)
    assert read_passphrase(owner.tty, memory.take(64), owner.ready) == 63


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", PassphraseLengthError),
        (b"eleven byte", PassphraseLengthError),
        (b"p" * 64, PassphraseLengthError),
        (b"p" * 127, PassphraseLengthError),
        (b"p" * 128, PassphraseLengthError),
        (b"p" * 1000, PassphraseLengthError),
        (b"a tab\tin a passphrase", PassphraseCharacterError),
        (b"an arrow key \x1b[A and more", PassphraseCharacterError),
        (b"a\x01 control character", PassphraseCharacterError),
    ],
)
def test_a_bad_passphrase_is_refused_and_leaves_nothing(
    memory: GuardedMemory, owner: PassphraseOwner, line: bytes, error: type[PassphraseError]
) -> None:
    before = termios.tcgetattr(owner.tty)
    slot = memory.take(64)
    owner.will_type(line)
    with pytest.raises(error) as caught:
        read_passphrase(owner.tty, slot, owner.ready)
    assert slot.read_public() == bytes(64)
    assert termios.tcgetattr(owner.tty) == before
    assert line not in str(caught.value).encode() or not line


def test_the_rest_of_a_line_that_is_too_long_does_not_become_the_next_answer(
    memory: GuardedMemory, owner: PassphraseOwner
) -> None:
    slot = memory.take(64)
    owner.will_type(b"p" * 64 + OTHER_PASSPHRASE, PASSPHRASE)
    with pytest.raises(PassphraseLengthError):
        read_passphrase(owner.tty, slot, owner.ready)
    assert read_passphrase(owner.tty, slot, owner.ready) == len(PASSPHRASE)
    assert slot.read_public().startswith(PASSPHRASE)


def test_a_line_ended_by_end_of_file_is_refused(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    slot = memory.take(64)
    with pytest.raises(PassphraseError, match="closed"):
        read_passphrase(owner.tty, slot, lambda: owner.type_now(PASSPHRASE + b"\x04\x04"))
    assert slot.read_public() == bytes(64)


def test_a_terminal_that_hangs_up_is_refused(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    slot = memory.take(64)
    with pytest.raises(PassphraseError):
        read_passphrase(owner.tty, slot, owner.hang_up)
    assert slot.read_public() == bytes(64)


def test_what_is_no_terminal_is_refused(memory: GuardedMemory) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, PASSPHRASE + b"\n")
    with pytest.raises(PassphraseError, match="no terminal"):
        read_passphrase(read_end, memory.take(64))
    os.close(read_end)
    os.close(write_end)


def interrupted(owner: PassphraseOwner) -> Callable[[], None]:
    def ready() -> None:
        owner.type_now(PASSPHRASE)
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    return ready


def test_an_interrupted_owner_gets_the_terminal_back(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    class InterruptedByTestError(Exception):
        pass

    def interrupt(_number: int, _frame: object) -> None:
        raise InterruptedByTestError

    before = termios.tcgetattr(owner.tty)
    slot = memory.take(64)
    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(InterruptedByTestError):
            read_passphrase(owner.tty, slot, interrupted(owner))
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert slot.read_public() == bytes(64)
    assert termios.tcgetattr(owner.tty) == before


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> bytearray:
    """What the kernel handed over, and zeroed in its own buffer by that."""
    fetched, read = bytearray(), libc.read

    def noted(descriptor: int, address: int, size: int) -> int:
        count: int = read(descriptor, address, size)
        fetched.extend(ctypes.string_at(address, max(count, 0)))
        return count

    monkeypatch.setattr(passphrase, "libc", SimpleNamespace(read=noted))
    return fetched


def test_attack_half_a_passphrase_does_not_stay_in_the_kernels_buffer(
    memory: GuardedMemory, owner: PassphraseOwner, handed_over: bytearray
) -> None:
    def leave() -> None:
        owner.type_now(PASSPHRASE)
        raise SystemExit(0)

    slot = memory.take(64)
    # Often, for what was typed a moment ago may still be on its way from the driver to the terminal.
    for _ in range(100):
        handed_over.clear()
        with pytest.raises(SystemExit):
            read_passphrase(owner.tty, slot, leave)
        assert bytes(handed_over) == PASSPHRASE


def test_attack_a_passphrase_ended_by_ctrl_c_does_not_stay_in_the_kernels_buffer(
    memory: GuardedMemory, owner: PassphraseOwner, handed_over: bytearray
) -> None:
    owner.will_type(PASSPHRASE + b"\x03")
    assert read_passphrase(owner.tty, memory.take(64), owner.ready) == len(PASSPHRASE)
    assert bytes(handed_over) == PASSPHRASE + b"\n"


def wait_for(owner: PassphraseOwner, size: int) -> None:
    """Until so many bytes have arrived; only outside of line mode does the kernel count what is no line yet."""
    before = termios.tcgetattr(owner.tty)
    termios.tcsetattr(owner.tty, termios.TCSANOW, [*before[:3], before[3] & ~termios.ICANON, *before[4:]])
    while int.from_bytes(fcntl.ioctl(owner.tty, termios.FIONREAD, bytes(4)), sys.byteorder) < size:
        os.sched_yield()
    termios.tcsetattr(owner.tty, termios.TCSANOW, before)


@pytest.mark.parametrize("early", [OTHER_PASSPHRASE, OTHER_PASSPHRASE + b"\n", b"\n" * 400 + OTHER_PASSPHRASE * 100])
def test_attack_a_passphrase_typed_too_early_or_twice_does_not_stay_in_the_kernels_buffer(
    memory: GuardedMemory, owner: PassphraseOwner, handed_over: bytearray, early: bytes
) -> None:
    owner.type_now(early)
    wait_for(owner, len(early))
    owner.will_type(PASSPHRASE + b"\n" + OTHER_PASSPHRASE)
    assert read_passphrase(owner.tty, memory.take(64), owner.ready) == len(PASSPHRASE)
    assert bytes(handed_over) == early + PASSPHRASE + b"\n" + OTHER_PASSPHRASE + b"\n"


def test_a_signal_that_is_handled_does_not_end_the_reading(memory: GuardedMemory, owner: PassphraseOwner) -> None:
    slot = memory.take(64)
    previous = signal.signal(signal.SIGALRM, lambda _number, _frame: owner.type_now(b"\n"))
    try:
        assert read_passphrase(owner.tty, slot, interrupted(owner)) == len(PASSPHRASE)
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_two_equal_passphrases_compare_and_others_do_not(memory: GuardedMemory) -> None:
    first, same = stored(memory, PASSPHRASE), stored(memory, PASSPHRASE)
    other = stored(memory, PASSPHRASE[:-1] + b"!")
    compare(first, first.size, same, same.size)
    with pytest.raises(PassphraseMismatchError):
        compare(first, first.size, other, other.size)
    with pytest.raises(PassphraseMismatchError):
        compare(first, first.size, same, same.size - 1)
