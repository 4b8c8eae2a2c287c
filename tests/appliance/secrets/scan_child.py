"""The process that is scanned: it makes, binds, unlocks and uses a key, and waits at each stage for the scanner.

`scan_child.py TTY_FD ENTROPY_FD KIND`. Each stage is a line of JSON on stdout, and a line on stdin lets it go on. The
system's random bytes come from a descriptor straight into guarded memory, so that the scanner knows them and this
process has no other copy.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, InputRequest, KernelEntropy, Keyring
from undercroft_appliance.keeper.secrets.memory import Slot
from undercroft_appliance.keeper.secrets.native import libc
from undercroft_protocol.bitcoin.network import Network

QUORUM = hashlib.sha256(b"a quorum").digest()
SIGNATURES = 1000


class TestersEntropy(KernelEntropy):
    """The kernel's at first, for the self-test; then what the tester writes into a pipe."""

    descriptor: int | None = None

    def fill(self, slot: Slot) -> None:
        if self.descriptor is None:
            super().fill(slot)
        elif libc.read(self.descriptor, slot.address, slot.size) != slot.size:
            raise RuntimeError("the tester gave too few bytes")


def digest(number: int) -> bytes:
    return hashlib.sha256(f"digest {number}".encode()).digest()


def branch(number: int) -> int:
    return number % 2


def stage(name: str, **facts: Any) -> None:
    print(json.dumps({"stage": name, **facts}), flush=True)
    sys.stdin.readline()


def prompt(_text: str = "") -> None:
    print(json.dumps({"stage": "prompt"}), flush=True)


def dice_prompt(_text: str) -> None:
    print(json.dumps({"stage": "dice prompt"}), flush=True)


def main(tty: int, entropy_fd: int, kind: Any) -> None:
    entropy = TestersEntropy()
    keyring = Keyring(
        network=Network.REGTEST,
        entropy=entropy,
        kdf_bounds=TEST_BOUNDS,
        kdf_cost=TEST_COST,
        kinds=(kind,),
    )
    entropy.descriptor = entropy_fd
    where = keyring._memory
    stage("start", guarded=[where.address, where.address + where.size])
    keyring.draw_entropy()
    stage("draw")
    keyring.read_entropy(tty, dice_prompt)
    stage("dice")
    keyring.mix_entropy()
    stage("mix")
    keyring.read_new_passphrase(tty, prompt)
    stage("passphrase")
    draft = keyring.create_key().envelope
    stage("create", envelope=draft.to_bytes().hex())
    keyring.read_passphrase(tty, prompt)
    envelope = keyring.rebind(draft, QUORUM)
    stage("rebind", envelope=envelope.to_bytes().hex())
    keyring.wipe()
    stage("wipe after rebind")
    keyring.read_passphrase(tty, prompt)
    keyring.unlock(envelope, QUORUM)
    stage("unlock")
    requests = [InputRequest(branch(number), number, digest(number)) for number in range(SIGNATURES)]
    signatures = keyring.sign_inputs(requests)
    keyring.sign_identity(b"data")
    stage("sign", signatures=[signature.hex() for signature in signatures])
    keyring.wipe()
    stage("wipe")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
