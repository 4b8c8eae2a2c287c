"""Where the derivations in a PSBT say that a script of ours lies: at one branch and index, the same for all owners."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

from undercroft_protocol.bitcoin.descriptor import BRANCHES, QuorumDescriptor
from undercroft_protocol.bitcoin.extended_key import HARDENED
from undercroft_protocol.bitcoin.psbt_records import IN_DERIVATION

from .refusals import DERIVATION, Refusal

_PREFIX: Final = bytes([IN_DERIVATION])
_TAIL: Final = struct.Struct("<II")


class Places:
    """The origins of a quorum's account keys as a PSBT has them: fingerprint, then the path in little-endian steps.

    ``origins`` has them by extended public key (78 bytes).
    """

    def __init__(self, descriptor: QuorumDescriptor) -> None:
        self._origins = tuple(
            cosigner.fingerprint + struct.pack(f"<{len(cosigner.path)}I", *cosigner.path)
            for cosigner in descriptor.cosigners
        )
        self._sorted_origins = tuple(sorted(self._origins))
        xpubs = [cosigner.xpub.serialize() for cosigner in descriptor.cosigners]
        self.origins: Mapping[bytes, bytes] = dict(zip(xpubs, self._origins, strict=True))

    def derivations(self, public_keys: Sequence[bytes], branch: int, index: int) -> Mapping[bytes, bytes]:
        """The derivations of an address, as they stand in an input's map."""
        tail = _TAIL.pack(branch, index)
        pairs = zip(public_keys, self._origins, strict=True)
        return {_PREFIX + public_key: origin + tail for public_key, origin in pairs}

    def named(self, derivations: Mapping[bytes, bytes], where: str) -> tuple[int, int]:
        """The branch and index that the first of these derivations (at least one) names; what the others name is open.

        Raises Refusal when there is no such place.
        """
        tail = next(iter(derivations.values()))[-_TAIL.size :]
        if len(tail) != _TAIL.size:
            raise Refusal(DERIVATION, f"{where}: a derivation that is cut off")
        branch, index = _TAIL.unpack(tail)
        # Attack: change on a branch, or at a hardened index, where no wallet looks (signers.md 45).
        if branch not in BRANCHES or index >= HARDENED:
            raise Refusal(DERIVATION, f"{where}: {branch}/{index} is no place of this quorum")
        return branch, index

    def check_origins(self, derivations: Mapping[bytes, bytes], place: tuple[int, int], where: str) -> None:
        """There is one derivation of each cosigner, below the registered path, and all name this place; Refusal."""
        tail = _TAIL.pack(*place)
        # Attack: our key beside strangers', another path, another index for some owners (signers.md 26-28, 47).
        if sorted(derivations.values()) != [origin + tail for origin in self._sorted_origins]:
            raise Refusal(DERIVATION, f"{where}: not one derivation of each owner, all at one place")
