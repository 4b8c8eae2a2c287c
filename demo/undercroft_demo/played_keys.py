"""Keys that are obviously a test's, one byte thirty-two times each, and what is signed with them.

Nothing of value may ever be sent to them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from embit import bip32
from embit.networks import NETWORKS
from nacl.signing import SigningKey

from undercroft_protocol import cose
from undercroft_protocol.bitcoin.descriptor import account_path
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Declaration, Owner, Quorum, Value, sign_statement

NETWORK: Final = Network.REGTEST


def played_key(byte: int) -> SigningKey:
    """An Ed25519 key."""
    return SigningKey(bytes([byte]) * 32)


VAULT: Final = played_key(0x11)
RISK: Final = played_key(0x22)


def public(key: SigningKey) -> bytes:
    """The public half, 32 bytes."""
    return bytes(key.verify_key)


def signer(key: SigningKey) -> cose.Signer:
    """What signs with it where a message is sealed."""
    return lambda data: bytes(key.sign(data).signature)


def stated(value: Value, key: SigningKey) -> bytes:
    """A statement, signed."""
    return sign_statement(value, public(key), signer(key))


def master_of(seed: bytes) -> Any:
    """embit's master key of a seed, for regtest."""
    return bip32.HDKey.from_seed(seed, version=NETWORKS[NETWORK.value]["xprv"])


def account_of(master: Any) -> bytes:
    """The public account key of a quorum under a master key, 78 bytes."""
    account = master.derive(list(account_path(NETWORK))).to_public()
    return ExtendedPublicKey.parse(account.to_base58(), NETWORK).serialize()


def owner_of(declared: Declaration) -> Owner:
    """The owner that an appliance declared."""
    return Owner(declared.name, declared.site, declared.region, declared.fingerprint, declared.xpub, declared.identity)


def quorum_of(owners: Iterable[Owner], formed: int) -> Quorum:
    """Two of these sign for `VAULT` and `RISK`; ``formed``: POSIX seconds."""
    ordered = tuple(sorted(owners, key=lambda owner: owner.xpub))
    return Quorum(NETWORK.value, 2, ordered, public(VAULT), public(RISK), formed)
