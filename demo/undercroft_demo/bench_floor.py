"""The floor: what libsecp256k1 itself needs for a transaction, called raw through coincurve's library.

The same operations as ours, with the same numbers of grinding tries, and nothing between them: no PSBT is read, nothing
is hashed, compared, or kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from coincurve._libsecp256k1 import ffi, lib
from coincurve.context import GLOBAL_CONTEXT

from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.proven import ProvenTransaction
from undercroft_appliance.keeper.sign import digests_of

from .bench_quorum import BenchQuorum

UNIT_PASSES: Final = 4
"""The unit is measured over about as long a time as a signer takes: a short one is disturbed less."""

_CONTEXT: Final[Any] = GLOBAL_CONTEXT.ctx
_HIGH_BIT: Final = 0x80
_PUBLIC_BYTES: Final = 33
_MOST_DER_BYTES: Final = 72


@dataclass(frozen=True, slots=True)
class _Input:
    """``tries``: extra entropy of each try until R is low, as Bitcoin Core has it."""

    branch_key: bytes
    tweak: bytes
    digest: bytes
    tries: Sequence[Any]
    point: Any


class Floor:
    """The raw calls for one transaction; ``unit`` is one `ecdsa_sign`."""

    def __init__(self, bench: BenchQuorum, book: AddressBook, proven: ProvenTransaction) -> None:
        account = bench.master.derive("m/48h/1h/0h/2h")
        self._signature = ffi.new("secp256k1_ecdsa_signature *")
        self._compact = ffi.new("unsigned char[64]")
        self._child = ffi.new("unsigned char[32]")
        self._der = ffi.new(f"unsigned char[{_MOST_DER_BYTES}]")
        self._size = ffi.new("size_t *")
        self._inputs = []
        xpub = bench.keys.xpub
        for coin, digest in zip(proven.inputs, digests_of(proven), strict=True):
            tweak = xpub.child(coin.branch).child_tweak(coin.index)
            branch_key = account.derive([coin.branch]).key.secret
            tries = tuple(self._tries(account.derive([coin.branch, coin.index]).key.secret, digest))
            own = book.at(coin.branch, coin.index).own
            point = None if own is None else own.point
            self._inputs.append(_Input(branch_key, tweak, digest, tries, point))
        places = [(coin.branch, coin.index) for coin in proven.inputs]
        places += [(output.branch, output.index) for output in proven.own]
        self._children = [
            (key.child_tweak(index), self._parsed(key.public_key))
            for branch, index in places
            for key in book.descriptor.branch_keys(branch)
        ]
        self._tweaked, self._sum = ffi.new("secp256k1_pubkey *"), ffi.new("secp256k1_pubkey *")
        self._summands = ffi.new("secp256k1_pubkey *[2]", [self._tweaked, ffi.NULL])
        self._encoded = ffi.new(f"unsigned char[{_PUBLIC_BYTES}]")

    @property
    def tries(self) -> int:
        """How often `ecdsa_sign` is called."""
        return sum(len(one.tries) for one in self._inputs)

    def unit(self, _: object) -> None:
        """`UNIT_PASSES` times one `ecdsa_sign` for each input."""
        for one in self._inputs * UNIT_PASSES:
            lib.secp256k1_ecdsa_sign(_CONTEXT, self._signature, one.digest, one.branch_key, ffi.NULL, ffi.NULL)

    def warm(self, _: object) -> None:
        """Child key, tries, verification and DER of each input."""
        signature = self._signature
        for one in self._inputs:
            ffi.memmove(self._child, one.branch_key, 32)
            lib.secp256k1_ec_seckey_tweak_add(_CONTEXT, self._child, one.tweak)
            for extra in one.tries:
                lib.secp256k1_ecdsa_sign(_CONTEXT, signature, one.digest, self._child, ffi.NULL, extra)
                lib.secp256k1_ecdsa_signature_serialize_compact(_CONTEXT, self._compact, signature)
            if not lib.secp256k1_ecdsa_verify(_CONTEXT, signature, one.digest, one.point):
                raise AssertionError("the floor does not sign what ours does")
            self._size[0] = _MOST_DER_BYTES
            lib.secp256k1_ecdsa_signature_serialize_der(_CONTEXT, self._der, self._size, signature)

    def cold(self, _: object) -> None:
        """`warm`, and before it the public keys of all owners for each input and for change."""
        for tweak, parent in self._children:
            self._summands[1] = parent
            lib.secp256k1_ec_pubkey_create(_CONTEXT, self._tweaked, tweak)
            lib.secp256k1_ec_pubkey_combine(_CONTEXT, self._sum, self._summands, 2)
            self._size[0] = _PUBLIC_BYTES
            lib.secp256k1_ec_pubkey_serialize(
                _CONTEXT, self._encoded, self._size, self._sum, lib.SECP256K1_EC_COMPRESSED
            )
        self.warm(None)

    def _tries(self, secret: bytes, digest: bytes) -> Iterator[Any]:
        counter = 0
        while True:
            extra = ffi.new("unsigned char[32]", counter.to_bytes(32, "little")) if counter else ffi.NULL
            yield extra
            lib.secp256k1_ecdsa_sign(_CONTEXT, self._signature, digest, secret, ffi.NULL, extra)
            lib.secp256k1_ecdsa_signature_serialize_compact(_CONTEXT, self._compact, self._signature)
            if self._compact[0] < _HIGH_BIT:
                return
            counter += 1

    def _parsed(self, public_key: bytes) -> Any:
        point = ffi.new("secp256k1_pubkey *")
        lib.secp256k1_ec_pubkey_parse(_CONTEXT, point, public_key, len(public_key))
        return point
