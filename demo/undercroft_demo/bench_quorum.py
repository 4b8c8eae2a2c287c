"""The quorum that the benches sign for: our own keyring holds one of its keys, other signers hold the same one.

All seeds are one byte thirty-two times. Nothing of value may ever be sent to them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from undercroft_appliance.devtools.keyring import DevelopmentKeyring, read_exactly
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, KernelEntropy
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.messages import Owner, Policy, Quorum
from undercroft_protocol.messages.policy_text import policy_from_toml

from .bdk_wallet import with_private_key
from .played_keys import NETWORK, account_of, master_of, quorum_of
from .stage import POLICY

NOW: Final = 1_790_000_000
_PASSPHRASE: Final = b"test passphrase of the bench\n"
_SEEDS: Final = tuple(bytes([byte]) * 32 for byte in (0xA1, 0xB2, 0xC3))
_MOST: Final = 1000
_MOST_SATS: Final = 10**12


@dataclass(frozen=True, slots=True)
class BenchQuorum:
    """``keys`` are open; ``master`` is embit's copy of the same key, ``policy`` lets all that a bench sends through."""

    keys: DevelopmentKeyring
    master: Any
    quorum: Quorum
    policy: Policy

    @property
    def descriptor(self) -> QuorumDescriptor:
        return self.quorum.descriptor()

    def book(self) -> AddressBook:
        """Our addresses, none of them derived yet."""
        return AddressBook(self.descriptor, self.keys.xpub)

    def private_descriptor(self, branch: int) -> str:
        """The descriptor with our account's private key, without a checksum, for signers that want it so."""
        return with_private_key(self.descriptor, branch, self.master)


@contextlib.contextmanager
def founded() -> Iterator[BenchQuorum]:
    """A quorum of three test keys, one of them open in a keyring in guarded memory."""
    masters = [master_of(seed) for seed in _SEEDS]
    quorum = quorum_of((_owner(number, master) for number, master in enumerate(masters)), NOW)
    policy = dataclasses.replace(
        policy_from_toml(POLICY, quorum.id, NETWORK),
        most_inputs=_MOST,
        most_payees=_MOST,
        most_fee_sats=_MOST_SATS,
        most_fee_ppm=1_000_000,
        hold_above_sats=_MOST_SATS,
        refuse_above_sats=_MOST_SATS,
    )
    entropy = KernelEntropy()
    with DevelopmentKeyring(network=NETWORK, entropy=entropy, kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST) as keys:
        keys.take_passphrase(_piped(_PASSPHRASE), new=True)
        draft = keys.make_draft(lambda slot: read_exactly(_piped(_SEEDS[0]), slot))
        keys.take_passphrase(_piped(_PASSPHRASE), new=False)
        keys.open_draft(draft)
        yield BenchQuorum(keys, masters[0], quorum, policy)


def _owner(number: int, master: Any) -> Owner:
    identity = hashlib.sha256(bytes([number])).digest()
    return Owner(
        f"peer {number}", f"site {number}", f"region {number}", master.my_fingerprint, account_of(master), identity
    )


def _piped(data: bytes) -> int:
    """A descriptor to read the data from; it is few bytes, and closes with the process."""
    reader, writer = os.pipe()
    os.write(writer, data)
    os.close(writer)
    return reader
