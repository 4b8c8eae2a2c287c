"""The played owner at the far end of a line: whether it echoes cannot be seen, so a title says that typing is blind."""

from __future__ import annotations

import os
import select
import time
import tty
from collections.abc import Iterator

import pytest

from undercroft_demo import owner as played
from undercroft_demo.owner import ScriptedOwner

PASSPHRASE = "a passphrase of a test"


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """The owner's end, and the appliance's."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.fixture
def appliance(ends: tuple[int, int]) -> Iterator[int]:
    with ScriptedOwner(ends[0], "alice", "here", "there", PASSPHRASE, remote=True):
        yield ends[1]


def typed(appliance: int, seconds: float = 10) -> str:
    """The next line that the owner types, or nothing."""
    line = b""
    deadline = time.monotonic() + seconds
    while not line.endswith(b"\n") and select.select([appliance], [], [], max(0.0, deadline - time.monotonic()))[0]:
        line += os.read(appliance, 1)
    return line.decode()


@pytest.mark.parametrize(("title", "length"), [("Passphrase", len(PASSPHRASE)), ("Dice", 60)])
def test_what_is_not_echoed_is_typed_by_its_title(appliance: int, title: str, length: int) -> None:
    os.write(appliance, f"\r\n--- {title} ------\r\n  Type it.\r\n> ".encode())
    assert len(typed(appliance)) == length + 1


def test_a_question_that_comes_in_pieces_is_answered_when_it_is_whole(
    appliance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a busy machine takes from one piece to the next.
    monkeypatch.setattr(played, "_STILL_SECONDS", 2.0)
    os.write(appliance, b"\r\n--- Passphrase ------\r\n> ")
    os.write(appliance, b"\r\n--- Arm ------\r\n  Now?\r\n> ")
    assert typed(appliance) == "arm\n"


def test_a_passphrase_is_typed_once_for_each_question(appliance: int) -> None:
    question = b"\r\n--- Passphrase ------\r\n  Type it.\r\n> "
    os.write(appliance, question)
    assert typed(appliance) == f"{PASSPHRASE}\n"
    os.write(appliance, b"\r\n")
    assert not typed(appliance, 1)
    os.write(appliance, question)
    assert typed(appliance) == f"{PASSPHRASE}\n"


def test_half_a_passphrase_is_typed_without_enter(ends: tuple[int, int]) -> None:
    with ScriptedOwner(ends[0], "alice", "here", "there", PASSPHRASE, remote=True) as owner:
        owner.half = "half of it"
        os.write(ends[1], b"\r\n--- Passphrase ------\r\n> ")
        assert typed(ends[1], 5) == "half of it"
        owner.half = None
        os.write(ends[1], b"\r\n--- Passphrase ------\r\n> ")
        assert typed(ends[1]) == f"{PASSPHRASE}\n"
