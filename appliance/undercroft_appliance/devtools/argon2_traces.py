"""What Argon2id (RFC 9106) has in its hands on the way from a passphrase to a sealing key, for a scan to look for.

Its first digest H0 is enough to go on from; its last block is enough to end with: BLAKE2b-256(32 || block) is the
key. The reference code clears its memory; here it is told not to, so that the last block can be read.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
from dataclasses import dataclass
from typing import Any, Final

from argon2.low_level import Type, core, error_to_str
from argon2.low_level import ffi as argon2_ffi

from undercroft_appliance.errors import SelfTestError
from undercroft_protocol.messages import Envelope

KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 1024
_VERSION: Final = 0x13
_LANES: Final = 1


@dataclass(frozen=True, slots=True, repr=False)
class Argon2Traces:
    """The first digest (64 bytes), the memory's first and last block (1024 bytes each), and the key (32 bytes)."""

    first_digest: bytes
    first_block: bytes
    last_block: bytes
    key: bytes


def argon2_traces(envelope: Envelope, passphrase: bytes) -> Argon2Traces:
    """Argon2id with an envelope's salt and cost. Raises SelfTestError if it fails, or its parts do not fit together."""
    blocks: list[bytes] = []
    working = argon2_ffi.new("uint8_t[]", envelope.memory_kib * _BLOCK_BYTES)
    out = argon2_ffi.new("uint8_t[]", KEY_BYTES)
    secret, salt = argon2_ffi.new("uint8_t[]", passphrase), argon2_ffi.new("uint8_t[]", envelope.salt)

    def hand_out(memory: Any, _size: int) -> int:
        memory[0] = working
        return 0

    def release(memory: Any, size: int) -> None:
        for at in (0, size - _BLOCK_BYTES):
            blocks.append(bytes(argon2_ffi.buffer(memory + at, _BLOCK_BYTES)))

    allocate = argon2_ffi.callback("int(uint8_t **, size_t)", hand_out)
    free = argon2_ffi.callback("void(uint8_t *, size_t)", release)
    context = argon2_ffi.new(
        "argon2_context *",
        {
            "version": _VERSION,
            "out": out,
            "outlen": KEY_BYTES,
            "pwd": secret,
            "pwdlen": len(passphrase),
            "salt": salt,
            "saltlen": len(envelope.salt),
            "t_cost": envelope.opslimit,
            "m_cost": envelope.memory_kib,
            "lanes": _LANES,
            "threads": _LANES,
            "allocate_cbk": allocate,
            "free_cbk": free,
        },
    )
    library = ctypes.CDLL(importlib.import_module("_argon2_cffi_bindings._ffi").__file__)
    clearing = ctypes.c_int.in_dll(library, "FLAG_clear_internal_memory")
    before, clearing.value = clearing.value, 0
    try:
        result = core(context, Type.ID.value)
    finally:
        clearing.value = before
    if result != 0:
        raise SelfTestError(f"Argon2id: {error_to_str(result)}")
    key = bytes(argon2_ffi.buffer(out))
    first_block, last_block = blocks
    if hashlib.blake2b(_le32(KEY_BYTES) + last_block, digest_size=KEY_BYTES).digest() != key:
        raise SelfTestError("Argon2id's last block does not give its key")
    return Argon2Traces(_first_digest(envelope, passphrase), first_block, last_block, key)


def _first_digest(envelope: Envelope, passphrase: bytes) -> bytes:
    numbers = (_LANES, KEY_BYTES, envelope.memory_kib, envelope.opslimit, _VERSION, Type.ID.value)
    said = b"".join(_le32(number) for number in numbers)
    for part in (passphrase, envelope.salt, b"", b""):
        said += _le32(len(part)) + part
    return hashlib.blake2b(said).digest()


def _le32(number: int) -> bytes:
    return number.to_bytes(4, "little")
