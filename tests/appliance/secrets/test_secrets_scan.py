"""No secret is found in the memory of a process that makes, unlocks, uses and wipes a key, but in guarded pages.

The scan is shown to find copies where there are some: in a process that does the same with Python objects.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pty
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.secrets.scan import copies
from appliance.secrets.scan_child import digest
from appliance.secrets.secrets_support import (
    PASSPHRASE,
    PassphraseOwner,
    bound_envelope,
    other_opinion,
    require_kind,
    sealing_key_of,
    seed_of,
)
from undercroft_appliance.keeper.secrets import Keyring
from undercroft_appliance.keeper.secrets.memory import KINDS, Kind
from undercroft_protocol.bitcoin.signature import CURVE_ORDER, parse_der
from undercroft_protocol.messages import Envelope

CHILD = Path(__file__).with_name("scan_child.py")
WATCHED = (0, 1, 100, 101, 198, 199)
"""The inputs whose child key and nonce are looked for: the first, the last, and some between."""


class Scanned:
    """A running scan_child.py and the keyboard of its terminal."""

    def __init__(self, process: subprocess.Popen[str], keyboard: int) -> None:
        self.pid = process.pid
        self.guarded = range(0)
        self._process = process
        self._keyboard = keyboard

    def until(self, stage: str) -> dict[str, Any]:
        """Types the passphrase at each prompt until the child has come to this stage."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            facts: dict[str, Any] = json.loads(line)
            if facts["stage"] == "prompt":
                os.write(self._keyboard, PASSPHRASE + b"\n")
                continue
            assert facts["stage"] == stage
            if "guarded" in facts:
                self.guarded = range(*facts["guarded"])
            return facts
        raise AssertionError(f"the child ended before {stage}")

    def go_on(self, answer: str = "") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(answer + "\n")
        self._process.stdin.flush()

    def copies(self, secrets: dict[str, bytes]) -> tuple[Counter[str], Counter[str]]:
        return copies(self.pid, secrets, self.guarded)


@contextmanager
def scanned(*arguments: str) -> Iterator[Scanned]:
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(terminal), *arguments],
        pass_fds=[terminal],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Scanned(process, keyboard)
        process.stdin.close() if process.stdin else None
        assert process.wait() == 0
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)
        os.close(terminal)


def nonce_of(signature: bytes, message: bytes, secret: bytes) -> bytes:
    """The nonce that an ECDSA signature was made with: k = (z + r d) / s."""
    r, s = parse_der(signature)
    z, d = int.from_bytes(message, "big"), int.from_bytes(secret, "big")
    return ((z + r * d) * pow(s, -1, CURVE_ORDER) % CURVE_ORDER).to_bytes(32, "big")


def negated(number: bytes) -> bytes:
    return (CURVE_ORDER - int.from_bytes(number, "big")).to_bytes(32, "big")


def secrets_behind(envelopes: Sequence[Envelope]) -> dict[str, bytes]:
    """All secrets that a process which opened these envelopes had in its hands."""
    seed = seed_of(envelopes[0])
    other = other_opinion(seed)
    identity_seed = other.identity.encode()
    node, secrets = other.master, {"passphrase": PASSPHRASE, "seed": seed, "identity": identity_seed}
    secrets["expanded identity"] = hashlib.sha512(identity_seed).digest()
    secrets["rest of the identity's HMAC"] = hmac.digest(b"undercroft/1/identity", seed, "sha512")[32:]
    for number, envelope in enumerate(envelopes):
        secrets[f"sealing key {number}"] = sealing_key_of(envelope)
    for depth, index in enumerate((48, 1, 0, 2)):
        secrets[f"key at depth {depth}"] = node.key.secret
        secrets[f"chain code at depth {depth}"] = node.chain_code
        node = node.derive([index | 1 << 31])
    secrets["account key"] = node.key.secret
    for branch in (0, 1):
        secrets[f"branch {branch}"] = node.derive([branch]).key.secret
    for number in WATCHED:
        secrets[f"child {number}"] = other.child_secret(number % 2, number)
    return secrets


@pytest.mark.parametrize("kind", KINDS)
def test_attack_a_scan_of_the_whole_process_finds_no_secret_outside_guarded_pages(kind: Kind) -> None:
    require_kind(kind)
    with scanned("guarded", kind) as child:
        child.until("start")
        known = {"passphrase": PASSPHRASE}
        assert not child.copies(known)[0]
        child.go_on()

        child.until("passphrase")
        outside, inside = child.copies(known)
        assert not outside
        assert bool(inside) == (kind == "mlock")
        child.go_on()

        draft = Envelope.from_bytes(bytes.fromhex(child.until("create")["envelope"]))
        secrets = secrets_behind([draft])
        outside, inside = child.copies(secrets)
        assert not outside
        assert set(inside) <= {"identity"}
        child.go_on()

        bound = Envelope.from_bytes(bytes.fromhex(child.until("rebind")["envelope"]))
        secrets = secrets_behind([draft, bound])
        assert not child.copies(secrets)[0]
        child.go_on()

        kept = {"identity", "branch 0", "branch 1"}
        child.until("unlock")
        outside, inside = child.copies(secrets)
        assert not outside
        assert set(inside) == (kept if kind == "mlock" else set())
        child.go_on()

        signatures = [bytes.fromhex(text) for text in child.until("sign")["signatures"]]
        for number in WATCHED:
            message, secret = digest(number), secrets[f"child {number}"]
            nonce = nonce_of(signatures[number], message, secret)
            secrets |= {f"nonce {number}": nonce, f"negated nonce {number}": negated(nonce)}
        outside, inside = child.copies(secrets)
        assert not outside
        assert set(inside) == (kept if kind == "mlock" else set())
        child.go_on()

        child.until("wipe")
        assert child.copies(secrets) == (Counter(), Counter())
        child.go_on()


def test_the_scan_finds_what_a_process_with_python_objects_leaves_behind(
    keyring: Keyring, owner: PassphraseOwner
) -> None:
    envelope = bound_envelope(keyring, owner)
    secrets = secrets_behind([envelope])
    with scanned("naive") as child:
        child.until("start")
        assert not child.copies(secrets)[0]
        child.go_on(envelope.to_bytes().hex())
        child.until("unlock")
        outside, _ = child.copies(secrets)
        assert {"passphrase", "seed", "sealing key 0", "account key"} <= set(outside)
        child.go_on()
        child.until("wipe")
        outside, _ = child.copies(secrets)
        assert outside
        child.go_on()
