"""Coinkite's own BBQr code (npm `bbqr`) reads what we write, and we read what it writes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from node_support import needs_node, run_node, try_node
from protocol.qr.bbqr_examples import LIMIT, noise, psbt, texts
from undercroft_protocol.errors import QrSymbolError
from undercroft_protocol.qr.bbqr import BbqrSink
from undercroft_protocol.qr.bbqr.header import KIND_OF_TYPE
from undercroft_protocol.qr.stream import Format, Payload

SIZES = [1, 2, 7, 40, 333, 5000, 60_000]
ENCODINGS = "HZ2"
TYPES = [*KIND_OF_TYPE]
VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "bbqr" / "coinkite.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]


def content(file_type: str, size: int) -> bytes:
    """Text where it must be text; half of it can be made shorter."""
    if file_type in "UJ":
        return ("[" + "1, " * size)[: max(1, size - 1)].encode() + b"]" * (size > 1)
    return (psbt(size) if size > 20 else noise(size))[:size]


@needs_node
def test_they_join_what_we_split() -> None:
    calls, wanted = [], []
    for file_type in TYPES:
        for encoding in ENCODINGS:
            for size in SIZES:
                data = content(file_type, size)
                parts = texts(data, characters=758, encoding=encoding, kind=KIND_OF_TYPE[file_type])
                random.Random(size).shuffle(parts)
                calls.append({"do": "bbqr.join", "parts": parts})
                wanted.append({"type": file_type, "encoding": parts[0][2], "data": data.hex()})
    assert run_node(calls) == wanted


@needs_node
def test_we_join_what_they_split() -> None:
    cases = [
        (file_type, content(file_type, size), {"encoding": encoding, "maxVersion": version, "minVersion": 5})
        for file_type in TYPES
        for encoding in ENCODINGS
        for size in SIZES
        for version in (10, 27, 40)
        # Theirs, too, knows no more than 1295 parts.
        if size < 60_000 or version > 10
    ]
    calls = [
        {"do": "bbqr.split", "data": data.hex(), "type": file_type, "options": options}
        for file_type, data, options in cases
    ]
    for (file_type, data, _), answer in zip(cases, run_node(calls), strict=True):
        sink = BbqrSink(limit=LIMIT)
        found = [sink.take(part) for part in reversed(answer["parts"])]
        assert found[-1] == Payload(Format.BBQR, KIND_OF_TYPE[file_type], data)


@needs_node
@pytest.mark.parametrize("version", [10, 25, 40])
def test_we_need_no_more_parts_and_deflate_no_worse_than_they_do(version: int) -> None:
    capacity = {10: 395, 25: 1853, 40: 4296}[version]
    options = {"encoding": "Z", "minVersion": version, "maxVersion": version}
    answers = run_node(
        [
            {"do": "bbqr.split", "data": psbt(size).hex(), "type": "P", "options": options}
            for size in (400, 3000, 30_000)
        ]
    )
    for size, answer in zip((400, 3000, 30_000), answers, strict=True):
        ours = texts(psbt(size), characters=capacity, encoding="Z")
        assert ours[0][2] == answer["encoding"]
        assert len(ours) <= len(answer["parts"])
        assert sum(map(len, ours)) <= sum(map(len, answer["parts"]))


@needs_node
def test_attack_what_they_refuse_we_refuse_too() -> None:
    good = texts(noise(300), characters=200)
    bad: list[list[str]] = [
        [good[0][:4] + "00" + good[0][6:]],
        [good[0], good[1][:2] + "H" + good[1][3:], good[2]],
        [good[0], good[1][:3] + "T" + good[1][4:], good[2]],
        [good[0], good[1][:4] + "04" + good[1][6:], good[2]],
        [good[0], good[0][:8] + good[1][8:], *good[1:]],
        ["C$" + good[0][2:]],
        [good[0][:2] + "Q" + good[0][3:]],
    ]
    answers: list[dict[str, Any]] = try_node([{"do": "bbqr.join", "parts": parts} for parts in bad])
    for parts, answer in zip(bad, answers, strict=True):
        assert "error" in answer, parts
        sink = BbqrSink(limit=LIMIT)
        with pytest.raises(QrSymbolError):
            for part in parts:
                sink.take(part)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['type']}-{case['encoding']}-{len(case['parts'])}")
def test_what_they_wrote_once_is_read_without_node(case: dict[str, Any]) -> None:
    sink = BbqrSink(limit=LIMIT)
    found = [sink.take(part) for part in case["parts"]]
    assert found[-1] == Payload(Format.BBQR, KIND_OF_TYPE[case["type"]], bytes.fromhex(case["data"]))


@needs_node
def test_they_still_write_it_so() -> None:
    calls = [{"do": "bbqr.split", **{key: case[key] for key in ("data", "type", "options")}} for case in CASES]
    assert [answer["parts"] for answer in run_node(calls)] == [case["parts"] for case in CASES]
