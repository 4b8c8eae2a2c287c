"""Every vector of bad codes (tests/vectors/qr) before its sink: refused by its code, and the message still arrives."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.qr.bbqr import BbqrSink
from undercroft_protocol.qr.collector import Collector
from undercroft_protocol.qr.fast import FastSink
from undercroft_protocol.qr.stream import SymbolSink
from undercroft_protocol.qr.texts import PlainSink, PmofnSink
from undercroft_protocol.qr.ur import UrSink
from vectors.make_qr import FOLDER, LIMIT, made
from vectors.vector_files import differing

VECTORS: Final = sorted(FOLDER.glob("*.json"))
SINKS: Final[Mapping[str, Callable[..., SymbolSink]]] = {
    "bbqr": BbqrSink,
    "fast": FastSink,
    "plain": PlainSink,
    "pmofn": PmofnSink,
    "ur": UrSink,
}
LINES: Final = set(range(72, 79))


def outcome(vector: dict[str, Any]) -> tuple[str | None, list[bytes]]:
    """The code of the first error (of the last one for the collector, which raises none), and what arrives."""
    if vector["sink"] == "collector":
        collector = Collector(limit=LIMIT)
        payloads = [payload.data for payload in map(collector.take, vector["texts"]) if payload is not None]
        return None if collector.last_problem is None else collector.last_problem.code, payloads
    sink = SINKS[vector["sink"]](limit=LIMIT)
    codes: list[str] = []
    payloads = []
    for text in vector["texts"]:
        try:
            payload = sink.take(text)
        except ProtocolError as error:
            codes.append(error.code)
        else:
            payloads += [payload.data] if payload is not None else []
    return codes[0] if codes else None, payloads


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_attack_bad_codes_get_their_code_and_do_no_harm(path: Path) -> None:
    vector = json.loads(path.read_text(encoding="utf-8"))
    tracemalloc.start()
    try:
        code, payloads = outcome(vector)
        # Nobody who announces or deflates much gets more memory than the longest message may take.
        assert tracemalloc.get_traced_memory()[1] < 100 * LIMIT
    finally:
        tracemalloc.stop()
    assert code == vector["expect"]
    assert len(payloads) == (1 if vector["after"] == "whole" else 0)
    if "sha256" in vector:
        assert [hashlib.sha256(data).hexdigest() for data in payloads] == [vector["sha256"]]


def test_every_line_on_codes_in_the_survey_has_a_vector() -> None:
    assert {json.loads(path.read_text(encoding="utf-8"))["line"] for path in VECTORS} - {None} == LINES


def test_the_vectors_are_what_their_generators_write() -> None:
    assert differing(FOLDER, made()) == []
