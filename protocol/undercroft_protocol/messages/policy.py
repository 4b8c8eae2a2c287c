"""The policy: the rules an appliance judges by; written by people as TOML, named by the hash of its canonical CBOR."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from ..bitcoin.hashes import sha256
from ..bitcoin.script import ScriptType
from ..errors import MessageError
from .codec import Value, fields_of
from .fields import Bytes32, Name, PositiveSats, Range, Seconds, Size, UInt32

MIN_WINDOW_SECONDS: Final = 60
APPROVALS_NEEDED: Final = 2
"""Owners who must approve a policy before an appliance loads it."""


@dataclass(frozen=True, slots=True)
class Window(Value):
    """A sliding window on the appliance's own clock: what leaves the quorum in it, fees included, in sats."""

    seconds: Seconds
    hold_above_sats: PositiveSats
    refuse_above_sats: PositiveSats

    def check(self) -> None:
        if self.seconds < MIN_WINDOW_SECONDS:
            raise MessageError(f"Window.seconds: {self.seconds}; {MIN_WINDOW_SECONDS} is the least")
        _check_pair("Window", self.hold_above_sats, self.refuse_above_sats)


@dataclass(frozen=True, slots=True)
class Policy(Value):
    """One version of the rules of one quorum.

    What leaves is payees plus fee; beyond ``hold`` the owner decides, beyond ``refuse`` nobody does. Feerate in sats
    per 1000 virtual bytes, relative fee in millionths of the paid sum.
    """

    quorum_id: Bytes32
    version: Annotated[int, Range(1, 0xFFFFFFFF)]
    name: Name
    hold_above_sats: PositiveSats
    refuse_above_sats: PositiveSats
    windows: Annotated[tuple[Window, ...], Size(1, 8)]
    most_fee_sats: PositiveSats
    most_fee_ppm: Annotated[int, Range(1, 1_000_000)]
    most_feerate_sat_per_kvb: Annotated[int, Range(1000, 10_000_000)]
    most_inputs: Annotated[int, Range(1, 1000)]
    most_payees: Annotated[int, Range(1, 1000)]
    most_transactions: Annotated[int, Range(1, 100)]
    payee_types: Annotated[tuple[Name, ...], Size(1, 5)]
    change_gap: Annotated[int, Range(1, 10_000)]
    activation_seconds: Annotated[int, Range(60, 7 * 86_400)]
    idle_seconds: UInt32

    def check(self) -> None:
        _check_pair("Policy", self.hold_above_sats, self.refuse_above_sats)
        spans = [window.seconds for window in self.windows]
        if spans != sorted(set(spans)):
            raise MessageError("Policy.windows: not in rising order of their seconds")
        types = {kind.value for kind in ScriptType if kind not in (ScriptType.NULL_DATA, ScriptType.UNKNOWN)}
        if list(self.payee_types) != sorted(set(self.payee_types)) or not set(self.payee_types) <= types:
            raise MessageError(f"Policy.payee_types: sorted, each once, out of {sorted(types)}")

    @property
    def hash(self) -> bytes:
        """SHA-256 of the canonical CBOR: 32 bytes; the policy's name in every reply."""
        return sha256(self.to_bytes())


def _check_pair(where: str, hold_above_sats: int, refuse_above_sats: int) -> None:
    # A hold limit above the refusal limit would be dead text that owners rely on.
    if hold_above_sats > refuse_above_sats:
        raise MessageError(f"{where}: hold_above_sats is larger than refuse_above_sats")


def policy_from_toml(text: str, quorum_id: bytes) -> Policy:
    """Read the form that people write; raises MessageError for unknown, missing, or wrong entries.

    The keys are the field names of ``Policy``, and ``[[windows]]`` tables with those of ``Window``; the quorum's id
    (32 bytes) is not written by hand but given.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MessageError(f"policy file: {error}") from error
    if "quorum_id" in document:
        raise MessageError("policy file: quorum_id is not written by hand")
    tables = document.get("windows", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise MessageError("policy file: windows must be [[windows]] tables")
    document["windows"] = tuple(Window(**_exactly(Window, table)) for table in tables)
    types = document.get("payee_types")
    document["payee_types"] = tuple(types) if isinstance(types, list) else types
    return Policy(**_exactly(Policy, {**document, "quorum_id": quorum_id}))


def _exactly(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields_of(kind)}
    # A misspelt limit must not silently become "no limit".
    for name in sorted(set(table) ^ names):
        state = "is missing" if name in names else "is not a rule"
        raise MessageError(f"policy file: {name} {state}")
    return dict(table)
