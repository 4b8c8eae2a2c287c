"""Stage 6: no signature leaves before it verifies with the key that the quorum registered for this owner."""

from __future__ import annotations

from undercroft_appliance.errors import SigningError
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.script import multisig_parts
from undercroft_protocol.bitcoin.signature import verify_ecdsa
from undercroft_protocol.errors import SignatureError

from .sign import SignedTransaction


def verify(signed: SignedTransaction, xpub: ExtendedPublicKey) -> SignedTransaction:
    """The same transaction, every signature verified with a key derived from ``xpub``; raises SigningError.

    A wrong signature is no refusal but a fault of this machine: the keeper wipes itself and ends.
    """
    coins = signed.proven.inputs
    if len(signed.signatures) != len(coins):
        raise SigningError(f"{len(signed.signatures)} signatures for {len(coins)} inputs")
    branches = {branch: xpub.child(branch) for branch in {coin.branch for coin in coins}}
    for at, (coin, digest, signature) in enumerate(zip(coins, signed.digests, signed.signatures, strict=True)):
        public_key = branches[coin.branch].child_public_key(coin.index)
        if public_key not in multisig_parts(coin.witness_script)[1]:
            raise SigningError(f"input {at}: our key is not in its script")
        try:
            # Attack: a fault is provoked while signing; the wrong signature would give the key away (signers.md 21).
            verify_ecdsa(public_key, digest, signature)
        except SignatureError as error:
            raise SigningError(f"input {at}") from error
    return signed
