"""`undercroft-appliance` as people start it, and the files that it is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.builders import QUORUM

POLICY_TEXT: Final = """\
version = 1
name = "daily payouts"
hold_above_sats = 50_000_000
refuse_above_sats = 100_000_000
most_fee_sats = 100_000
most_fee_ppm = 20_000
most_feerate_sat_per_kvb = 100_000
most_inputs = 20
most_payees = 10
most_transactions = 5
payee_types = ["p2tr", "p2wpkh", "p2wsh"]
change_gap = 20
activation_seconds = 28_800
idle_seconds = 3600

[[windows]]
seconds = 3600
hold_above_sats = 100_000_000
refuse_above_sats = 150_000_000
"""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def answer(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)


def run(*arguments: str | Path, stdin: bytes = b"", pass_fds: Sequence[int] = ()) -> Done:
    """Run a command in a process of its own, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "undercroft_appliance.main", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def given(directory: Path, name: str, data: bytes | str) -> Path:
    """A file with this in it."""
    path = directory / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def quorum_file(directory: Path) -> Path:
    """The test quorum as a file."""
    return given(directory, "quorum.cbor", QUORUM.to_bytes())


def pipe_with(data: bytes) -> int:
    """A descriptor from which exactly this can be read; the caller closes it."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading
