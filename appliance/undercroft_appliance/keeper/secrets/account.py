"""The owner's Bitcoin account, m/48h/coin/0h/2h (BIP 48), and the two branches below it that sign.

The account key is there only from `derive` to `forget_account`. While unlocked there are the keys of branch 0
(receiving) and 1 (change), since below them a signature needs public tweaks only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from undercroft_appliance.errors import KeyDerivationError, KeyringLockedError
from undercroft_protocol.bitcoin.extended_key import HARDENED, ExtendedPublicKey
from undercroft_protocol.bitcoin.hashes import hash160
from undercroft_protocol.bitcoin.network import Network

from .hierarchy import KEY_BYTES, Hierarchy, PrivateNode, public_key
from .hmac512 import HmacSha512
from .memory import GuardedMemory, Slot
from .native import SECP_CONTEXT, secp
from .signing import InputSigner, sign_digest

BRANCHES: Final = (0, 1)
_PURPOSE = 48
_ACCOUNT = 0
_SCRIPT_TYPE = 2
_DEPTH = 4
_FINGERPRINT_BYTES = 4


@dataclass(frozen=True, slots=True)
class InputRequest:
    """One input to sign: its key's branch (0 or 1) and index, and the 32-byte digest to sign (BIP 143).

    ``tweak``: what BIP 32 adds to the branch's key (public), from whoever knows it already. A wrong one makes a
    signature that the verify stage refuses.
    """

    branch: int
    index: int
    digest: bytes
    tweak: bytes | None = None

    def __post_init__(self) -> None:
        if self.branch not in BRANCHES or not 0 <= self.index < HARDENED or len(self.digest) != KEY_BYTES:
            raise ValueError("an input is branch 0 or 1, an unhardened index, and a digest of 32 bytes")
        # The library reads 32 bytes from wherever it is pointed.
        if self.tweak is not None and len(self.tweak) != KEY_BYTES:
            raise ValueError("a tweak has 32 bytes")


class Account:
    """The private keys of one account in guarded memory."""

    def __init__(self, memory: GuardedMemory, hmac: HmacSha512, network: Network) -> None:
        self._network = network
        self._hierarchy = Hierarchy(memory, hmac)
        self._signer = InputSigner(memory)
        self._node = PrivateNode.take(memory)
        self._branch_keys = tuple(memory.take(KEY_BYTES) for _ in BRANCHES)
        self._branches: tuple[ExtendedPublicKey, ...] = ()

    def derive(self, seed: Slot) -> tuple[bytes, ExtendedPublicKey]:
        """Makes the account's key; returns the master's fingerprint (4 bytes) and the account's public key.

        Raises KeyDerivationError.
        """
        node = self._node
        self._hierarchy.load_master(node, seed)
        fingerprint = _fingerprint(node)
        for index in (_PURPOSE, self._network.coin_type, _ACCOUNT):
            self._hierarchy.harden(node, index)
        parent_fingerprint = _fingerprint(node)
        self._hierarchy.harden(node, _SCRIPT_TYPE)
        xpub = ExtendedPublicKey(
            version=self._network.xpub_version,
            depth=_DEPTH,
            parent_fingerprint=parent_fingerprint,
            child_number=HARDENED | _SCRIPT_TYPE,
            chain_code=node.chain_code.read_public(),
            public_key=public_key(node.key),
        )
        return fingerprint, xpub

    def sign_as_account(self, digest: bytes, xpub: ExtendedPublicKey) -> bytes:
        """The DER signature of a 32-byte digest by the account key itself. Raises SigningError."""
        return sign_digest(self._node.key, digest, xpub.public_key)

    def keep_branches(self, xpub: ExtendedPublicKey) -> None:
        """Makes the keys of the two branches, which stay. Raises KeyDerivationError."""
        for branch, key in zip(BRANCHES, self._branch_keys, strict=True):
            key.copy_from(self._node.key)
            if not secp.secp256k1_ec_seckey_tweak_add(SECP_CONTEXT, key.secp, xpub.child_tweak(branch)):
                raise KeyDerivationError(f"branch {branch}")
        self._branches = tuple(xpub.child(branch) for branch in BRANCHES)

    def require_branches(self) -> None:
        """Raises KeyringLockedError unless the keys of the branches are there."""
        if not self._branches:
            raise KeyringLockedError("inputs")

    def sign_inputs(self, requests: Iterable[InputRequest]) -> tuple[bytes, ...]:
        """The DER signatures of inputs, not verified. Raises KeyringLockedError, SigningError."""
        self.require_branches()
        return self._signer.sign(self._located(requests))

    def _located(self, requests: Iterable[InputRequest]) -> Iterator[tuple[Any, bytes, bytes]]:
        """For each input where its branch key lies, its tweak, and the digest."""
        addresses = [key.secp for key in self._branch_keys]
        for request in requests:
            tweak = request.tweak or self._branches[request.branch].child_tweak(request.index)
            yield addresses[request.branch], tweak, request.digest

    def forget_account(self) -> None:
        """Overwrites the account's key and chain code; the branches stay."""
        self._node.wipe()

    def wipe(self) -> None:
        """Overwrites all of the account's keys."""
        self._branches = ()
        self.forget_account()
        for key in self._branch_keys:
            key.wipe()


def _fingerprint(node: PrivateNode) -> bytes:
    return hash160(public_key(node.key))[:_FINGERPRINT_BYTES]
