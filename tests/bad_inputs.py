"""The vectors of bad input (tests/vectors/bad): how one is written, read, and put before the real door.

Every vector says by which code the door must answer; a few good ones beside the bad say `sign`.
"""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from appliance.builders import BOOK, HEIGHT, POLICY, QUORUM, UTC
from bad_scenarios import played
from undercroft_appliance.keeper.ceremony import check_descriptor
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import SIGN, Judgement, Standing, judge, judge_transaction
from undercroft_appliance.keeper.ledger import Ledger
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import OwnOutput, ProvenTransaction
from undercroft_appliance.keeper.psbt_door import prove_psbt
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_protocol import cbor
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import BatchRequest, Policy, Quorum
from undercroft_protocol.messages.policy_text import policy_from_toml

REPOSITORY: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = REPOSITORY / "tests" / "vectors" / "bad"
TEST_DOOR: Final = "test"
SCENARIO_DOOR: Final = "scenario"
_LINE_DIGITS: Final = 3

Input = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Vector:
    """One file. A name that begins with three digits is of that line in signers.md, section 3."""

    name: str
    attack: str
    door: str
    expect: str
    input: Input

    @property
    def line(self) -> int | None:
        digits = self.name[:_LINE_DIGITS]
        return int(digits) if digits.isdigit() else None

    def text(self) -> str:
        """The file: sorted keys, so that one vector has one form."""
        fields = {"attack": self.attack, "door": self.door, "expect": self.expect, "input": self.input}
        return json.dumps({**fields, "line": self.line}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def read(cls, path: Path) -> Vector:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(path.stem, fields["attack"], fields["door"], fields["expect"], fields["input"])

    def outcome(self) -> str:
        """What the door answers: a refusal's or a parser's code, or `sign`."""
        return DOORS[self.door](self.input)


def vectors() -> list[Vector]:
    """All that are there, by name."""
    return [Vector.read(path) for path in sorted(FOLDER.glob("*.json"))]


def packed(data: bytes) -> str:
    """Bytes as they stand in a vector."""
    return base64.b64encode(data).decode()


def unpacked(given: Input, name: str) -> bytes:
    """The bytes of a field, or what its recipe makes: `before`, then `unit` so many `times`, then `after`."""
    if name in given:
        return base64.b64decode(given[name], validate=True)
    recipe = given["repeat"]
    before, unit, after = (base64.b64decode(recipe[part], validate=True) for part in ("before", "unit", "after"))
    return before + unit * int(recipe["times"]) + after


def _standing() -> Standing:
    return Standing(1000.0, UTC, Ledger(float("-inf")), History(), None)


def _said(judgement: Judgement) -> str:
    return SIGN if judgement.action == SIGN else judgement.code.name


def _policy(given: Input) -> Policy | None:
    if "policy" not in given:
        return POLICY
    return None if given["policy"] is None else Policy.from_bytes(unpacked(given, "policy"))


def _check_outputs(given: Input, proven: ProvenTransaction) -> None:
    """A good vector also says what the outputs are taken for, and how much counts as leaving."""
    if "outputs" in given:
        kinds = [f"{one.branch}/{one.index}" if isinstance(one, OwnOutput) else "payee" for one in proven.outputs]
        assert kinds == given["outputs"]
        assert proven.leaves_sats == given["leaves_sats"]


def _psbt(given: Input) -> str:
    data = unpacked(given, "psbt")
    cuts = range(len(data)) if given.get("cut_at_each_byte") else (len(data),)
    (answer,) = {_one_psbt(given, data[:cut]) for cut in cuts}
    return answer


def _one_psbt(given: Input, data: bytes) -> str:
    policy = _policy(given)
    gap = POLICY.change_gap if policy is None else policy.change_gap
    try:
        proven = prove_psbt(data, BOOK, change_gap=gap, change_signed=-1, height=HEIGHT).proven
    except Refusal as refusal:
        return refusal.code.name
    _check_outputs(given, proven)
    if "policy" not in given or policy is None:
        return SIGN
    return _said(judge_transaction(proven, policy, _standing(), approved=False).judgements[0])


def _batch(given: Input) -> str:
    policy = _policy(given)
    try:
        batch = BatchRequest.from_bytes(unpacked(given, "batch"))
        proven = prove(batch, QUORUM, BOOK, change_gap=POLICY.change_gap, change_signed=-1)
        for transaction in proven.transactions:
            _check_outputs(given, transaction)
        judged = judge(proven, policy, _standing())
    except Refusal as refusal:
        return refusal.code.name
    except ProtocolError as error:
        return error.code
    return next((_said(one) for one in judged.judgements if one.action != SIGN), SIGN)


def _parsed(parse: Callable[[Input], object]) -> Callable[[Input], str]:
    def door(given: Input) -> str:
        try:
            parse(given)
        except Refusal as refusal:
            return refusal.code.name
        except ProtocolError as error:
            return error.code
        return SIGN

    return door


def _scenario(given: Input) -> str:
    answers = played(given)
    assert answers == given["answers"]
    return answers[given["asked"]]


def _existing_test(given: Input) -> str:
    """The test that proves a line where bytes cannot: it must exist, and use the code that it is named for."""
    path, _, name = given["test"].partition("::")
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    found = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name]
    assert len(found) == 1, given["test"]
    code = given["shows"]
    constant = code.replace("-", "_").upper()
    if code != SIGN:
        assert any(isinstance(one, ast.Attribute) and one.attr == constant for one in ast.walk(found[0])), constant
    return str(code)


DOORS: Final[Mapping[str, Callable[[Input], str]]] = MappingProxyType(
    {
        "batch": _batch,
        "cbor": _parsed(lambda given: cbor.decode(unpacked(given, "cbor"))),
        "descriptor": _parsed(lambda given: QuorumDescriptor.parse(given["descriptor"], Network.REGTEST)),
        "policy": _parsed(lambda given: policy_from_toml(given["policy"], QUORUM.id, QUORUM.bitcoin_network)),
        "psbt": _psbt,
        "quorum": _parsed(lambda given: check_descriptor(Quorum.from_bytes(unpacked(given, "quorum")))),
        SCENARIO_DOOR: _scenario,
        TEST_DOOR: _existing_test,
    }
)
