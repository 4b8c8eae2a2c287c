"""A process whose memory holds what a test puts there, for scans to find."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from undercroft_appliance.devtools.memory_search import Found, Search

HOLDER = Path(__file__).with_name("memory_holder.py")
KEY = bytes.fromhex("e3b0d44c9afc1c149afb94c8969fd24127ae41e4649b934ca495991b7852a855")
"""A 32-byte secret without two equal bytes next to each other, for tests only."""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may look into another process")


class Holder:
    """The running process; `hold` replaces what it holds."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process

    def hold(self, parts: Mapping[int, bytes]) -> None:
        """The page is these bytes at these offsets, and zeros."""
        page = bytearray(mmap.PAGESIZE)
        for at, data in parts.items():
            page[at : at + len(data)] = data
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(page)
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"ready\n"

    def scan(self, search: Search) -> Found:
        return search.processes([self.pid])


@contextmanager
def holding() -> Iterator[Holder]:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(HOLDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            yield Holder(process)
        finally:
            process.kill()
