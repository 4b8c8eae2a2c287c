"""The digest that an input's signature covers: witness version 0, SIGHASH_ALL and nothing else (BIP 143)."""

from __future__ import annotations

import struct

from undercroft_protocol.bitcoin.amounts import checked_amount
from undercroft_protocol.bitcoin.encoding import with_size
from undercroft_protocol.bitcoin.hashes import double_sha256
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.errors import TransactionError

SIGHASH_ALL = 1

_SEQUENCE_BYTES = 4
_AMOUNT_BYTES = 8


class SegwitV0Sighash:
    """The digests of one transaction; what all inputs share is hashed once."""

    __slots__ = ("_head", "_inputs", "_tail")

    def __init__(self, transaction: Transaction) -> None:
        self._inputs = [
            (item.outpoint.serialize(), item.sequence.to_bytes(_SEQUENCE_BYTES, "little"))
            for item in transaction.inputs
        ]
        outpoints = b"".join(outpoint for outpoint, _ in self._inputs)
        sequences = b"".join(sequence for _, sequence in self._inputs)
        outputs = b"".join(item.serialize() for item in transaction.outputs)
        version = struct.pack("<I", transaction.version)
        self._head = version + double_sha256(outpoints) + double_sha256(sequences)
        self._tail = double_sha256(outputs) + struct.pack("<II", transaction.locktime, SIGHASH_ALL)

    def digest(self, input_index: int, script_code: bytes, amount_sats: int) -> bytes:
        """The 32 bytes to sign for one input that spends `amount_sats` (sats).

        `script_code` is the whole witness script for P2WSH (without OP_CODESEPARATOR), and
        `script.p2wpkh_script_code` for P2WPKH. Raises TransactionError for an input that is not there.
        """
        if not 0 <= input_index < len(self._inputs):
            raise TransactionError(f"there is no input {input_index}")
        outpoint, sequence = self._inputs[input_index]
        amount = checked_amount(amount_sats).to_bytes(_AMOUNT_BYTES, "little")
        parts = (self._head, outpoint, with_size(script_code), amount, sequence, self._tail)
        return double_sha256(b"".join(parts))
