"""Private key derivation (BIP 32) on guarded memory: from a seed to a hardened account node, in place.

Below the account only public tweaks are added (see `signing`), so that is all a signer needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from undercroft_appliance.errors import KeyDerivationError

from .hmac512 import DIGEST_BYTES, HmacSha512
from .memory import GuardedMemory, Slot
from .native import SECP_CONTEXT, secp, secp_ffi

KEY_BYTES = 32
PUBLIC_KEY_BYTES = 33
HARDENED = 0x8000_0000


@dataclass(frozen=True, slots=True)
class PrivateNode:
    """Where an extended private key lies: the key and its chain code, 32 bytes each."""

    key: Slot
    chain_code: Slot

    @classmethod
    def take(cls, memory: GuardedMemory) -> PrivateNode:
        """A node with slots of its own."""
        return cls(memory.take(KEY_BYTES), memory.take(KEY_BYTES))

    def wipe(self) -> None:
        """Overwrites both."""
        self.key.wipe()
        self.chain_code.wipe()


class Hierarchy:
    """BIP 32's two private steps, with their own scratch slots."""

    def __init__(self, memory: GuardedMemory, hmac: HmacSha512) -> None:
        self._hmac = hmac
        self._digest = memory.take(DIGEST_BYTES)
        self._message = memory.take(1 + KEY_BYTES + 4)

    def load_master(self, node: PrivateNode, seed: Slot) -> None:
        """`node` becomes the master node of the seed. Raises KeyDerivationError (chance: 2^-127)."""
        try:
            self._hmac.digest(b"Bitcoin seed", seed, self._digest)
            node.key.copy_from(self._digest.part(0, KEY_BYTES))
            node.chain_code.copy_from(self._digest.part(KEY_BYTES, KEY_BYTES))
        finally:
            self._digest.wipe()
        if not secp.secp256k1_ec_seckey_verify(SECP_CONTEXT, node.key.secp):
            raise KeyDerivationError("master")

    def harden(self, node: PrivateNode, index: int) -> None:
        """`node` becomes its own hardened child `index` (0 to 2^31 - 1). Raises KeyDerivationError."""
        if not 0 <= index < HARDENED:
            raise ValueError(f"no child {index}")
        message = self._message
        try:
            message.part(0, 1).store_public(b"\0")
            message.part(1, KEY_BYTES).copy_from(node.key)
            message.part(1 + KEY_BYTES, 4).store_public((index | HARDENED).to_bytes(4, "big"))
            self._hmac.digest(node.chain_code, message, self._digest)
            if not secp.secp256k1_ec_seckey_tweak_add(SECP_CONTEXT, node.key.secp, self._digest.secp):
                raise KeyDerivationError(f"child {index}h")
            node.chain_code.copy_from(self._digest.part(KEY_BYTES, KEY_BYTES))
        finally:
            message.wipe()
            self._digest.wipe()


def public_key(key: Slot) -> bytes:
    """The 33-byte compressed public key of a private key. Raises KeyDerivationError if there is none."""
    point = secp_ffi.new("secp256k1_pubkey *")
    if not secp.secp256k1_ec_pubkey_create(SECP_CONTEXT, point, key.secp):
        raise KeyDerivationError("public key")
    encoded = secp_ffi.new(f"unsigned char[{PUBLIC_KEY_BYTES}]")
    size = secp_ffi.new("size_t *", PUBLIC_KEY_BYTES)
    secp.secp256k1_ec_pubkey_serialize(SECP_CONTEXT, encoded, size, point, secp.SECP256K1_EC_COMPRESSED)
    return bytes(secp_ffi.buffer(encoded))
