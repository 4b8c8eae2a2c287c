"""Transactions: values, their one serialisation, and a parser that accepts nothing else (BIP 144)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from undercroft_protocol.bitcoin.amounts import checked_amount
from undercroft_protocol.bitcoin.encoding import Reader, compact_size, read_compact_size, with_size
from undercroft_protocol.bitcoin.hashes import double_sha256
from undercroft_protocol.errors import TransactionError

_MAX_U32 = 0xFFFFFFFF
_LEAST_INPUT_BYTES = 32 + 4 + 1 + 4
_LEAST_OUTPUT_BYTES = 8 + 1
_UNSIGNED_INPUT = struct.Struct("<32sIBI")


def txid_to_hex(txid: bytes) -> str:
    """A txid (32 bytes, wire order) as people see it: hexadecimal, bytes reversed."""
    return txid[::-1].hex()


def txid_from_hex(text: str) -> bytes:
    """The txid (32 bytes, wire order) that people write as 64 hexadecimal digits. Raises TransactionError."""
    if len(text) != 64 or not set(text) <= set("0123456789abcdefABCDEF"):
        raise TransactionError("a txid is 64 hexadecimal digits")
    return bytes.fromhex(text)[::-1]


@dataclass(frozen=True, slots=True, order=True)
class Outpoint:
    """One output of one transaction; `txid` is 32 bytes in wire order, `str()` is `displayhex:vout`."""

    txid: bytes
    vout: int

    def __post_init__(self) -> None:
        if len(self.txid) != 32:
            raise TransactionError("a txid is 32 bytes")
        if not 0 <= self.vout <= _MAX_U32:
            raise _too_wide(self.vout, "output index")

    def __str__(self) -> str:
        return f"{txid_to_hex(self.txid)}:{self.vout}"

    @classmethod
    def parse(cls, text: str) -> Outpoint:
        """The outpoint that `str()` wrote. Raises TransactionError."""
        txid, separator, vout = text.partition(":")
        canonical = vout.isascii() and vout.isdigit() and len(vout) <= 10 and str(int(vout)) == vout
        if not separator or not canonical:
            raise TransactionError("an outpoint is written as txid:index")
        return cls(txid_from_hex(txid), int(vout))

    def serialize(self) -> bytes:
        """36 bytes."""
        return self.txid + self.vout.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class TxInput:
    """An input; without `script_sig` and `witness` it is unsigned."""

    outpoint: Outpoint
    sequence: int
    script_sig: bytes = b""
    witness: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.sequence <= _MAX_U32:
            raise _too_wide(self.sequence, "sequence")

    def serialize(self) -> bytes:
        """The input without its witness."""
        return self.outpoint.serialize() + with_size(self.script_sig) + self.sequence.to_bytes(4, "little")

    def serialize_witness(self) -> bytes:
        """The number of witness items and the items."""
        return compact_size(len(self.witness)) + b"".join(with_size(item) for item in self.witness)


@dataclass(frozen=True, slots=True)
class TxOutput:
    """An output: so many satoshis to a locking script."""

    amount_sats: int
    script: bytes

    def __post_init__(self) -> None:
        checked_amount(self.amount_sats)

    def serialize(self) -> bytes:
        """Amount and script, as in a transaction."""
        return self.amount_sats.to_bytes(8, "little") + with_size(self.script)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that has inputs and outputs and whose outputs are a possible sum.

    That no outpoint is spent twice is not checked here; whoever spends or signs must. Hashes and sizes are
    computed at each access.
    """

    version: int
    inputs: tuple[TxInput, ...]
    outputs: tuple[TxOutput, ...]
    locktime: int

    def __post_init__(self) -> None:
        for number, name in ((self.version, "version"), (self.locktime, "locktime")):
            if not 0 <= number <= _MAX_U32:
                raise _too_wide(number, name)
        if not self.inputs:
            raise TransactionError("no inputs")
        if not self.outputs:
            raise TransactionError("no outputs")
        # Attack: outputs that are each possible but overflow as a sum (CVE-2010-5139).
        checked_amount(sum(output.amount_sats for output in self.outputs))

    @property
    def has_witness(self) -> bool:
        """Whether any input has a witness."""
        return any(item.witness for item in self.inputs)

    def serialize(self, *, with_witness: bool = True) -> bytes:
        """The wire form (BIP 144); without witnesses the form that the txid is the hash of."""
        inputs = compact_size(len(self.inputs)) + b"".join(item.serialize() for item in self.inputs)
        outputs = compact_size(len(self.outputs)) + b"".join(item.serialize() for item in self.outputs)
        marker, witness = b"", b""
        if with_witness and self.has_witness:
            marker = b"\x00\x01"
            witness = b"".join(item.serialize_witness() for item in self.inputs)
        head, tail = struct.pack("<I", self.version), struct.pack("<I", self.locktime)
        return head + marker + inputs + outputs + witness + tail

    @property
    def txid(self) -> bytes:
        """32 bytes in wire order, as an outpoint holds it."""
        return double_sha256(self.serialize(with_witness=False))

    @property
    def txid_hex(self) -> str:
        """The txid as people see it (bytes reversed)."""
        return txid_to_hex(self.txid)

    @property
    def wtxid(self) -> bytes:
        """The hash over the witnesses too (BIP 141), 32 bytes in wire order."""
        return double_sha256(self.serialize())

    @property
    def weight(self) -> int:
        """Weight units (BIP 141)."""
        return 3 * len(self.serialize(with_witness=False)) + len(self.serialize())

    @property
    def vsize(self) -> int:
        """Virtual bytes, rounded up (BIP 141)."""
        return -(-self.weight // 4)

    @classmethod
    def parse(cls, data: bytes, *, allow_witness: bool = True) -> Transaction:
        """The transaction that `serialize` writes as exactly these bytes; TransactionError for any others.

        With `allow_witness=False` the marker of BIP 144 is read as a count of zero inputs, and refused.
        """
        reader = Reader(data)
        version = reader.u32()
        marked = allow_witness and reader.peek() == 0
        if marked and reader.take(2) != b"\x00\x01":
            raise TransactionError("no inputs")
        inputs = tuple(_read_input(reader) for _ in range(reader.count(_LEAST_INPUT_BYTES)))
        outputs = tuple(_read_output(reader) for _ in range(reader.count(_LEAST_OUTPUT_BYTES)))
        if marked:
            inputs = tuple(_read_witness(reader, item) for item in inputs)
            # Attack: a second encoding of a transaction that has no witness.
            if not any(item.witness for item in inputs):
                raise TransactionError("witness marker without a witness")
        locktime = reader.u32()
        reader.finish()
        return cls(version, inputs, outputs, locktime)

    @classmethod
    def parse_unsigned(cls, data: bytes, most_inputs: int, most_outputs: int) -> Transaction:
        """The transaction in these bytes, none of whose inputs has a script or a witness (BIP 174).

        Raises TransactionError for anything else, and for more inputs or outputs than these.
        """
        count, at = read_compact_size(data, 4)
        # Attack: a count of billions in a few bytes, to make the reader allocate before it notices.
        if count > most_inputs:
            raise TransactionError(f"{count} inputs, {most_inputs} are the most")
        end = at + count * _UNSIGNED_INPUT.size
        if end > len(data):
            raise TransactionError(f"{count} inputs cannot fit into {len(data) - at} bytes")
        inputs = []
        for txid, vout, script_bytes, sequence in _UNSIGNED_INPUT.iter_unpack(data[at:end]):
            if script_bytes:
                raise TransactionError("an input of the unsigned transaction has a script")
            inputs.append(TxInput(Outpoint(txid, vout), sequence))
        reader = Reader(data[end:])
        if (count := reader.count(_LEAST_OUTPUT_BYTES)) > most_outputs:
            raise TransactionError(f"{count} outputs, {most_outputs} are the most")
        outputs = tuple(_read_output(reader) for _ in range(count))
        locktime = reader.u32()
        reader.finish()
        return cls(int.from_bytes(data[:4], "little"), tuple(inputs), outputs, locktime)


def _read_input(reader: Reader) -> TxInput:
    outpoint = Outpoint(reader.take(32), reader.u32())
    script_sig = reader.sized()
    return TxInput(outpoint, reader.u32(), script_sig)


def _read_output(reader: Reader) -> TxOutput:
    return TxOutput(reader.u64(), reader.sized())


def _read_witness(reader: Reader, unsigned: TxInput) -> TxInput:
    witness = tuple(reader.sized() for _ in range(reader.count(1)))
    return TxInput(unsigned.outpoint, unsigned.sequence, unsigned.script_sig, witness)


def _too_wide(n: int, name: str) -> TransactionError:
    return TransactionError(f"{name} {n} does not fit 32 bits")
