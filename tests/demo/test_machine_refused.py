"""Whether an emulated machine's line was ever opened is read from its serial device."""

from __future__ import annotations

from typing import Any, cast

import pytest

from undercroft_demo.image_test.abandoned import HALF, PREFIX
from undercroft_demo.image_test.refused import CASES, line_was_opened
from undercroft_demo.qmp import Control
from undercroft_protocol.bitcoin.network import Network


class _Control:
    """Stands in for the emulator's control line."""

    def __init__(self, told: str) -> None:
        self.told = told

    def ask(self, command: str, **arguments: Any) -> str:
        assert command == "human-monitor-command"
        assert arguments["command-line"].startswith("xp ")
        return self.told


@pytest.mark.parametrize(("value", "is_open"), [("0x00000000", False), ("0x0000000d", True)])
def test_a_line_without_a_baud_rate_was_never_opened(value: str, is_open: bool) -> None:
    assert line_was_opened(cast(Control, _Control(f"0000000009000024: {value}\r\n"))) is is_open


def test_mishap_an_emulator_that_tells_something_else_tells_nothing_of_the_line() -> None:
    with pytest.raises(ValueError, match="Cannot"):
        line_was_opened(cast(Control, _Control("Cannot access memory\r\n")))


def test_money_in_an_emulator_is_among_what_is_refused() -> None:
    assert (Network.MAINNET.value,) in [one.change[2] for one in CASES]
    assert len({one.name for one in CASES}) == len(CASES)


def test_the_half_that_is_typed_is_long_enough_to_be_found_by_whole_words() -> None:
    # Of a part of 15 bytes or more eight lie at an address divisible by 8; a shorter one begins with the prefix.
    assert len(HALF) > PREFIX + 7
    assert HALF.isascii()
