"""Messages: one encoding each, bounds on every field, a schema and frozen bytes that others can check against."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import message_examples as examples
from undercroft_protocol import cbor
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.codec import fields_of, from_plain, to_plain
from undercroft_protocol.errors import CborError, MessageError, ProtocolError
from undercroft_protocol.messages import (
    Change,
    Coin,
    Output,
    Policy,
    Quorum,
    Value,
    Verdict,
    grouped_code,
)
from undercroft_protocol.messages.policy_text import policy_from_toml
from undercroft_protocol.messages.replies import REPLIES
from undercroft_protocol.messages.requests import REQUESTS
from undercroft_protocol.messages.statements import STATEMENTS

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests/vectors/messages.json"
SCHEMA = ROOT / "protocol/undercroft_protocol/schema.cddl"
MESSAGES = examples.messages()
KINDS = {type(value).__name__: type(value) for value in MESSAGES.values()}


def _schema(text: str) -> Any:
    # There is no pycddl wheel for every platform that Undercroft runs on.
    return pytest.importorskip("pycddl").Schema(text)


def test_every_message_of_the_protocol_has_an_example() -> None:
    assert {kind.__name__ for kind in (*REQUESTS, *REPLIES, *STATEMENTS)} <= set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_reads_back_as_itself(name: str) -> None:
    message = MESSAGES[name]
    assert type(message).from_bytes(message.to_bytes()) == message


@pytest.mark.parametrize("name", sorted(json.loads(VECTORS.read_text())["messages"]))
def test_the_frozen_bytes_of_a_message_have_not_changed(name: str) -> None:
    frozen = bytes.fromhex(json.loads(VECTORS.read_text())["messages"][name])
    assert MESSAGES[name].to_bytes() == frozen
    assert KINDS[name].from_bytes(frozen) == MESSAGES[name]


def test_the_frozen_vectors_hold_every_message() -> None:
    assert set(json.loads(VECTORS.read_text())["messages"]) == set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_pycddl_accepts_every_message_under_the_schema(name: str) -> None:
    _schema(f"start = {name}\n{SCHEMA.read_text()}").validate_cbor(MESSAGES[name].to_bytes())


def test_the_schema_refuses_a_message_with_a_field_too_many() -> None:
    plain = dict(to_plain(MESSAGES["Done"]))  # type: ignore[arg-type]
    plain[99] = 1
    with pytest.raises(Exception, match=r"(?i)valid|map|unexpected"):
        _schema(f"start = Done\n{SCHEMA.read_text()}").validate_cbor(cbor.encode(plain))


def test_the_schema_file_is_what_the_classes_say() -> None:
    subprocess.run([sys.executable, ROOT / "tools/make_schema.py", "--check"], check=True)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_attack_an_unknown_field_is_refused_in_every_message(name: str) -> None:
    plain = dict(to_plain(MESSAGES[name]))  # type: ignore[arg-type]
    plain[len(fields_of(KINDS[name])) + 1] = 0
    with pytest.raises(MessageError, match="unknown field"):
        from_plain(KINDS[name], plain)


@pytest.mark.parametrize("name", sorted(name for name in MESSAGES if fields_of(KINDS[name])))
def test_attack_a_missing_field_is_refused_in_every_message(name: str) -> None:
    for field in fields_of(KINDS[name]):
        plain = dict(to_plain(MESSAGES[name]))  # type: ignore[arg-type]
        if field.optional or field.number not in plain:
            continue
        del plain[field.number]
        with pytest.raises(MessageError, match="is missing"):
            from_plain(KINDS[name], plain)


@pytest.mark.parametrize("name", sorted(name for name in MESSAGES if fields_of(KINDS[name])))
def test_attack_a_field_of_another_type_is_refused_in_every_message(name: str) -> None:
    for field in fields_of(KINDS[name]):
        for wrong in (None, True, -1, 1 << 63, "\u202e", b"", (), {}, {7: 7}, "x" * 5000):
            plain = dict(to_plain(MESSAGES[name]))  # type: ignore[arg-type]
            if plain.get(field.number) == wrong:
                continue
            plain[field.number] = wrong
            try:
                read = from_plain(KINDS[name], plain)
            except MessageError:
                continue
            assert to_plain(read) == plain, f"{name}.{field.name} took {wrong!r} for something else"


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_attack_a_truncated_message_is_refused_at_every_byte(name: str) -> None:
    data = MESSAGES[name].to_bytes()
    for end in range(len(data)):
        with pytest.raises(ProtocolError):
            KINDS[name].from_bytes(data[:end])
    with pytest.raises(CborError, match="after the end"):
        KINDS[name].from_bytes(data + b"\x00")


def test_messages_are_immutable() -> None:
    change = Change(0, 1)
    with pytest.raises(AttributeError):
        change.index = 1  # type: ignore[misc]


@pytest.mark.parametrize("text", ["\u202egnp", "a\nb", "caf\u00e9", "tab\t", "", "x" * 41])
def test_attack_text_that_could_lie_on_a_screen_is_refused(text: str) -> None:
    owner = examples.quorum().owners[0]
    with pytest.raises(MessageError):
        dataclasses.replace(owner, name=text)


def test_attack_true_does_not_pass_for_one_satoshi() -> None:
    with pytest.raises(MessageError, match="bool where int"):
        Change(0, True)


def _quorum_with(**changes: object) -> Quorum:
    return dataclasses.replace(examples.quorum(), **changes)  # type: ignore[arg-type]


class TestQuorum:
    def test_its_id_is_the_hash_of_its_bytes_and_its_code_is_sixteen_bytes_of_it(self) -> None:
        quorum = examples.quorum()
        assert quorum.code == grouped_code(quorum.id)
        assert quorum.code.replace("-", "") == quorum.id[:16].hex()

    def test_attack_owners_in_another_order_make_no_second_quorum(self) -> None:
        with pytest.raises(MessageError, match="order"):
            _quorum_with(owners=tuple(reversed(examples.quorum().owners)))

    @pytest.mark.parametrize("what", ["name", "site", "region", "fingerprint", "identity"])
    def test_attack_two_owners_never_share(self, what: str) -> None:
        first, second, third = examples.quorum().owners
        twin = dataclasses.replace(second, **{what: getattr(first, what)})
        with pytest.raises(MessageError, match="share one"):
            _quorum_with(owners=(first, twin, third))

    def test_attack_one_key_twice_under_other_metadata(self) -> None:
        first, second, third = examples.quorum().owners
        disguised = second.xpub[:-33] + first.xpub[-33:]
        owners = sorted((first, dataclasses.replace(second, xpub=disguised), third), key=lambda owner: owner.xpub)
        with pytest.raises(MessageError, match="share one key"):
            _quorum_with(owners=tuple(owners))

    def test_attack_the_vault_is_its_own_risk_service(self) -> None:
        with pytest.raises(MessageError, match="different keys"):
            _quorum_with(risk_key=examples.quorum().vault_key)

    @pytest.mark.parametrize("threshold", [0, 1, 3])
    def test_attack_another_threshold(self, threshold: int) -> None:
        with pytest.raises(MessageError, match="2 of 3"):
            _quorum_with(threshold=threshold)

    def test_attack_keys_of_another_network(self) -> None:
        with pytest.raises(ProtocolError):
            _quorum_with(network="mainnet")

    def test_a_stranger_is_no_owner(self) -> None:
        with pytest.raises(MessageError, match="no owner"):
            examples.quorum().owner_of(bytes(32))


POLICY_TEXT = examples.POLICY_TEXT.format(version=1)


class TestPolicy:
    def test_the_toml_that_people_write_gives_the_same_value_and_hash(self) -> None:
        quorum = examples.quorum()
        policy = policy_from_toml(POLICY_TEXT, quorum.id, quorum.bitcoin_network)
        assert policy == examples.policy(quorum.id)
        assert policy.hash == examples.policy(quorum.id).hash

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ("most_fee_sats", "most_fees_sats", "missing|not a rule"),
            ("version = 1\n", "", "version is missing"),
            ("version = 1", "version = 0", "version"),
            ("version = 1", 'version = "1"', "str where int"),
            ("version = 1", "version = 1.0", "float where int"),
            ("version = 1", "version = true", "bool where int"),
            ("version = 1", "version = 1\nversion = 2", "overwrite|twice|duplicate"),
            ("version = 1", 'version = 1\nquorum_id = "00"', "not written by hand"),
            ("50_000_000\nref", "600_000_000\nref", "larger than"),
            ("most_fee_ppm = 50_000", "most_fee_ppm = -1", "not within"),
            ("seconds = 3600\nhold", "seconds = 59\nhold", "least"),
            ("seconds = 3600\nhold", "seconds = 86_400\nhold", "rising order"),
            ('"p2pkh", ', "", None),
            ('"p2pkh"', '"op_return"', "payee_types"),
            ('"p2pkh", "p2sh"', '"p2sh", "p2pkh"', "payee_types"),
            ("[[windows]]", "[[window]]", "missing|not a rule"),
            ("seconds = 3600\n", "seconds = 3600\ncount = 5\n", "count is not a rule"),
            ("name = ", "name ", "policy file"),
        ],
    )
    def test_attack_a_policy_with_one_wrong_entry_does_not_load(
        self, old: str, new: str, complaint: str | None
    ) -> None:
        text = POLICY_TEXT.replace(old, new, 1)
        assert text != POLICY_TEXT
        if complaint is None:
            assert policy_from_toml(text, bytes(32), Network.REGTEST).payee_types[0] == "p2sh"
            return
        with pytest.raises(MessageError, match=complaint):
            policy_from_toml(text, bytes(32), Network.REGTEST)

    def test_a_policy_without_windows_does_not_load(self) -> None:
        with pytest.raises(MessageError):
            dataclasses.replace(examples.policy(bytes(32)), windows=())

    def test_any_change_of_a_rule_changes_the_hash(self) -> None:
        policy: Policy = examples.policy(bytes(32))
        other = dataclasses.replace(policy, most_fee_sats=policy.most_fee_sats + 1)
        assert other.hash != policy.hash


class TestBatch:
    def test_an_output_is_either_a_payee_or_change(self) -> None:
        with pytest.raises(MessageError, match="exactly one"):
            Output(None, None)
        with pytest.raises(MessageError, match="exactly one"):
            Output(b"\x00" * 80, Change(0, 1))

    @pytest.mark.parametrize(
        ("verdict", "code", "signatures"),
        [
            ("signed", None, ()),
            ("signed", "policy", (b"\x30" * 70,)),
            ("held", None, ()),
            ("refused", "policy", (b"\x30" * 70,)),
            ("maybe", "policy", ()),
        ],
    )
    def test_attack_a_verdict_that_contradicts_itself(
        self, verdict: str, code: str | None, signatures: tuple[bytes, ...]
    ) -> None:
        with pytest.raises(MessageError):
            Verdict(bytes(32), verdict, code, signatures)

    def test_attack_a_branch_beyond_change(self) -> None:
        with pytest.raises(MessageError):
            Coin(0, 0, 2, 0)


class _Strange(Value):
    pass


def test_a_class_outside_the_protocol_has_no_encoding_by_accident() -> None:
    with pytest.raises(CborError):
        cbor.encode((_Strange(),))  # type: ignore[arg-type]
