"""A PSBT of version 0 (BIP 174) taken apart: the unsigned transaction, and the records of each map, checked for form.

This is the one reader of PSBTs. It lets through only what a P2WSH multisig needs, and refuses every other field by
its number. What the records say is for others to check (`psbt.Psbt`, the appliance's PSBT door).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from undercroft_protocol.bitcoin.encoding import SHORT_SIZES, compact_size, with_size
from undercroft_protocol.bitcoin.hashes import hash160
from undercroft_protocol.bitcoin.psbt_map import SEPARATOR, read_map, record
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.errors import (
    ProtocolError,
    PsbtError,
    PsbtFieldError,
    PsbtFinalError,
    PsbtSighashError,
    PsbtVersionError,
)

MAGIC = b"psbt\xff"
MAX_PSBT_BYTES = 4 * 1024 * 1024
"""As much as the link carries in one message."""
MAX_INPUTS = 1000
MAX_OUTPUTS = 1000

GLOBAL_TRANSACTION = 0x00
GLOBAL_XPUB = 0x01
GLOBAL_VERSION = 0xFB
IN_PREVIOUS = 0x00
IN_WITNESS_UTXO = 0x01
IN_PARTIAL_SIGNATURE = 0x02
IN_SIGHASH = 0x03
IN_WITNESS_SCRIPT = 0x05
IN_DERIVATION = 0x06
OUT_WITNESS_SCRIPT = 0x01
OUT_DERIVATION = 0x02

SIGHASH_ALL_VALUE = b"\x01\x00\x00\x00"

_PUBLIC_KEY_BYTES = 33
_XPUB_BYTES = 78
_FINAL_KINDS = frozenset((0x07, 0x08))
_LEAST_KEYED_BYTES = 34

# Fields of version 2 (BIP 370), each in its map.
_GLOBAL_VERSION_2 = frozenset((0x02, 0x03, 0x04, 0x05, 0x06))
_IN_VERSION_2 = frozenset((0x0E, 0x0F, 0x10, 0x11, 0x12))
_OUT_VERSION_2 = frozenset((0x03, 0x04))

_IN_SINGLE = frozenset(bytes([kind]) for kind in (IN_PREVIOUS, IN_WITNESS_UTXO, IN_SIGHASH, IN_WITNESS_SCRIPT))
_IN_KEYED = frozenset((IN_PARTIAL_SIGNATURE, IN_DERIVATION))
_OUT_SINGLE = frozenset((bytes([OUT_WITNESS_SCRIPT]),))
_OUT_KEYED = frozenset((OUT_DERIVATION,))

_FIRST_SIGNATURE = bytes([IN_PARTIAL_SIGNATURE])
_AFTER_SIGNATURES = bytes([IN_PARTIAL_SIGNATURE + 1])

_PREVIOUS_KEY = bytes([IN_PREVIOUS])
_UTXO_KEY = bytes([IN_WITNESS_UTXO])
_IN_SIGHASH_KEY = bytes([IN_SIGHASH])


@dataclass(frozen=True, slots=True)
class PsbtRecords:
    """The parts of a PSBT: values by whole keys (the kind's byte and what follows it), one mapping for each map.

    `unsigned` is the transaction as it stands there; `xpubs` maps extended public keys (78 bytes) to their origins
    (fingerprint and path, in bytes).
    """

    unsigned: bytes
    transaction: Transaction
    xpubs: Mapping[bytes, bytes]
    inputs: tuple[Mapping[bytes, bytes], ...]
    outputs: tuple[Mapping[bytes, bytes], ...]
    _data: bytes = field(repr=False)
    _input_ends: Sequence[int] = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> PsbtRecords:
        """Read a PSBT strictly.

        Raises PsbtVersionError, PsbtFieldError, PsbtSighashError, PsbtFinalError, or PsbtError for bytes that are no
        PSBT at all: duplicate keys, sizes that are not the shortest, trailing bytes, a transaction that is signed,
        more than MAX_PSBT_BYTES, MAX_INPUTS, MAX_OUTPUTS.
        """
        try:
            return _parse(data)
        except PsbtError:
            raise
        except ProtocolError as error:
            raise PsbtError(error.detail) from None
        except IndexError:
            raise PsbtError("it is cut off") from None

    def with_signatures(self, signatures: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The PSBT with one signature more (public key, signature with sighash byte) in each input's map.

        A signature by that key that is there already stays. Written as `write_psbt` writes.
        """
        data, parts = self._data, _head(self.unsigned, self.xpubs)
        maps = zip(pairwise(self._input_ends), self.inputs, signatures, strict=True)
        for (start, end), records, (public_key, signature) in maps:
            key = _FIRST_SIGNATURE + public_key
            keys = list(records)
            # Most maps stand in order already, and have no signature: they are cut open where ours belongs.
            if keys[:2] == [_PREVIOUS_KEY, _UTXO_KEY] and keys[2:3] >= [_AFTER_SIGNATURES] and keys == sorted(keys):
                cut = start + _written_bytes(records[_PREVIOUS_KEY]) + _written_bytes(records[_UTXO_KEY])
                parts += (data[start:cut], with_size(key), with_size(signature), data[cut:end])
            else:
                merged = {key: signature, **records}
                _append(parts, merged, _in_core_order(merged))
        for records in self.outputs:
            _append(parts, records, sorted(records))
        return b"".join(parts)


def write_psbt(
    unsigned: bytes,
    inputs: Iterable[Mapping[bytes, bytes]],
    outputs: Iterable[Mapping[bytes, bytes]],
    xpubs: Mapping[bytes, bytes] = MappingProxyType({}),
) -> bytes:
    """The PSBT with these records around an unsigned transaction, in the order in which Bitcoin Core writes them."""
    parts = _head(unsigned, xpubs)
    for records in inputs:
        _append(parts, records, _in_core_order(records))
    for records in outputs:
        _append(parts, records, sorted(records))
    return b"".join(parts)


def _head(unsigned: bytes, xpubs: Mapping[bytes, bytes]) -> list[bytes]:
    by_origin = sorted((origin, xpub) for xpub, origin in xpubs.items())
    xpub_records = [record(GLOBAL_XPUB, origin, xpub) for origin, xpub in by_origin]
    return [MAGIC, record(GLOBAL_TRANSACTION, unsigned), *xpub_records, SEPARATOR]


def _written_bytes(value: bytes) -> int:
    """How many bytes a record takes whose key is one byte."""
    size = len(value)
    return 2 + (1 if size < len(SHORT_SIZES) else len(compact_size(size))) + size


def _append(parts: list[bytes], records: Mapping[bytes, bytes], order: Iterable[bytes]) -> None:
    for key in order:
        value = records[key]
        size = len(value)
        short = SHORT_SIZES[size] if size < len(SHORT_SIZES) else compact_size(size)
        parts += (compact_size(len(key)), key, short, value)
    parts.append(SEPARATOR)


def _in_core_order(records: Mapping[bytes, bytes]) -> Iterable[bytes]:
    """Keys by kind, then by public key; only signatures by the hash of their key."""
    keys = sorted(records)
    first, end = bisect_left(keys, _FIRST_SIGNATURE), bisect_left(keys, _AFTER_SIGNATURES)
    if end - first > 1:
        keys[first:end] = sorted(keys[first:end], key=lambda key: hash160(key[1:]))
    return keys


def _parse(data: bytes) -> PsbtRecords:
    # Attack: gigabytes to chew on, or a thousand million inputs; what is too much is known before anything is made.
    if len(data) > MAX_PSBT_BYTES:
        raise PsbtError(f"{len(data)} bytes, {MAX_PSBT_BYTES} are the most")
    if data[: len(MAGIC)] != MAGIC:
        raise PsbtError("the magic bytes are missing")
    globals_, at = read_map(data, len(MAGIC))
    unsigned, xpubs = _check_globals(globals_)
    transaction = Transaction.parse_unsigned(unsigned, MAX_INPUTS, MAX_OUTPUTS)
    inputs, ends = _read_maps(data, at, len(transaction.inputs), _check_input)
    outputs, output_ends = _read_maps(data, ends[-1], len(transaction.outputs), _check_output)
    at = output_ends[-1]
    # Attack: bytes behind the end, which another program may read as something else.
    if at != len(data):
        raise PsbtError("trailing bytes" if at < len(data) else "it is cut off")
    return PsbtRecords(unsigned, transaction, xpubs, inputs, outputs, data, ends)


def _read_maps(
    data: bytes, at: int, count: int, check: Callable[[int, Mapping[bytes, bytes]], None]
) -> tuple[tuple[Mapping[bytes, bytes], ...], Sequence[int]]:
    """The maps, and where in the data the first begins and each one ends."""
    maps, ends = [], [at]
    for number in range(count):
        records, at = read_map(data, at)
        check(number, records)
        maps.append(records)
        ends.append(at)
    return tuple(maps), ends


def _check_globals(records: dict[bytes, bytes]) -> tuple[bytes, Mapping[bytes, bytes]]:
    version = records.pop(bytes([GLOBAL_VERSION]), bytes(4))
    if len(version) != 4:
        raise PsbtError("the version is not a number of 4 bytes")
    if version != bytes(4):
        raise PsbtVersionError(f"version {int.from_bytes(version, 'little')} is not supported")
    unsigned = records.pop(bytes([GLOBAL_TRANSACTION]), None)
    xpubs = {key[1:]: records.pop(key) for key in list(records) if _is_xpub(key)}
    for key in records:
        _refuse("global map", key, _GLOBAL_VERSION_2)
    if unsigned is None:
        raise PsbtError("the unsigned transaction is missing")
    return unsigned, xpubs


def _is_xpub(key: bytes) -> bool:
    return key[0] == GLOBAL_XPUB and len(key) == 1 + _XPUB_BYTES


def _check_input(number: int, records: Mapping[bytes, bytes]) -> None:
    for key in records:
        if key not in _IN_SINGLE and (len(key) != 1 + _PUBLIC_KEY_BYTES or key[0] not in _IN_KEYED):
            _refuse(f"input {number}", key, _IN_VERSION_2, _FINAL_KINDS)
    # Attack: SIGHASH_NONE, SINGLE or ANYONECANPAY asked for in our name.
    if records.get(_IN_SIGHASH_KEY, SIGHASH_ALL_VALUE) != SIGHASH_ALL_VALUE:
        raise PsbtSighashError(f"input {number} asks for {records[_IN_SIGHASH_KEY][:8].hex()}")


def _check_output(number: int, records: Mapping[bytes, bytes]) -> None:
    for key in records:
        if key not in _OUT_SINGLE and (len(key) != 1 + _PUBLIC_KEY_BYTES or key[0] not in _OUT_KEYED):
            _refuse(f"output {number}", key, _OUT_VERSION_2)


def _refuse(place: str, key: bytes, version_2: frozenset[int], final: frozenset[int] = frozenset()) -> None:
    """Raise the error that names what is wrong with a key that nobody expects there."""
    where = f"{place}: kind {key[0]:#04x} with a key of {len(key)} bytes"
    if key[0] in version_2:
        raise PsbtVersionError(f"{where} is of version 2")
    if key[0] in final:
        raise PsbtFinalError(where)
    raise PsbtFieldError(where)
