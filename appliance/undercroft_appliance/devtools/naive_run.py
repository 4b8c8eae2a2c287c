"""Drives the naive signer from stage to stage and scans it at each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Envelope

from .key_secrets import KeySecrets, Signed
from .memory_search import Found, Search
from .naive_signer import digest_of

PASSPHRASE: Final = "Jolting 4471 zebra, pyx quiz vow"  # noqa: S105 - of a key that is thrown away
"""Obviously a test's; no part of it occurs elsewhere in a Python process."""
STAGES: Final = ("create", "unlock", "sign", "lock")


def scans_of_naive_signer(signatures: int) -> Iterator[tuple[str, Found]]:
    """(stage, what was found) for each of `STAGES`; the process ends with the iteration."""
    command = [sys.executable, "-m", f"{__package__}.naive_signer", Network.REGTEST.value, str(signatures)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        signer = _Signer(process)
        try:
            signer.says("start")
            signer.go_on(PASSPHRASE)
            search = Search(())
            for stage in STAGES:
                facts = signer.says(stage)
                if stage == "create":
                    envelope = Envelope.from_bytes(bytes.fromhex(facts["envelope"]))
                    behind = KeySecrets(envelope, PASSPHRASE, Network.REGTEST)
                    secrets = behind.everything([envelope])
                    search = Search(secrets)
                elif stage == "sign":
                    ders = [bytes.fromhex(text) for text in facts["signatures"]]
                    signed = [Signed(at % 2, at, digest_of(at), der) for at, der in enumerate(ders)]
                    inputs = [secret for one in signed for secret in behind.of_input(one, brief=True)]
                    search = Search((*secrets, *inputs))
                yield stage, search.processes([process.pid])
                signer.go_on()
        finally:
            process.kill()


class _Signer:
    """The two ends of the pipes to the naive signer."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the naive signer has no pipes")
        self._to, self._from = process.stdin, process.stdout

    def says(self, stage: str) -> dict[str, Any]:
        """Wait for this stage and its facts."""
        facts: dict[str, Any] = json.loads(self._from.readline())
        if facts["stage"] != stage:
            raise RuntimeError(f"the naive signer says {facts['stage']} in place of {stage}")
        return facts

    def go_on(self, line: str = "") -> None:
        self._to.write(f"{line}\n".encode())
        self._to.flush()
