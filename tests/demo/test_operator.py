"""The operator of the demo: what they began is ended, whoever started the whole."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from undercroft_demo.operator import Operator

_WAITS = """
import sys, time
open(sys.argv[1], "w").write("begun")
time.sleep(600)
"""


class Waiting(Operator):
    """Its command says that it has begun, and then waits."""

    __slots__ = ()

    def _command(self, arguments: Collection[str]) -> list[str]:
        return [sys.executable, "-c", _WAITS, *arguments]


@pytest.fixture
def in_the_background() -> Iterator[None]:
    """As a shell starts a job with &: it and all below it ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_the_background")
def test_mishap_a_command_is_given_up_also_where_ctrl_c_is_ignored(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with Waiting(tmp_path).given_up(str(begun)):
        while not begun.exists():
            os.sched_yield()
