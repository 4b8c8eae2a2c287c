"""Locking scripts: building the quorum's multisig, recognising the standard kinds."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import ScriptError

MAX_MULTISIG_KEYS = 15

_OP_1 = 0x51
_OP_16 = 0x60
_OP_RETURN = 0x6A
_OP_CHECKMULTISIG = 0xAE
_COMPRESSED_KEY_BYTES = 33
_PUSH_KEY = bytes([_COMPRESSED_KEY_BYTES])


class ScriptType(enum.Enum):
    """The kinds of locking script that this project tells apart."""

    P2PKH = "p2pkh"
    P2SH = "p2sh"
    P2WPKH = "p2wpkh"
    P2WSH = "p2wsh"
    P2TR = "p2tr"
    NULL_DATA = "null-data"
    UNKNOWN = "unknown"


# Witness programs by version and length in bytes.
_PROGRAMS = {
    (0, 20): ScriptType.P2WPKH,
    (0, 32): ScriptType.P2WSH,
    (1, 32): ScriptType.P2TR,
}


def multisig_script(threshold: int, public_keys: Iterable[bytes]) -> bytes:
    """`threshold <key>… n OP_CHECKMULTISIG` with the keys sorted (BIP 67).

    Raises ScriptError for keys that are not compressed, repeated keys, and anything but 1 <= m <= n <= 15.
    """
    keys = sorted(public_keys)
    if not 1 <= threshold <= len(keys) <= MAX_MULTISIG_KEYS:
        raise ScriptError(f"{threshold} of {len(keys)} is not a possible quorum")
    for key in keys:
        if len(key) != _COMPRESSED_KEY_BYTES or key[0] not in (2, 3):
            raise ScriptError("a key is not a compressed public key")
    # Attack: one key counted twice, so that one owner alone meets the threshold.
    if len(set(keys)) != len(keys):
        raise ScriptError("a key occurs twice")
    head, tail = bytes((_OP_1 - 1 + threshold,)), bytes((_OP_1 - 1 + len(keys), _OP_CHECKMULTISIG))
    return _PUSH_KEY.join((head, *keys)) + tail


def multisig_parts(script: bytes) -> tuple[int, tuple[bytes, ...]]:
    """Threshold and keys of a script that `multisig_script` built; ScriptError for any other."""
    key_count, rest = divmod(len(script) - 3, _COMPRESSED_KEY_BYTES + 1)
    if rest or not 1 <= key_count <= MAX_MULTISIG_KEYS:
        raise ScriptError("not a multisig script with sorted compressed keys")
    width = _COMPRESSED_KEY_BYTES + 1
    keys = tuple(script[2 + at * width : 1 + (at + 1) * width] for at in range(key_count))
    threshold = script[0] - _OP_1 + 1
    # Attack: a script that is one byte off what its keys and threshold give; rebuilding leaves no room.
    if multisig_script(threshold, keys) != script:
        raise ScriptError("not a multisig script with sorted compressed keys")
    return threshold, keys


def p2wsh_script(witness_script: bytes) -> bytes:
    """The locking script that pays to this witness script (BIP 141)."""
    return b"\x00\x20" + sha256(witness_script)


def p2wpkh_script_code(key_hash: bytes) -> bytes:
    """The script code that BIP 143 signs for a P2WPKH output with this 20-byte key hash."""
    return b"\x76\xa9\x14" + key_hash + b"\x88\xac"


def witness_program(script: bytes) -> tuple[int, bytes] | None:
    """Witness version and program of a locking script, or None when it is no witness program (BIP 141)."""
    if not 4 <= len(script) <= 42 or script[1] != len(script) - 2:
        return None
    if script[0] == 0:
        return 0, script[2:]
    if _OP_1 <= script[0] <= _OP_16:
        return script[0] - _OP_1 + 1, script[2:]
    return None


def classify(script: bytes) -> ScriptType:
    """The kind of a locking script; UNKNOWN for everything that is not exactly one of the standard forms."""
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return ScriptType.P2PKH
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return ScriptType.P2SH
    if script[:1] == bytes([_OP_RETURN]) and _is_push_only(script[1:]):
        return ScriptType.NULL_DATA
    program = witness_program(script)
    if program is None:
        return ScriptType.UNKNOWN
    return _PROGRAMS.get((program[0], len(program[1])), ScriptType.UNKNOWN)


def _is_push_only(script: bytes) -> bool:
    """Whether the script is a sequence of whole pushes (Bitcoin Core's IsPushOnly)."""
    position = 0
    while position < len(script):
        opcode = script[position]
        position += 1
        if opcode > _OP_16:
            return False
        if opcode <= 0x4B:
            position += opcode
        elif opcode <= 0x4E:
            width = 1 << (opcode - 0x4C)
            length_bytes = script[position : position + width]
            if len(length_bytes) != width:
                return False
            position += width + int.from_bytes(length_bytes, "little")
    return position == len(script)
