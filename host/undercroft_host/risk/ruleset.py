"""The rule set: the parameters of every rule, written by people as TOML, named by the hash of its canonical CBOR."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.codec import Value, fields_of
from undercroft_protocol.errors import MessageError
from undercroft_protocol.fields import PositiveSats, Range, Size

from ..errors import ConfigurationProblem, NotFound

V = TypeVar("V", bound=Value)

Confirmations = Annotated[int, Range(1, 1000)]
WindowSeconds = Annotated[int, Range(60, 31 * 86_400)]


@dataclass(frozen=True, slots=True)
class Tier(Value):
    """Deposits below ``below_sats`` need that many confirmations."""

    below_sats: PositiveSats
    confirmations: Confirmations


@dataclass(frozen=True, slots=True)
class ConfirmationsByAmount(Value):
    """D01. Amounts that no tier reaches need ``otherwise`` confirmations."""

    tiers: Annotated[tuple[Tier, ...], Size(0, 20)]
    otherwise: Confirmations

    def check(self) -> None:
        bounds = [tier.below_sats for tier in self.tiers]
        needed = [*(tier.confirmations for tier in self.tiers), self.otherwise]
        # A larger deposit that needs fewer confirmations would make the reorganisation worth its price.
        if bounds != sorted(set(bounds)) or needed != sorted(needed):
            raise MessageError("D01: tiers must rise, in amount and in confirmations")


@dataclass(frozen=True, slots=True)
class LeastAmount(Value):
    """D07 and W04. In sats."""

    least_sats: PositiveSats


@dataclass(frozen=True, slots=True)
class LargestSingle(Value):
    """W05. In sats."""

    deny_above_sats: PositiveSats


@dataclass(frozen=True, slots=True)
class Velocity(Value):
    """W06 and W08. The sum of orders in a rolling window, this one included, in sats."""

    window_seconds: WindowSeconds
    delay_above_sats: PositiveSats


@dataclass(frozen=True, slots=True)
class UnitGuard(Value):
    """W29. ``most_times_median`` of the account's other withdrawals, once there are ``least_history``."""

    most_times_median: Annotated[int, Range(2, 1_000_000)]
    least_history: Annotated[int, Range(1, 1000)]


@dataclass(frozen=True, slots=True)
class Duplicates(Value):
    """W30. The same account, address and amount under another id within the window."""

    window_seconds: WindowSeconds


@dataclass(frozen=True, slots=True)
class ClearanceTerms(Value):
    """How long the word of the risk service for a withdrawal holds, in seconds."""

    seconds: Annotated[int, Range(60, 7 * 86_400)]


@dataclass(frozen=True, slots=True)
class RuleSet(Value):
    """Every rule that has parameters, by its id; those without (D04, D17, D21, W02, W28) are always on."""

    D01: ConfirmationsByAmount
    D07: LeastAmount
    W04: LeastAmount
    W05: LargestSingle
    W06: Velocity
    W08: Velocity
    W29: UnitGuard
    W30: Duplicates
    clearance: ClearanceTerms

    @property
    def hash(self) -> bytes:
        """SHA-256 of the canonical CBOR (32 bytes); stored with each verdict and named in each clearance."""
        return sha256(self.to_bytes())


DEFAULT_RULES: Final = """\
# The rules of the online risk service. Amounts in sats, times in seconds. Every rule must be here; a rule or
# parameter that is not known is refused. What they mean: undercroft_host/risk/rules_deposit.py, rules_withdrawal.py.

[D01]  # confirmations by amount
otherwise = 12
tiers = [
    { below_sats = 10_000_000, confirmations = 2 },
    { below_sats = 100_000_000, confirmations = 3 },
    { below_sats = 1_000_000_000, confirmations = 4 },
    { below_sats = 10_000_000_000, confirmations = 6 },
]

[D07]  # dust is not credited
least_sats = 1_000

[W04]  # least withdrawal
least_sats = 10_000

[W05]  # largest single withdrawal
deny_above_sats = 5_000_000_000

[W06]  # velocity of one account
window_seconds = 86_400
delay_above_sats = 1_000_000_000

[W08]  # velocity of all accounts together
window_seconds = 86_400
delay_above_sats = 10_000_000_000

[W29]  # unit guard: sats where bitcoin was meant, or the reverse
most_times_median = 10_000
least_history = 5

[W30]  # the same order twice under two ids
window_seconds = 86_400

[clearance]
seconds = 86_400
"""


def load_rules(path: Path) -> RuleSet:
    """The rule set of a file; raises NotFound, or ConfigurationProblem naming the wrong entry."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise NotFound(f"rule set {path}") from None
    except UnicodeDecodeError:
        raise ConfigurationProblem(f"{path} is not UTF-8") from None
    return rules_from_toml(text)


def rules_from_toml(text: str) -> RuleSet:
    """The rule set of a TOML text; raises ConfigurationProblem for missing, unknown or wrong entries."""
    try:
        return _read(RuleSet, tomllib.loads(text), "rule set")
    except (tomllib.TOMLDecodeError, MessageError) as error:
        raise ConfigurationProblem(f"rule set: {error}") from None


def _read(kind: type[V], table: object, where: str) -> V:
    if not isinstance(table, Mapping):
        raise ConfigurationProblem(f"{where} must be a table")
    fields = {field.name: field for field in fields_of(kind)}
    # A misspelt limit must not silently become "no limit".
    for name in sorted(set(table) ^ set(fields)):
        state = "is missing" if name in fields else "is not a rule or parameter"
        raise ConfigurationProblem(f"{where}: {name} {state}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        value = table[name]
        item = None if field.item is None else field.item.base
        if isinstance(field.base, type) and issubclass(field.base, Value):
            values[name] = _read(field.base, value, name)
        elif item is not None and isinstance(value, list):
            values[name] = tuple(_read(item, entry, f"{where}.{name}") for entry in value)
        else:
            values[name] = value
    return kind(**values)
