"""A previous transaction, read for the outputs that are spent: strictly, and without a value for each of its parts."""

from __future__ import annotations

from collections.abc import Sequence

from undercroft_protocol.bitcoin.amounts import checked_amount
from undercroft_protocol.bitcoin.encoding import read_compact_size
from undercroft_protocol.bitcoin.hashes import double_sha256
from undercroft_protocol.errors import TransactionError

_VERSION_BYTES = 4
_LOCKTIME_BYTES = 4
_OUTPOINT_BYTES = 36
_SEQUENCE_BYTES = 4
_AMOUNT_BYTES = 8
_LONG_SIZE = 0xFD


class PreviousTransaction:
    """The txid (32 bytes, wire order) of a transaction, and where in its bytes its outputs lie."""

    __slots__ = ("_data", "_outputs", "output_count", "txid")

    def __init__(self, txid: bytes, data: bytes, outputs: Sequence[int]) -> None:
        """`outputs`: where each output begins, and where the last one ends; `parse` finds it out."""
        self.txid = txid
        self._data = data
        self._outputs = outputs
        self.output_count = len(outputs) - 1

    @classmethod
    def parse(cls, data: bytes, *, allow_witness: bool = True) -> PreviousTransaction:
        """Read a transaction that `Transaction.serialize` could have written; TransactionError for any other bytes.

        Amounts are checked where an output is asked for. With `allow_witness=False` the marker of BIP 144 is read as
        a count of zero inputs, and refused.
        """
        try:
            return _parse(data, allow_witness)
        except IndexError:
            raise TransactionError("the transaction is cut off") from None

    def output(self, vout: int) -> tuple[bytes, int, bytes]:
        """One output: as it stands in the transaction, its amount (sats), its locking script.

        Raises TransactionError when it is not there, or its amount is not possible.
        """
        if not 0 <= vout < self.output_count:
            raise TransactionError(f"there is no output {vout}, only {self.output_count}")
        raw = self._data[self._outputs[vout] : self._outputs[vout + 1]]
        amount_sats = checked_amount(int.from_bytes(raw[:_AMOUNT_BYTES], "little"))
        size_end = _AMOUNT_BYTES + 1 if raw[_AMOUNT_BYTES] < _LONG_SIZE else read_compact_size(raw, _AMOUNT_BYTES)[1]
        return raw, amount_sats, raw[size_end:]


def _parse(data: bytes, allow_witness: bool) -> PreviousTransaction:
    """As `PreviousTransaction.parse`; raises IndexError when the bytes end too early.

    A size may lead beyond the end: what follows then does not find its byte there, or the lengths do not agree.
    """
    witness = allow_witness and data[_VERSION_BYTES] == 0
    if witness and data[_VERSION_BYTES + 1] != 1:
        raise TransactionError("no inputs")
    start = at = _VERSION_BYTES + 2 * witness
    input_count = data[at]
    at += 1
    if input_count >= _LONG_SIZE:
        input_count, at = read_compact_size(data, at - 1)
    if not input_count:
        raise TransactionError("no inputs")
    for _ in range(input_count):
        at += _OUTPOINT_BYTES
        size = data[at]
        if size >= _LONG_SIZE:
            size, at = read_compact_size(data, at)
            at -= 1
        at += 1 + size + _SEQUENCE_BYTES
    output_count = data[at]
    at += 1
    if output_count >= _LONG_SIZE:
        output_count, at = read_compact_size(data, at - 1)
    if not output_count:
        raise TransactionError("no outputs")
    outputs = [at]
    for _ in range(output_count):
        at += _AMOUNT_BYTES
        size = data[at]
        if size >= _LONG_SIZE:
            size, at = read_compact_size(data, at)
            at -= 1
        at += 1 + size
        outputs.append(at)
    end = at
    if witness:
        at = _skip_witnesses(data, at, input_count)
    if at + _LOCKTIME_BYTES != len(data):
        raise TransactionError("the transaction has another length than its parts")
    # Attack: a witness changes nothing in the txid, so it must not be hashed with the rest (signers.md 6).
    hashed = data[:_VERSION_BYTES] + data[start:end] + data[at:] if witness else data
    return PreviousTransaction(double_sha256(hashed), data, outputs)


def _skip_witnesses(data: bytes, at: int, input_count: int) -> int:
    items = 0
    for _ in range(input_count):
        count = data[at]
        at += 1
        if count >= _LONG_SIZE:
            count, at = read_compact_size(data, at - 1)
        items += count
        for _ in range(count):
            size = data[at]
            if size >= _LONG_SIZE:
                size, at = read_compact_size(data, at)
                at -= 1
            at += 1 + size
    # Attack: a second encoding of a transaction that has no witness.
    if not items:
        raise TransactionError("witness marker without a witness")
    return at
