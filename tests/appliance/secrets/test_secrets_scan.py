"""No secret is found in the memory of a process that makes, unlocks, uses and wipes a key, but in guarded pages.

Every map is read, each secret is looked for in every form. With mlock the guarded pages can be read, so that it shows
what they hold at each stage; pages of memfd_secret cannot be read by anybody.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.secrets.scan_child import SIGNATURES, branch, digest
from appliance.secrets.secrets_support import DICE, PASSPHRASE, mixed_seed, require_kind
from undercroft_appliance.devtools.key_secrets import IDENTITY, KEPT, LOG, KeySecrets, Signed
from undercroft_appliance.devtools.memory_search import Found, Search
from undercroft_appliance.devtools.secret_forms import Secret
from undercroft_appliance.keeper.secrets.memory import KINDS, Kind
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Envelope

CHILD = Path(__file__).with_name("scan_child.py")
WATCHED = (0, 1, 2, 500, 501, 998, 999)
"""The inputs whose key and nonce are looked for in every form: the first, the last, and some between."""
SYSTEM = bytes.fromhex("9c41f7d35be02a68c1947e0db35f8a26714ec8903dbd1fa5607be3452fd8960a")
PASSPHRASE_SECRET = Secret.of_text("passphrase", PASSPHRASE.decode())
DICE_SECRET = Secret.of_text("dice", DICE.decode())
SYSTEM_SECRET = Secret("system's bytes", SYSTEM)
SEED = Secret("seed", mixed_seed(SYSTEM))

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root may look into another process")


class Scanned:
    """A running scan_child.py, the keyboard of its terminal, and the end of its entropy."""

    def __init__(self, process: subprocess.Popen[str], keyboard: int) -> None:
        self.pid = process.pid
        self._process = process
        self._keyboard = keyboard

    def until(self, stage: str) -> dict[str, Any]:
        """Types at each prompt until the child has come to this stage."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            facts: dict[str, Any] = json.loads(line)
            if facts["stage"] == "prompt":
                os.write(self._keyboard, PASSPHRASE + b"\n")
            elif facts["stage"] == "dice prompt":
                os.write(self._keyboard, DICE + b"\n")
            else:
                assert facts["stage"] == stage
                return facts
        raise AssertionError(f"the child ended before {stage}")

    def scan(self, search: Search) -> Found:
        """All that is found now; then the child may go on."""
        found = search.processes([self.pid])
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return found


@contextmanager
def scanned(kind: Kind) -> Iterator[Scanned]:
    keyboard, terminal = pty.openpty()
    entropy, filled = os.pipe()
    os.write(filled, SYSTEM)
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(terminal), str(entropy), kind],
        pass_fds=[terminal, entropy],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Scanned(process, keyboard)
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()
        for descriptor in (keyboard, terminal, entropy, filled):
            os.close(descriptor)


def names(found: Found) -> set[str]:
    """What the guarded pages hold; nothing may be anywhere else."""
    assert found.outside == ()
    return {copy.secret for copy in found.guarded}


@pytest.mark.parametrize("kind", KINDS)
def test_attack_a_scan_of_the_whole_process_finds_no_secret_outside_guarded_pages(kind: Kind) -> None:
    require_kind(kind)
    readable = kind == "mlock"

    def held(*expected: str) -> set[str]:
        return set(expected) if readable else set()

    before = (PASSPHRASE_SECRET, DICE_SECRET, SYSTEM_SECRET, SEED)
    search = Search(before)
    with scanned(kind) as child:
        pages = range(*child.until("start")["guarded"])
        assert names(child.scan(search)) == set()
        child.until("draw")
        assert names(child.scan(search)) == held("system's bytes")
        child.until("dice")
        assert names(child.scan(search)) == held("system's bytes", "dice")
        child.until("mix")
        assert names(child.scan(search)) == held("system's bytes", "seed")
        child.until("passphrase")
        assert names(child.scan(search)) == held("system's bytes", "seed", "passphrase")

        draft = Envelope.from_bytes(bytes.fromhex(child.until("create")["envelope"]))
        behind = KeySecrets(draft, PASSPHRASE.decode(), Network.REGTEST)
        assert names(child.scan(Search((*before, *behind.everything([draft]))))) == held(IDENTITY, LOG)

        bound = Envelope.from_bytes(bytes.fromhex(child.until("rebind")["envelope"]))
        secrets = (*before, *behind.everything([draft, bound]))
        search = Search(secrets)
        assert names(child.scan(search)) <= held(*KEPT)
        child.until("wipe after rebind")
        assert child.scan(search).copies == ()
        child.until("unlock")
        assert names(child.scan(search)) == held(*KEPT)

        ders = [bytes.fromhex(text) for text in child.until("sign")["signatures"]]
        assert len(ders) == SIGNATURES
        signed = [Signed(branch(at), at, digest(at), der) for at, der in enumerate(ders)]
        for at, one in enumerate(signed):
            secrets += behind.of_input(one, brief=at not in WATCHED)
        search = Search(secrets)
        found = child.scan(search)
        assert names(found) == held(*KEPT)
        assert all(copy.address in pages for copy in found.guarded)
        child.until("wipe")
        assert child.scan(search).copies == ()
