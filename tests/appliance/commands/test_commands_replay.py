"""`undercroft-appliance replay`: what other rules would have said of past batches."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from appliance.builders import FEE_SATS, PAID_SATS, QUORUM, STRANGER, UTC, VAULT, good_batch, only, public
from appliance.commands.commands_support import POLICY_TEXT, Done, given, quorum_file, run
from appliance.coordinator import good_psbt
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.messages import BatchRequest, RequestHeader, seal_request

LEAVES = PAID_SATS + FEE_SATS
TXID = txid_to_hex(good_psbt().transaction.txid)


def record(number: int = 0, *, time: int = UTC, signed: bool = True, **changes: Any) -> dict[str, Any]:
    """A past batch that spends coin ``number``."""
    batch = good_batch(first=number)
    txid = txid_to_hex(good_psbt(number, change_index=number).transaction.txid)
    good = {"time": time, "activation": None, "batch": _text(batch.to_bytes()), "signed": [txid] if signed else []}
    return {**good, **changes}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def replay(tmp_path: Path, records: list[dict[str, Any]], *policies: str) -> Done:
    paths = [given(tmp_path, f"{at}.toml", text) for at, text in enumerate(policies or (POLICY_TEXT,))]
    lines = "".join(json.dumps(one) + "\n" for one in records)
    named = [part for path in paths for part in ("--policy", path)]
    return run("replay", "--quorum", quorum_file(tmp_path), *named, given(tmp_path, "past.jsonl", lines))


def verdicts(done: Done) -> list[tuple[str, ...]]:
    assert done.code == 0, done.err
    return [tuple(one["verdict"] for one in row["verdicts"]) for row in done.answer["transactions"]]


def test_each_transaction_is_told_with_its_numbers_and_what_each_policy_says(tmp_path: Path) -> None:
    strict = POLICY_TEXT.replace("most_fee_sats = 100_000", "most_fee_sats = 1").replace("daily", "strict")
    answer = replay(tmp_path, [record()], POLICY_TEXT, strict).answer
    assert answer["quorum"] == QUORUM.id.hex()
    (row,) = answer["transactions"]
    assert (row["batch"], row["time"], row["txid"], row["was_signed"]) == (1, UTC, TXID, True)
    assert (row["leaves_sats"], row["fee_sats"]) == (LEAVES, FEE_SATS)
    assert [(one["verdict"], one["code"]) for one in row["verdicts"]] == [("sign", None), ("refuse", "fee-limit")]
    one, other = answer["policies"]
    assert (one["name"], one["sign"], one["refuse"], one["leaves_sats"]) == ("daily payouts", 1, 0, LEAVES)
    assert (other["name"], other["sign"], other["refuse"], other["leaves_sats"]) == ("strict payouts", 0, 1, 0)


def test_the_ledger_is_carried_along_by_the_recorded_times(tmp_path: Path) -> None:
    tight = POLICY_TEXT.replace(
        "= 100_000_000\nrefuse_above_sats = 150_000_000", f"= {LEAVES}\nrefuse_above_sats = {LEAVES}"
    )
    past = [record(0), record(1, time=UTC + 3599), record(2, time=UTC + 3600)]
    assert verdicts(replay(tmp_path, past, tight, POLICY_TEXT)) == [
        ("sign", "sign"),
        ("refuse", "sign"),
        ("sign", "sign"),
    ]


def test_what_was_signed_in_the_end_counts_as_approved_and_what_was_not_as_declined(tmp_path: Path) -> None:
    asks = POLICY_TEXT.replace("hold_above_sats = 50_000_000", "hold_above_sats = 1000")
    for signed, leaves_sats in ((True, LEAVES), (False, 0)):
        done = replay(tmp_path, [record(signed=signed)], asks)
        assert verdicts(done) == [("hold",)]
        assert done.answer["policies"][0]["leaves_sats"] == leaves_sats


def test_a_new_activation_begins_a_new_total(tmp_path: Path) -> None:
    total = f"most_activation_sats = {LEAVES}\n{POLICY_TEXT}"
    ids = ["07" * 16, "07" * 16, "08" * 16]
    past = [record(at, time=UTC + at, activation=id) for at, id in enumerate(ids)]
    assert verdicts(replay(tmp_path, past, total)) == [("sign",), ("refuse",), ("sign",)]


def test_the_same_batch_again_is_counted_once(tmp_path: Path) -> None:
    done = replay(tmp_path, [record(), record()])
    assert verdicts(done) == [("sign",), ("sign",)]
    assert done.answer["policies"][0]["leaves_sats"] == LEAVES


def test_a_batch_that_cannot_be_proved_is_one_row_without_numbers(tmp_path: Path) -> None:
    bad = only(good_batch(), sequence=0).to_bytes()
    done = replay(tmp_path, [record(batch=_text(bad))])
    assert verdicts(done) == [("refuse",)]
    (row,) = done.answer["transactions"]
    assert (row["txid"], row["fee_sats"], row["verdicts"][0]["code"]) == (None, None, "sequence-number")
    assert row["was_signed"] is True


def test_a_signed_request_is_taken_as_it_was_sent(tmp_path: Path) -> None:
    def sealed(key: Any) -> str:
        header = RequestHeader(QUORUM.id, b"\x07" * 16, 5, UTC)
        body: BatchRequest = dataclasses.replace(good_batch(), policy_hash=b"\x01" * 32)
        return _text(seal_request(header, body, public(key), lambda data: bytes(key.sign(data).signature)))

    assert verdicts(replay(tmp_path, [record(batch=sealed(VAULT))])) == [("sign",)]
    done = replay(tmp_path, [record(batch=sealed(STRANGER))])
    assert done.code == 2
    assert "line 1" in done.err


@pytest.mark.parametrize(
    "changes",
    [
        {"time": UTC - 1},
        {"time": 1 << 41},
        {"time": "now"},
        {"time": True},
        {"activation": 7},
        {"batch": "!"},
        {"batch": None},
        {"batch": ""},
        {"signed": "all"},
        {"signed": ["00"]},
        {"signed": [1]},
        {"more": 1},
    ],
)
def test_a_record_that_is_none_is_named_by_its_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    done = replay(tmp_path, [record(), {**record(1), **changes}])
    assert (done.code, done.out) == (2, b"")
    assert "line 2 is no past batch" in done.err


@pytest.mark.parametrize("text", ["\n", "[]\n", "[" * 100_000, "{\n", '{"time": 1, "time": 2}\n', "null\n"])
def test_a_line_that_is_no_record_is_exit_code_2(tmp_path: Path, text: str) -> None:
    policy = given(tmp_path, "policy.toml", POLICY_TEXT)
    past = given(tmp_path, "past.jsonl", text)
    done = run("replay", "--quorum", quorum_file(tmp_path), "--policy", policy, past)
    assert (done.code, done.out) == (2, b"")
    assert "line 1 is no past batch" in done.err


def test_a_descriptor_is_not_enough_and_nothing_past_is_an_empty_answer(tmp_path: Path) -> None:
    policy = given(tmp_path, "policy.toml", POLICY_TEXT)
    descriptor = QUORUM.descriptor().text()
    assert run("replay", "--quorum", descriptor, "--policy", policy, "-").code == 2
    done = run("replay", "--quorum", quorum_file(tmp_path), "--policy", policy, "-")
    assert (done.code, done.answer["transactions"]) == (0, [])
