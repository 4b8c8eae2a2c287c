"""Stage 5: one signature for each input, SIGHASH_ALL (BIP 143) and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash

from .keys import InputSigner
from .proven import ProvenTransaction
from .secrets import InputRequest


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A proven transaction with the 32-byte digest and our DER signature (no sighash byte) for each input, in order."""

    proven: ProvenTransaction
    digests: tuple[bytes, ...]
    signatures: tuple[bytes, ...]


def digests_of(proven: ProvenTransaction) -> tuple[bytes, ...]:
    """The 32 bytes to sign for each input."""
    sighash = SegwitV0Sighash(proven.transaction)
    return tuple([sighash.digest(at, coin.witness_script, coin.amount_sats) for at, coin in enumerate(proven.inputs)])


def sign(proven: ProvenTransaction, keys: InputSigner) -> SignedTransaction:
    """Sign every input; raises KeyringLockedError or SigningError. Nothing is verified yet."""
    digests = digests_of(proven)
    requests = [
        InputRequest(coin.branch, coin.index, digest, coin.own_tweak)
        for coin, digest in zip(proven.inputs, digests, strict=True)
    ]
    return SignedTransaction(proven, digests, keys.sign_inputs(requests))
