"""A good PSBT of the test quorum as maps of records, to be damaged in one place."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from appliance.builders import (
    BOOK,
    COIN_SATS,
    DESCRIPTOR,
    FEE_SATS,
    HEIGHT,
    P2WPKH,
    PAID_SATS,
    previous_transaction,
)
from undercroft_appliance.keeper.psbt_door import ProvenPsbt, prove_psbt
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.bitcoin.psbt_map import SEPARATOR, record
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput

GAP: Final = 20
CHANGE_SATS: Final = COIN_SATS - PAID_SATS - FEE_SATS

Records = dict[bytes, bytes]


def derivations(kind: int, branch: int, index: int, descriptor: QuorumDescriptor = DESCRIPTOR) -> Records:
    """The BIP 32 records of one of our addresses."""
    keys = descriptor.public_keys(branch, index)
    return {
        bytes([kind]) + key: cosigner.fingerprint + struct.pack("<6I", *cosigner.path, branch, index)
        for cosigner, key in zip(descriptor.cosigners, keys, strict=True)
    }


@dataclass
class RawPsbt:
    """A payment from 0/0 to a stranger, change to 1/0; every part can be replaced before `serialize`."""

    transaction: Transaction
    inputs: list[Records]
    outputs: list[Records]
    globals: Records = field(default_factory=dict)
    tail: bytes = b""

    @classmethod
    def good(cls, coins: int = 1) -> RawPsbt:
        """The PSBT that is damaged in the tests; coin ``n`` lies at 0/``n``."""
        previous = [previous_transaction((COIN_SATS, DESCRIPTOR.script(0, at)), salt=at + 1) for at in range(coins)]
        txids = [Transaction.parse(raw).txid for raw in previous]
        transaction = Transaction(
            2,
            tuple(TxInput(Outpoint(txid, 0), 0xFFFFFFFD) for txid in txids),
            (
                TxOutput(PAID_SATS, P2WPKH),
                TxOutput(CHANGE_SATS + (coins - 1) * COIN_SATS, DESCRIPTOR.script(1, 0)),
            ),
            HEIGHT,
        )
        inputs = [
            {
                b"\x00": raw,
                b"\x01": TxOutput(COIN_SATS, DESCRIPTOR.script(0, at)).serialize(),
                b"\x05": DESCRIPTOR.witness_script(0, at),
                **derivations(6, 0, at),
            }
            for at, raw in enumerate(previous)
        ]
        change = {b"\x01": DESCRIPTOR.witness_script(1, 0), **derivations(2, 1, 0)}
        return cls(transaction, inputs, [{}, change])

    def serialize(self) -> bytes:
        unsigned = {b"\x00": self.transaction.serialize(), **self.globals}
        maps = [unsigned, *self.inputs, *self.outputs]
        return b"psbt\xff" + b"".join(_packed(one) + SEPARATOR for one in maps) + self.tail

    # Damage that is wanted more than once.

    def change_transaction(self, **changes: object) -> None:
        self.transaction = dataclasses.replace(self.transaction, **changes)  # type: ignore[arg-type]

    def change_input(self, **changes: object) -> None:
        first = dataclasses.replace(self.transaction.inputs[0], **changes)  # type: ignore[arg-type]
        self.change_transaction(inputs=(first, *self.transaction.inputs[1:]))

    def change_output(self, number: int, **changes: object) -> None:
        outputs = list(self.transaction.outputs)
        outputs[number] = dataclasses.replace(outputs[number], **changes)  # type: ignore[arg-type]
        self.change_transaction(outputs=tuple(outputs))

    def spend(self, previous: bytes, script: bytes | None = None, amount_sats: int = COIN_SATS) -> None:
        """Let the first input spend output 0 of another transaction."""
        txid = Transaction.parse(previous).txid
        self.change_input(outpoint=Outpoint(txid, 0))
        paid = TxOutput(amount_sats, DESCRIPTOR.script(0, 0) if script is None else script)
        self.inputs[0] |= {b"\x00": previous, b"\x01": paid.serialize()}

    def move_change(self, branch: int, index: int) -> None:
        """Change that really is at another place."""
        self.change_output(1, script=DESCRIPTOR.script(branch, index))
        self.outputs[1] = {b"\x01": DESCRIPTOR.witness_script(branch, index), **derivations(2, branch, index)}


Damage = Callable[[RawPsbt], object]


def proved(raw: RawPsbt | bytes, *, height: int | None = HEIGHT, change_signed: int = -1) -> ProvenPsbt:
    data = raw if isinstance(raw, bytes) else raw.serialize()
    return prove_psbt(data, BOOK, change_gap=GAP, change_signed=change_signed, height=height)


def _packed(records: Records) -> bytes:
    return b"".join(record(key[0], value, key[1:]) for key, value in records.items())
