"""Past batches as a file: JSON lines, one batch each, the oldest first.

    {"time": 1790000000, "activation": "<32 hex digits>" or null, "batch": "<base64>", "signed": ["<txid>", ...]}

`time` is when it was sent (seconds since 1970; it never falls), `activation` in which activation, `batch` the canonical
CBOR of its BatchRequest or the whole signed request, `signed` the transactions (as nodes print their ids) that were
signed in the end. Exactly these four keys.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.keeper.parse import read_request
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol.bitcoin.transaction import txid_from_hex
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import BatchRequest, Quorum

KEYS: Final = frozenset({"time", "activation", "batch", "signed"})
_STDIN: Final = "-"
_MOST_LINE_BYTES: Final = 8 * 1024 * 1024
_LATEST: Final = 1 << 40
"""Seconds since 1970: the latest time of the protocol."""
_MAP_BEGINS: Final = b"\xa5"


@dataclass(frozen=True, slots=True)
class PastBatch:
    """One batch as it was sent: its line (from 1), when (seconds since 1970), in which activation, what was signed."""

    number: int
    time: int
    activation: str | None
    request: BatchRequest
    signed: frozenset[bytes]


def read_past(path: str, quorum: Quorum) -> Iterator[PastBatch]:
    """The batches in a file (``-``: standard input). Raises ConfigurationError, naming the line."""
    try:
        if path == _STDIN:
            yield from _read(sys.stdin.buffer, quorum)
        else:
            with Path(path).open("rb") as file:
                yield from _read(file, quorum)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _read(file: BinaryIO, quorum: Quorum) -> Iterator[PastBatch]:
    last = 0
    number = 0
    # Attack: a line without an end.
    while line := file.readline(_MOST_LINE_BYTES + 1):
        number += 1
        try:
            past = _parse(line, number, quorum, last)
        except (ValueError, TypeError, RecursionError, ProtocolError, Refusal) as error:
            raise ConfigurationError(f"line {number} is no past batch: {error}") from error
        last = past.time
        yield past


def _parse(line: bytes, number: int, quorum: Quorum, earliest: int) -> PastBatch:
    if len(line) > _MOST_LINE_BYTES:
        raise ValueError(f"more than {_MOST_LINE_BYTES} bytes")
    record = json.loads(line, object_pairs_hook=_once)
    if not isinstance(record, dict) or set(record) != KEYS:
        raise ValueError(f"its keys are not {', '.join(sorted(KEYS))}")
    time, activation, signed = record["time"], record["activation"], record["signed"]
    if type(time) is not int or not earliest <= time <= _LATEST:
        raise ValueError("time is no number of seconds, or one before the line above")
    if activation is not None and not isinstance(activation, str):
        raise TypeError("activation is neither hex nor null")
    if not isinstance(signed, list):
        raise TypeError("signed is not a list")
    request = _batch(_decoded(record["batch"]), quorum)
    return PastBatch(number, time, activation, request, frozenset(txid_from_hex(txid) for txid in signed))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Attack: two values for one key, of which one program takes the first and another the last.
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _decoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError("batch is not text")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("batch is not base 64") from None


def _batch(data: bytes, quorum: Quorum) -> BatchRequest:
    if data.startswith(_MAP_BEGINS):
        return BatchRequest.from_bytes(data)
    body = read_request(data, (quorum.vault_key,)).body
    if not isinstance(body, BatchRequest):
        raise TypeError(f"it holds a {type(body).__name__}")
    return body
