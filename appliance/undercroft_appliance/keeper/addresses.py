"""The quorum's addresses as the appliance rebuilds them: scripts of all cosigners' keys, and our own key among them.

A coin is signed for only if its script is the one in this book, and a signature is verified with the key in this book.
Deriving an address costs more than signing for it, so the book is filled at unlock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from undercroft_protocol.bitcoin.descriptor import BRANCHES, QuorumDescriptor
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.script import multisig_script, p2wsh_script
from undercroft_protocol.errors import DescriptorError

from .curve import ChildKey, ParentKey
from .places import Places

FILLED_AT_UNLOCK: Final = 1000
"""Indexes of each branch."""
MOST_PASSING: Final = 4096
"""Addresses beyond the filled ones that are remembered; about 2 kB each."""


class Address(NamedTuple):
    """One of our addresses. ``script`` is the locking script (34 bytes).

    ``derivations`` are the records (BIP 32), in cosigner order, of an input's map in a PSBT that spends from it.
    ``own`` is our key among them, None in a book without an owner; its tweak is public.
    """

    branch: int
    index: int  # type: ignore[assignment]  # hides tuple.index
    witness_script: bytes
    script: bytes
    derivations: Mapping[bytes, bytes]
    own: ChildKey | None

    @property
    def public_keys(self) -> tuple[bytes, ...]:
        """The keys in its script (33 bytes each), in cosigner order."""
        return tuple(key[1:] for key in self.derivations)

    @property
    def own_public_key(self) -> bytes | None:
        """Our key of this address, 33 bytes."""
        return None if self.own is None else self.own.public_key

    @property
    def own_tweak(self) -> bytes | None:
        """What BIP 32 adds to our branch key for it, 32 bytes."""
        return None if self.own is None else self.own.tweak


class AddressBook:
    """Addresses by branch (0 receive, 1 change) and index. ``own`` is the account key of this appliance's owner.

    Raises DescriptorError when ``own`` is none of the descriptor's keys.
    """

    def __init__(self, descriptor: QuorumDescriptor, own: ExtendedPublicKey | None) -> None:
        self.descriptor = descriptor
        accounts = [cosigner.xpub for cosigner in descriptor.cosigners]
        if own is not None and own not in accounts:
            raise DescriptorError("the own key is none of the quorum's")
        self._own = None if own is None else accounts.index(own)
        self.places = Places(descriptor)
        self._parents = {branch: tuple(map(ParentKey, descriptor.branch_keys(branch))) for branch in BRANCHES}
        self._addresses: dict[tuple[int, int], Address] = {}
        self._filled = 0
        self._passing: deque[tuple[int, int]] = deque()

    def at(self, branch: int, index: int) -> Address:
        """One address. Raises DescriptorError for another branch, KeyFormatError for another index than 0 … 2^31-1."""
        address = self._addresses.get((branch, index))
        return self._derived(branch, index) if address is None else address

    def fill(self, count: int) -> None:
        """Derive the first ``count`` addresses of both branches, for good."""
        self._filled = max(self._filled, count)
        for branch in BRANCHES:
            for index in range(count):
                self.at(branch, index)

    def _derived(self, branch: int, index: int) -> Address:
        if branch not in BRANCHES:
            raise DescriptorError(f"branch {branch} is neither 0 (receive) nor 1 (change)")
        parents = self._parents[branch]
        own = None if self._own is None else parents[self._own].child(index)
        public_keys = [
            parent.child_public_key(index) if own is None or at != self._own else own.public_key
            for at, parent in enumerate(parents)
        ]
        witness_script = multisig_script(self.descriptor.threshold, public_keys)
        derivations = self.places.derivations(public_keys, branch, index)
        address = Address(branch, index, witness_script, p2wsh_script(witness_script), derivations, own)
        self._remember(address)
        return address

    def _remember(self, address: Address) -> None:
        place = (address.branch, address.index)
        if address.index >= self._filled:
            # Attack: a host that names a million indexes, until no memory is left.
            if len(self._passing) >= MOST_PASSING:
                del self._addresses[self._passing.popleft()]
            self._passing.append(place)
        self._addresses[place] = address
