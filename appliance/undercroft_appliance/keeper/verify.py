"""Stage 6: no signature leaves before it verifies with the key that the quorum registered for this owner."""

from __future__ import annotations

from undercroft_appliance.errors import SigningError

from .addresses import AddressBook
from .curve import first_invalid
from .sign import SignedTransaction


def verify(signed: SignedTransaction, book: AddressBook) -> SignedTransaction:
    """The same transaction, every signature verified with the owner's key as the book derives it; SigningError.

    A wrong signature is no refusal but a fault of this machine: the keeper wipes itself and ends.
    """
    coins = signed.proven.inputs
    if len(signed.signatures) != len(coins):
        raise SigningError(f"{len(signed.signatures)} signatures for {len(coins)} inputs")
    points = []
    for at, coin in enumerate(coins):
        address = book.at(coin.branch, coin.index)
        # The digest covers the script that was proved: it must be the one that our key is part of.
        own = address.own
        if own is None or address.witness_script != coin.witness_script:
            raise SigningError(f"input {at}: our key is not in its script")
        points.append(own.point)
    # Attack: a fault is provoked while signing; the wrong signature would give the key away (signers.md 21).
    invalid = first_invalid(points, signed.digests, signed.signatures)
    if invalid is not None:
        raise SigningError(f"input {invalid}")
    return signed
