"""The digest that an input's signature covers: witness version 0, SIGHASH_ALL and nothing else (BIP 143)."""

from __future__ import annotations

import struct

from undercroft_protocol.bitcoin.amounts import checked_amount
from undercroft_protocol.bitcoin.encoding import with_size
from undercroft_protocol.bitcoin.hashes import double_sha256
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.errors import TransactionError

SIGHASH_ALL = 1


class SegwitV0Sighash:
    """The digests of one transaction; what all inputs share is hashed once."""

    __slots__ = ("_head", "_tail", "_transaction")

    def __init__(self, transaction: Transaction) -> None:
        outpoints = b"".join(item.outpoint.serialize() for item in transaction.inputs)
        sequences = b"".join(struct.pack("<I", item.sequence) for item in transaction.inputs)
        outputs = b"".join(item.serialize() for item in transaction.outputs)
        self._transaction = transaction
        version = struct.pack("<I", transaction.version)
        self._head = version + double_sha256(outpoints) + double_sha256(sequences)
        self._tail = double_sha256(outputs) + struct.pack("<II", transaction.locktime, SIGHASH_ALL)

    def digest(self, input_index: int, script_code: bytes, amount_sats: int) -> bytes:
        """The 32 bytes to sign for one input that spends `amount_sats` (sats).

        `script_code` is the whole witness script for P2WSH (without OP_CODESEPARATOR), and
        `script.p2wpkh_script_code` for P2WPKH. Raises TransactionError for an input that is not there.
        """
        if not 0 <= input_index < len(self._transaction.inputs):
            raise TransactionError(f"there is no input {input_index}")
        spent = self._transaction.inputs[input_index]
        return double_sha256(
            self._head
            + spent.outpoint.serialize()
            + with_size(script_code)
            + struct.pack("<QI", checked_amount(amount_sats), spent.sequence)
            + self._tail
        )
