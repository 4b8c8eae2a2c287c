"""The process that is scanned: it makes, binds, unlocks and uses a key, and waits at each stage for the scanner.

`scan_child.py TTY_FD guarded KIND`, or `scan_child.py TTY_FD naive`. Each stage is a line of JSON on stdout, the
answer a line on stdin. It is not hardened, so that its parent can look into it at all.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import json
import os
import sys
import termios
from typing import Any

import nacl.bindings as sodium
from coincurve import PrivateKey

from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, InputRequest, KernelEntropy, Keyring
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Envelope

QUORUM = hashlib.sha256(b"a quorum").digest()
SIGNATURES = 200


def digest(number: int) -> bytes:
    return hashlib.sha256(f"digest {number}".encode()).digest()


def stage(name: str, **facts: Any) -> str:
    print(json.dumps({"stage": name, **facts}), flush=True)
    return sys.stdin.readline().strip()


def prompt(_text: str = "") -> None:
    print(json.dumps({"stage": "prompt"}), flush=True)


def guarded(tty: int, kind: Any) -> None:
    keyring = Keyring(
        network=Network.REGTEST,
        entropy=KernelEntropy(),
        kdf_bounds=TEST_BOUNDS,
        kdf_cost=TEST_COST,
        kinds=(kind,),
    )
    where = keyring._memory
    stage("start", guarded=[where.address, where.address + where.size])
    keyring.read_new_passphrase(tty, prompt)
    stage("passphrase")
    draft = keyring.create_key().envelope
    stage("create", envelope=draft.to_bytes().hex())
    keyring.read_passphrase(tty, prompt)
    envelope = keyring.rebind(draft, QUORUM)
    stage("rebind", envelope=envelope.to_bytes().hex())
    keyring.wipe()
    keyring.read_passphrase(tty, prompt)
    keyring.unlock(envelope, QUORUM)
    stage("unlock")
    requests = [InputRequest(number % 2, number, digest(number)) for number in range(SIGNATURES)]
    signatures = keyring.sign_inputs(requests)
    keyring.sign_identity(b"data")
    stage("sign", signatures=[signature.hex() for signature in signatures])
    keyring.wipe()
    stage("wipe")


def naive(tty: int) -> None:
    """The same with the usual Python objects, as most signers do it: what the scanner must find."""
    envelope = Envelope.from_bytes(bytes.fromhex(stage("start", guarded=[0, 0])))
    silent = termios.tcgetattr(tty)
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(tty, termios.TCSAFLUSH, silent)
    prompt()
    passphrase = os.read(tty, 256).rstrip(b"\n")
    cost = (envelope.opslimit, envelope.memory_kib * 1024)
    sealing_key = sodium.crypto_pwhash_alg(32, passphrase, envelope.salt, *cost, 2)
    seed = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
        envelope.ciphertext, envelope.associated_data(), envelope.nonce, sealing_key
    )
    master = hmac.digest(b"Bitcoin seed", seed, "sha512")
    key, chain_code = PrivateKey(master[:32]), master[32:]
    for index in (48, 1, 0, 2):
        step = hmac.digest(chain_code, b"\0" + key.secret + (index | 1 << 31).to_bytes(4, "big"), "sha512")
        key, chain_code = key.add(step[:32]), step[32:]
    stage("unlock")
    key.sign(digest(0), hasher=None)
    del passphrase, sealing_key, seed, master, key, chain_code, step
    gc.collect()
    stage("wipe")


if __name__ == "__main__":
    terminal, *how = sys.argv[1:]
    if how == ["naive"]:
        naive(int(terminal))
    else:
        guarded(int(terminal), how[1])
