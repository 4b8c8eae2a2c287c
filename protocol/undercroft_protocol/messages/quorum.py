"""The quorum: the frozen agreement of three owners, named by the SHA-256 of its canonical CBOR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from ..bitcoin.descriptor import CosignerKey, QuorumDescriptor, account_path
from ..bitcoin.extended_key import ExtendedPublicKey
from ..bitcoin.hashes import sha256
from ..bitcoin.network import Network
from ..codec import Value
from ..errors import MessageError
from ..fields import Bytes4, Bytes32, Name, Size, UInt16, UnixTime, XpubBytes

THRESHOLD: Final = 2
OWNERS: Final = 3


@dataclass(frozen=True, slots=True)
class Owner(Value):
    """One of the three key holders: who, where, and the public half of the key."""

    name: Name
    site: Name
    region: Name
    fingerprint: Bytes4
    xpub: XpubBytes
    identity: Bytes32


@dataclass(frozen=True, slots=True)
class Quorum(Value):
    """Three owners, the network, and the public keys of the host's vault and risk service (Ed25519, 32 bytes)."""

    network: Name
    threshold: UInt16
    owners: Annotated[tuple[Owner, ...], Size(OWNERS, OWNERS)]
    vault_key: Bytes32
    risk_key: Bytes32
    formed: UnixTime

    def check(self) -> None:
        if self.network not in {network.value for network in Network}:
            raise MessageError(f"Quorum.network: {self.network!r} is none of Bitcoin's networks")
        if self.threshold != THRESHOLD:
            raise MessageError(f"Quorum.threshold: {self.threshold}; it is 2 of 3")
        xpubs = [owner.xpub for owner in self.owners]
        # One agreement has one encoding, and so one name: the owners stand in the order of their xpubs.
        if xpubs != sorted(xpubs):
            raise MessageError("Quorum.owners: not in the order of their xpubs")
        # The same key twice would make the 2 of 3 a 1 of 2; metadata around the key must not hide that.
        for what, values in (
            ("key", [xpub[-33:] for xpub in xpubs]),
            ("fingerprint", [owner.fingerprint for owner in self.owners]),
            ("identity", [owner.identity for owner in self.owners]),
            ("name", [owner.name for owner in self.owners]),
            ("site", [owner.site for owner in self.owners]),
            ("region", [owner.region for owner in self.owners]),
        ):
            if len(set(values)) != OWNERS:
                raise MessageError(f"Quorum.owners: two owners share one {what}")
        # One stolen host key must never be both the vault's and the risk service's word.
        speakers = {self.vault_key, self.risk_key, *(owner.identity for owner in self.owners)}
        if len(speakers) != OWNERS + 2:
            raise MessageError("Quorum: vault, risk service and owners must have different keys")
        for owner in self.owners:
            ExtendedPublicKey.from_bytes(owner.xpub, self.bitcoin_network)

    @property
    def id(self) -> bytes:
        """SHA-256 of the canonical CBOR: 32 bytes."""
        return sha256(self.to_bytes())

    @property
    def code(self) -> str:
        """What owners compare by voice: the first 16 bytes of the id in eight groups of four hex digits."""
        return grouped_code(self.id)

    @property
    def bitcoin_network(self) -> Network:
        return Network(self.network)

    @property
    def identities(self) -> tuple[bytes, ...]:
        return tuple(owner.identity for owner in self.owners)

    def owner_of(self, identity: bytes) -> Owner:
        """The owner with this identity key; raises MessageError for a stranger."""
        for owner in self.owners:
            if owner.identity == identity:
                return owner
        raise MessageError(f"identity {identity.hex()[:16]} is no owner of this quorum")

    def descriptor(self) -> QuorumDescriptor:
        """``wsh(sortedmulti(2,…))`` over the three account keys at BIP 48 ``m/48h/coin/0h/2h``."""
        network = self.bitcoin_network
        return QuorumDescriptor(
            network,
            self.threshold,
            tuple(
                CosignerKey(
                    owner.fingerprint,
                    account_path(network),
                    ExtendedPublicKey.from_bytes(owner.xpub, network),
                )
                for owner in self.owners
            ),
        )


def grouped_code(digest: bytes) -> str:
    """128 bits of a hash for people to read out: ``a1b2-c3d4-…`` (eight groups)."""
    text = digest[:16].hex()
    return "-".join(text[at : at + 4] for at in range(0, 32, 4))
