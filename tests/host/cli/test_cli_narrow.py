"""Lists on a terminal that is too narrow for their table: nothing is cut off but hashes, and those say so."""

from __future__ import annotations

import io
import re
import sys

import pytest

from undercroft_host.cli.output import render

ROWS = [
    {"id": 1, "txid": "ab" * 32, "state": "settled", "reason": None},
    {"id": 2, "txid": "cd" * 32, "state": "cancelled", "reason": "alice: owner; bob: owner"},
]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, columns: int) -> list[str]:
    """What a terminal of so many columns shows of the rows."""
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    render(ROWS, as_json=False, text=None)
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_every_value_is_there_and_no_line_is_too_long(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    lines = shown(monkeypatch, columns)
    assert max(len(line.rstrip()) for line in lines) <= columns
    text = " ".join(" ".join(lines).split())
    for value in ("settled", "cancelled", "alice: owner; bob: owner", "abababababab", "cdcdcdcdcdcd"):
        assert value in text


def test_a_wide_terminal_shows_whole_hashes_in_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("ab" * 32 in line and "settled" in line for line in shown(monkeypatch, 200))


def test_a_narrow_terminal_says_that_a_hash_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(f"{'ab' * 6}.." in line for line in shown(monkeypatch, 60))
