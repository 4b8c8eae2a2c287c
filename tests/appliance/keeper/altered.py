"""Good PSBTs and batches, altered by what hypothesis draws: by field, consistently or not, and by byte."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final

from hypothesis import strategies as st

from appliance.builders import COIN_SATS, DESCRIPTOR, P2WPKH, previous_transaction
from appliance.keeper.psbt_support import RawPsbt, derivations
from undercroft_protocol import cbor
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxOutput
from undercroft_protocol.errors import CborError, TransactionError

NUMBERS: Final = st.integers(0, 2**16 - 1)
AMOUNTS: Final = (0, 1, 293, 294, 100_000, COIN_SATS - 1, COIN_SATS, COIN_SATS + 1, 2_099_999_999_999_999)
SEQUENCES: Final = (0, 1, 0xFFFFFFFC, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF)
LOCKTIMES: Final = (0, 899, 900, 901, 902, 499_999_999, 500_000_000, 0xFFFFFFFF)
VERSIONS: Final = (0, 1, 2, 3, 0xFFFFFFFF)
SCRIPTS: Final = (
    P2WPKH,
    DESCRIPTOR.script(0, 0),
    DESCRIPTOR.script(1, 0),
    b"\x6a\x01x",
    b"\x51",
    b"\x51\x20" + b"\x09" * 32,
)
INDEXES: Final = (0, 1, 7, 19, 20, 21, 22, 23, 1_000_001)

Draw = tuple[int, int, int]
DRAWS: Final = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=4)
DAMAGED_BYTES: Final = st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=2)


def altered_psbt(draws: Sequence[Draw], flips: Sequence[Draw], coins: int = 2) -> bytes:
    """The good PSBT after some steps; every draw is one."""
    raw = RawPsbt.good(coins)
    for kind, first, second in draws:
        # What cannot even be built is left out; bytes that say it come from the flips.
        with contextlib.suppress(TransactionError):
            _STEPS[kind % len(_STEPS)](raw, first, second)
    return damaged_bytes(raw.serialize(), flips)


def damaged_bytes(data: bytes, flips: Sequence[Draw]) -> bytes:
    """Bytes changed, taken out, put in, or written twice."""
    for kind, at, value in flips:
        where = (at * 257 + value) % max(len(data), 1)
        byte = bytes([value % 256])
        part = data[where : where + value % 40]
        data = (
            data[:where] + byte + data[where + 1 :],
            data[:where] + data[where + 1 :],
            data[:where] + byte + data[where:],
            data[:where] + part + data[where:],
        )[kind % 4]
    return data


def altered_batch(data: bytes, draws: Sequence[Draw], flips: Sequence[Draw]) -> bytes:
    """A batch whose fields are replaced, removed, exchanged or written twice, anywhere in the tree."""
    tree = _thawed(cbor.decode(data))
    for kind, first, second in draws:
        places = list(_places(tree))
        holder, key = places[first % len(places)]
        other, at = places[second % len(places)]
        match kind % 5:
            case 0:
                holder[key] = (other[at], second, bytes([second % 256]) * (first % 40), "text", None, [])[second % 6]
            case 1:
                del holder[key]
            case 2 if isinstance(holder, list):
                holder.insert(key, holder[key])
            case 3:
                holder[key], other[at] = other[at], holder[key]
            case _:
                holder[key] = _near(holder[key], second)
        try:
            cbor.encode(tree)
        except (CborError, RecursionError):
            # An exchange may have put a part into itself: then nothing more is done to the tree before it.
            return damaged_bytes(data, flips)
    return damaged_bytes(cbor.encode(tree), flips)


def _near(value: Any, number: int) -> Any:
    if isinstance(value, bool) or value is None:
        return number
    if isinstance(value, int):
        return abs(value + (1, -1, 256, number)[number % 4])
    if isinstance(value, bytes) and value:
        at = number % len(value)
        return value[:at] + bytes([value[at] ^ (1 << number % 8)]) + value[at + 1 :]
    return value


def _thawed(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_thawed(one) for one in value]
    return {key: _thawed(one) for key, one in value.items()} if hasattr(value, "items") else value


def _places(value: Any) -> Any:
    """Where something stands: its holder, and the key or number in it."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def _maps(raw: RawPsbt) -> list[dict[bytes, bytes]]:
    return [raw.globals, *raw.inputs, *raw.outputs]


def _record(raw: RawPsbt, number: int) -> tuple[dict[bytes, bytes], bytes] | None:
    found = [(one, key) for one in _maps(raw) for key in one]
    return found[number % len(found)] if found else None


def _drop(raw: RawPsbt, first: int, second: int) -> None:
    if (place := _record(raw, first)) is not None:
        del place[0][place[1]]


def _move(raw: RawPsbt, first: int, second: int) -> None:
    """A record goes to another map, or takes another one's place."""
    if (place := _record(raw, first)) is not None:
        maps = _maps(raw)
        maps[second % len(maps)][place[1]] = place[0][place[1]]


def _exchange(raw: RawPsbt, first: int, second: int) -> None:
    one, other = _record(raw, first), _record(raw, second)
    if one is not None and other is not None:
        one[0][one[1]], other[0][other[1]] = other[0][other[1]], one[0][one[1]]


def _flip(raw: RawPsbt, first: int, second: int) -> None:
    place = _record(raw, first)
    if place is not None and place[0][place[1]]:
        holder, key = place
        value = bytearray(holder[key])
        value[second % len(value)] ^= 1 << second % 8
        holder[key] = bytes(value)


def _coin(raw: RawPsbt, first: int, second: int) -> None:
    """Another coin altogether, told consistently: previous transaction, txid, spent output, place."""
    at, index = first % len(raw.inputs), INDEXES[second % len(INDEXES)]
    amount_sats = AMOUNTS[(first + second) % len(AMOUNTS)]
    script = DESCRIPTOR.script(second % 2, index)
    previous = previous_transaction((amount_sats, script), salt=first + 100)
    spent = dataclasses.replace(raw.transaction.inputs[at], outpoint=Outpoint(Transaction.parse(previous).txid, 0))
    inputs = raw.transaction.inputs
    raw.change_transaction(inputs=(*inputs[:at], spent, *inputs[at + 1 :]))
    raw.inputs[at] = {
        b"\x00": previous,
        b"\x01": TxOutput(amount_sats, script).serialize(),
        b"\x05": DESCRIPTOR.witness_script(second % 2, index),
        **derivations(6, second % 2, index),
    }


def _paid(raw: RawPsbt, first: int, second: int) -> None:
    number = first % len(raw.transaction.outputs)
    raw.change_output(number, amount_sats=AMOUNTS[second % len(AMOUNTS)])


def _payee(raw: RawPsbt, first: int, second: int) -> None:
    raw.change_output(first % len(raw.transaction.outputs), script=SCRIPTS[second % len(SCRIPTS)])


def _own(raw: RawPsbt, first: int, second: int) -> None:
    """Change that really is at another place."""
    if len(raw.outputs) > 1:
        raw.move_change(first % 2, INDEXES[second % len(INDEXES)])


def _turn_outputs(raw: RawPsbt, first: int, second: int) -> None:
    """Outputs change places, with their maps or without."""
    raw.change_transaction(outputs=raw.transaction.outputs[::-1])
    if first % 2:
        raw.outputs.reverse()


def _turn_inputs(raw: RawPsbt, first: int, second: int) -> None:
    raw.change_transaction(inputs=raw.transaction.inputs[::-1])
    if first % 2:
        raw.inputs.reverse()


def _repeat_input(raw: RawPsbt, first: int, second: int) -> None:
    at = first % len(raw.inputs)
    raw.change_transaction(inputs=(*raw.transaction.inputs, raw.transaction.inputs[at]))
    raw.inputs.append(dict(raw.inputs[at]))


def _shape(raw: RawPsbt, first: int, second: int) -> None:
    match first % 3:
        case 0:
            raw.change_transaction(version=VERSIONS[second % len(VERSIONS)])
        case 1:
            raw.change_transaction(locktime=LOCKTIMES[second % len(LOCKTIMES)])
        case _:
            raw.change_input(sequence=SEQUENCES[second % len(SEQUENCES)])


_STEPS: Final[tuple[Callable[[RawPsbt, int, int], None], ...]] = (
    _drop,
    _move,
    _exchange,
    _flip,
    _coin,
    _paid,
    _payee,
    _own,
    _turn_outputs,
    _turn_inputs,
    _repeat_input,
    _shape,
)
