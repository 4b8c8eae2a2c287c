"""A good PSBT over a coin of the test quorum, as a coordinator such as Sparrow makes it; nobody has signed it."""

from __future__ import annotations

from typing import Final

from appliance.builders import (
    COIN_SATS,
    DESCRIPTOR,
    FEE_SATS,
    HEIGHT,
    P2WPKH,
    PAID_SATS,
    previous_transaction,
)
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput

CHANGE_SATS: Final = COIN_SATS - PAID_SATS - FEE_SATS


def good_psbt(number: int = 0, *, paid_sats: int = PAID_SATS, change_index: int = 0) -> Psbt:
    """One coin (at 0/``number``), one payee, change at 1/``change_index``."""
    script = DESCRIPTOR.script(0, number)
    previous = Transaction.parse(previous_transaction((COIN_SATS, script), salt=number + 1), allow_witness=False)
    change_sats = COIN_SATS - paid_sats - FEE_SATS
    transaction = Transaction(
        2,
        (TxInput(Outpoint(previous.txid, 0), 0xFFFFFFFD),),
        (TxOutput(paid_sats, P2WPKH), TxOutput(change_sats, DESCRIPTOR.script(1, change_index))),
        HEIGHT,
    )
    spent = PsbtInput(previous, DESCRIPTOR.witness_script(0, number), key_derivations(DESCRIPTOR, 0, number))
    change = PsbtOutput(DESCRIPTOR.witness_script(1, change_index), key_derivations(DESCRIPTOR, 1, change_index))
    return Psbt(transaction, (spent,), (PsbtOutput(), change))
