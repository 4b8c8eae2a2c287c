"""`undercroft-appliance check`: the appliance's own answer, without a key, whatever the bytes are."""

from __future__ import annotations

import base64
import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as given_bytes
from hypothesis import settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from appliance.builders import (
    COIN_SATS,
    DESCRIPTOR,
    FEE_SATS,
    HEIGHT,
    P2WPKH,
    PAID_SATS,
    POLICY,
    QUORUM,
    STRANGER,
    VAULT,
    change,
    clearance,
    good_batch,
    only,
    public,
)
from appliance.commands.commands_support import POLICY_TEXT, Done, given, quorum_file, run
from appliance.coordinator import CHANGE_SATS, good_psbt
from undercroft_appliance.commands.check import Checker
from undercroft_appliance.commands.inputs import KnownQuorum
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt_records import PsbtRecords, write_psbt
from undercroft_protocol.messages import BatchRequest, LockRequest, Policy, RequestHeader, Value, seal_request

TEXT = DESCRIPTOR.text()
PSBT = good_psbt().serialize()
FEERATE = FEE_SATS * 1000
OUTPUTS = [
    {"kind": "payee", "amount_sats": PAID_SATS, "address": address_of(P2WPKH, Network.REGTEST)},
    {"kind": "change", "amount_sats": CHANGE_SATS, "address": DESCRIPTOR.address(1, 0)},
]


def check(tmp_path: Path, data: bytes, *options: str | Path, quorum: str | Path = TEXT) -> Done:
    return run("check", "--quorum", quorum, *options, given(tmp_path, "input", data))


def fresh_batch(*, expires: int = 3600, **changes: Any) -> BatchRequest:
    """A batch whose clearances are good now."""
    cleared = clearance("w-0", expires=int(time.time()) + expires)
    return only(good_batch(), **{"outputs": (cleared, change()), **changes})


def sealed(body: Value, key: SigningKey = VAULT, **header: Any) -> bytes:
    good = RequestHeader(QUORUM.id, b"\x07" * 16, 5, int(time.time()) + 600)
    mutated = dataclasses.replace(good, **header)
    return seal_request(mutated, body, public(key), lambda data: bytes(key.sign(data).signature))


SEALED = sealed(good_batch())


def test_a_psbt_that_can_be_proved_would_be_signed(tmp_path: Path) -> None:
    done = check(tmp_path, PSBT)
    assert done.code == 0
    answer = done.answer
    feerate = answer.pop("feerate")
    assert answer == {"verdict": "sign", "code": None, "detail": "", "fee_sats": FEE_SATS, "outputs": OUTPUTS}
    assert isinstance(feerate, int)
    assert 20_000 < feerate < 30_000


def test_base64_with_white_space_around_it_and_standard_input_say_the_same(tmp_path: Path) -> None:
    text = b"\n " + base64.b64encode(PSBT) + b"\r\n"
    piped = run("check", "--quorum", TEXT, "-", stdin=text)
    assert (piped.code, piped.answer) == (0, check(tmp_path, PSBT).answer)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.partition("#")[0],
        TEXT.replace("h/", "'/").partition("#")[0].replace("2h]", "2']"),
        "wsh(sortedmulti(2,{2},{0},{1}))",
    ],
)
def test_a_descriptor_may_lack_its_checksum_have_apostrophes_and_any_order(tmp_path: Path, text: str) -> None:
    keys = [f"{cosigner.text()}/<0;1>/*" for cosigner in DESCRIPTOR.cosigners]
    assert check(tmp_path, PSBT, quorum=text.format(*keys) if "{" in text else text).code == 0


def test_the_quorum_may_be_a_file_with_the_quorum_or_with_a_descriptor(tmp_path: Path) -> None:
    assert check(tmp_path, PSBT, quorum=quorum_file(tmp_path)).code == 0
    assert check(tmp_path, PSBT, quorum=given(tmp_path, "descriptor.txt", f"{TEXT}\n")).code == 0


def test_the_network_of_a_descriptor_decides_the_addresses(tmp_path: Path) -> None:
    done = check(tmp_path, PSBT, "--network", "signet")
    assert done.answer["outputs"][1]["address"].startswith("tb1q")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"psbt",
        b"psbt\xff",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        bytes(range(256)) * 40,
        b"cHNidP8B",
        b"cHNidP8B!!!!",
        b"hello",
        b"\xa5",
        b"\xd2\x84",
        bytes(64),
        PSBT[:-1],
        PSBT + b"\x00",
    ],
)
def test_attack_bytes_that_are_nothing_are_refused_with_no_numbers(tmp_path: Path, data: bytes) -> None:
    done = check(tmp_path, data)
    assert done.code == 5
    answer = done.answer
    assert answer["code"] in {"malformed-message", "psbt-malformed"}
    assert (answer["verdict"], answer["fee_sats"], answer["feerate"], answer["outputs"]) == ("refuse", None, None, [])


def test_attack_a_hundred_megabytes_of_nothing_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    done = run("check", "--quorum", TEXT, path)
    assert (done.code, done.answer["code"]) == (5, "malformed-message")
    endless = run("check", "--quorum", TEXT, "/dev/zero")
    assert endless.code == 5


def test_attack_change_to_a_stranger_is_refused_by_its_exact_code(tmp_path: Path) -> None:
    records = PsbtRecords.parse(PSBT)
    payee, own = records.transaction.outputs
    stolen = dataclasses.replace(records.transaction, outputs=(payee, dataclasses.replace(own, script=P2WPKH)))
    forged = write_psbt(stolen.serialize(), records.inputs, records.outputs)
    done = check(tmp_path, forged)
    assert (done.code, done.answer["code"], done.answer["fee_sats"]) == (5, "change-fraud", None)


def test_a_height_refuses_what_could_not_be_mined_now(tmp_path: Path) -> None:
    assert check(tmp_path, PSBT, "--height", str(HEIGHT)).code == 0
    done = check(tmp_path, PSBT, "--height", str(HEIGHT - 2))
    assert (done.code, done.answer["code"]) == (5, "locktime")


def test_a_policy_holds_what_nobody_cleared(tmp_path: Path) -> None:
    done = check(tmp_path, PSBT, "--policy", given(tmp_path, "policy.toml", POLICY_TEXT))
    answer = done.answer
    assert (done.code, answer["verdict"], answer["code"]) == (6, "hold", "uncleared-payee")
    assert (answer["fee_sats"], answer["outputs"]) == (FEE_SATS, OUTPUTS)
    assert "uncleared-payee" in answer["detail"]


def test_a_policy_refuses_above_its_limit_and_the_numbers_are_told(tmp_path: Path) -> None:
    text = POLICY_TEXT.replace("most_fee_sats = 100_000", "most_fee_sats = 4_999")
    done = check(tmp_path, PSBT, "--policy", given(tmp_path, "policy.toml", text))
    answer = done.answer
    assert (done.code, answer["verdict"], answer["code"]) == (5, "refuse", "fee-limit")
    assert (answer["fee_sats"], answer["outputs"]) == (FEE_SATS, OUTPUTS)


def test_a_payee_on_the_policys_allowlist_would_be_signed(tmp_path: Path) -> None:
    allowed = f'allowlist = ["{address_of(P2WPKH, Network.REGTEST)}"]\n'
    done = check(tmp_path, PSBT, "--policy", given(tmp_path, "policy.toml", allowed + POLICY_TEXT))
    assert (done.code, done.answer["verdict"], done.answer["code"]) == (0, "sign", None)


def test_a_policys_change_gap_is_the_bound_for_change(tmp_path: Path) -> None:
    far = good_psbt(change_index=POLICY.change_gap + 1).serialize()
    assert check(tmp_path, far).code == 0
    done = check(tmp_path, far, "--policy", given(tmp_path, "policy.toml", POLICY_TEXT))
    assert (done.code, done.answer["code"]) == (5, "change-index")


def test_a_batch_as_the_host_sends_it_is_proved_and_each_transaction_told(tmp_path: Path) -> None:
    quorum = quorum_file(tmp_path)
    batch = good_batch(2)
    for data in (sealed(batch), batch.to_bytes()):
        done = check(tmp_path, data, quorum=quorum)
        answer = done.answer
        assert (done.code, answer["verdict"], answer["fee_sats"]) == (0, "sign", 2 * FEE_SATS)
        assert len(answer["outputs"]) == 4
        assert [one["fee_sats"] for one in answer["transactions"]] == [FEE_SATS] * 2
        assert all(len(one["txid"]) == 64 for one in answer["transactions"])
        assert sum(one["amount_sats"] for one in answer["outputs"]) == 2 * (COIN_SATS - FEE_SATS)


def test_a_batch_is_judged_by_the_policy_it_names(tmp_path: Path) -> None:
    quorum = quorum_file(tmp_path)
    held = dataclasses.replace(POLICY, hold_above_sats=1_000_000)
    expected = {POLICY: (0, "sign", None), held: (6, "hold", "transaction-hold")}
    for policy, (code, verdict, reason) in expected.items():
        path = given(tmp_path, "policy.cbor", policy.to_bytes())
        batch = dataclasses.replace(fresh_batch(), policy_hash=policy.hash)
        done = check(tmp_path, sealed(batch), "--policy", path, quorum=quorum)
        assert (done.code, done.answer["verdict"], done.answer["code"]) == (code, verdict, reason)


def test_a_batch_under_another_policy_is_refused_with_its_numbers(tmp_path: Path) -> None:
    other = given(tmp_path, "policy.toml", POLICY_TEXT.replace("daily", "weekly"))
    done = check(tmp_path, fresh_batch().to_bytes(), "--policy", other, quorum=quorum_file(tmp_path))
    answer = done.answer
    assert (done.code, answer["code"], answer["fee_sats"]) == (5, "other-policy", FEE_SATS)
    assert [one["code"] for one in answer["transactions"]] == ["other-policy"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (sealed(good_batch(), STRANGER), "untrusted-signer"),
        (sealed(good_batch(), quorum_id=b"\x09" * 32), "other-quorum"),
        (sealed(good_batch(), expires=1), "request-expired"),
        (sealed(LockRequest()), "malformed-message"),
        (only(good_batch(), sequence=0).to_bytes(), "sequence-number"),
        (good_batch().to_bytes() + b"\x00", "malformed-message"),
    ],
)
def test_attack_a_batch_that_the_appliance_would_refuse(tmp_path: Path, data: bytes, code: str) -> None:
    done = check(tmp_path, data, quorum=quorum_file(tmp_path))
    assert (done.code, done.answer["code"]) == (5, code)


@settings(max_examples=200, deadline=None)
@given_bytes(st.data())
def test_attack_a_byte_changed_anywhere_is_answered_or_refused_and_never_an_error(data: st.DataObject) -> None:
    good = bytearray(data.draw(st.sampled_from((PSBT, good_batch().to_bytes(), SEALED))))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    known = KnownQuorum(Network.REGTEST, DESCRIPTOR, QUORUM)
    try:
        answer = Checker(known, POLICY, None).answer(bytes(good))
    except Refusal:
        return
    assert set(answer) >= {"verdict", "code", "detail", "fee_sats", "feerate", "outputs"}


def test_attack_a_batch_changed_after_it_was_signed(tmp_path: Path) -> None:
    data = bytearray(sealed(good_batch()))
    data[-1] ^= 1
    assert check(tmp_path, bytes(data), quorum=quorum_file(tmp_path)).answer["code"] == "bad-signature"


def test_a_batch_needs_the_whole_quorum(tmp_path: Path) -> None:
    for data in (sealed(good_batch()), good_batch().to_bytes()):
        done = check(tmp_path, data)
        assert (done.code, done.answer["code"]) == (5, "quorum-needed")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--quorum", TEXT),
        ("--quorum", TEXT[:-1] + ("q" if TEXT[-1] != "q" else "p"), "-"),
        ("--quorum", "wsh(sortedmulti(2))", "-"),
        ("--quorum", "wsh(\udcff)", "-"),
        ("--quorum", "/nowhere", "-"),
        ("--quorum", "/dev/null", "-"),
        ("--quorum", TEXT, "--network", "mainnet", "-"),
        ("--quorum", TEXT, "--policy", "/nowhere", "-"),
        ("--quorum", TEXT, "--policy", "/dev/null", "-"),
        ("--quorum", TEXT, "--height", "-1", "-"),
        ("--quorum", TEXT, "/nowhere"),
        ("--quorum", TEXT, "--passphrase", "x", "-"),
    ],
)
def test_what_is_asked_wrongly_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = run("check", *arguments, stdin=PSBT)
    assert (done.code, done.out) == (2, b"")
    assert "undercroft-appliance: error [" in done.err


def test_a_policy_for_another_quorum_is_exit_code_2(tmp_path: Path) -> None:
    other: Policy = dataclasses.replace(POLICY, quorum_id=b"\x01" * 32)
    path = given(tmp_path, "policy.cbor", other.to_bytes())
    assert check(tmp_path, PSBT, "--policy", path, quorum=quorum_file(tmp_path)).code == 2
