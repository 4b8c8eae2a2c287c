"""The policy: the rules an appliance judges by; written by people as TOML, named by the hash of its canonical CBOR.

The document is closed: a name that is no rule, a rule without a number, a number of the wrong type refuse to load. A
rule that may be absent says so by ``None``; there is no value that means "no limit".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from ..bitcoin.hashes import sha256
from ..bitcoin.script import ScriptType, classify
from ..codec import Value
from ..errors import MessageError
from ..fields import Bytes32, DescriptorText, Name, PositiveSats, Range, Script, Seconds, Size, UInt32

MIN_WINDOW_SECONDS: Final = 60
APPROVALS_NEEDED: Final = 2
"""Owners who must approve a policy before an appliance loads it, unless it only tightens one that two approved."""
LOOSENING_SECONDS: Final = 48 * 3600
"""How long a policy that loosens a rule waits after its second approval, unless the policy before says otherwise."""
MOST_LOOSENING_SECONDS: Final = 30 * 86_400
"""The longest such wait that a policy may ask for; it is kept where the policy before is not known."""
MOST_VERSION_STEP: Final = 1000
"""How far a version may lie above the one that it replaces."""
DAY_MINUTES: Final = 24 * 60

RULE_HOLD: Final = "hold"
RULE_REFUSE: Final = "refuse"
ANSWERS: Final = (RULE_HOLD, RULE_REFUSE)
"""What a rule may do with what it does not like, in rising strictness."""

Count = Annotated[int, Range(1, 100_000)]
PartsPerMillion = Annotated[int, Range(1, 1_000_000)]
FeerateCap = Annotated[int, Range(1000, 10_000_000)]
"""Sats per 1000 virtual bytes."""


@dataclass(frozen=True, slots=True)
class Window(Value):
    """A sliding window on the appliance's own clock: what leaves the quorum in it, fees included, in sats.

    ``hold_above_count`` and ``refuse_above_count`` bound how many transactions are signed in it (None: no such rule).
    """

    seconds: Seconds
    hold_above_sats: PositiveSats
    refuse_above_sats: PositiveSats
    hold_above_count: Count | None = None
    refuse_above_count: Count | None = None

    def check(self) -> None:
        if self.seconds < MIN_WINDOW_SECONDS:
            raise MessageError(f"Window.seconds: {self.seconds}; {MIN_WINDOW_SECONDS} is the least")
        _check_pair("Window", "sats", self.hold_above_sats, self.refuse_above_sats)
        if self.hold_above_count is not None and self.refuse_above_count is not None:
            _check_pair("Window", "count", self.hold_above_count, self.refuse_above_count)


@dataclass(frozen=True, slots=True)
class Hours(Value):
    """When the quorum signs: from one minute of the day (UTC) up to, not including, another; it may cross midnight."""

    from_minute: Annotated[int, Range(0, DAY_MINUTES - 1)]
    until_minute: Annotated[int, Range(0, DAY_MINUTES - 1)]

    def check(self) -> None:
        # From a minute to the same one reads as "always" to one person and as "never" to another.
        if self.from_minute == self.until_minute:
            raise MessageError("Hours: from_minute and until_minute are the same")


@dataclass(frozen=True, slots=True)
class Anomaly(Value):
    """Statistics over what was signed; what falls out of them is held. Integers only.

    Once ``least_sample`` transactions are known: held when one pays more than ``median_factor`` times the median of the
    last 200, or when payees never seen before get more than ``new_payees_ppm`` millionths of what it pays.
    """

    least_sample: Annotated[int, Range(3, 200)]
    median_factor: Annotated[int, Range(2, 1000)]
    new_payees_ppm: PartsPerMillion


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Value):
    """One version of the rules of one quorum.

    What leaves is payees plus fee; beyond ``hold`` the owner decides, beyond ``refuse`` nobody does. Feerate in sats
    per 1000 virtual bytes, shares in millionths. ``replaces`` is the hash of the policy before (None: the first one).
    """

    quorum_id: Bytes32
    version: Annotated[int, Range(1, 0xFFFFFFFF)]
    replaces: Bytes32 | None = None
    name: Name
    hold_above_sats: PositiveSats
    refuse_above_sats: PositiveSats
    windows: Annotated[tuple[Window, ...], Size(1, 8)]
    most_activation_sats: PositiveSats | None = None
    """All that may leave in one activation, above every other rule."""
    most_lifetime_sats: PositiveSats | None = None
    """All that one appliance ever lets leave from this quorum, as far as its own seals tell."""
    most_fee_sats: PositiveSats
    most_fee_ppm: PartsPerMillion
    most_feerate_sat_per_kvb: FeerateCap
    most_consolidation_feerate_sat_per_kvb: FeerateCap | None = None
    """For a transaction that pays nobody; it is never in a hurry."""
    most_inputs: Annotated[int, Range(1, 1000)]
    most_payees: Annotated[int, Range(1, 1000)]
    most_transactions: Annotated[int, Range(1, 100)]
    payee_types: Annotated[tuple[Name, ...], Size(1, 5)]
    allowlist: Annotated[tuple[Script, ...], Size(1, 1000)] | None = None
    """The only scripts that are paid without more ado (None: every cleared payee is)."""
    unlisted: Name = RULE_REFUSE
    """``hold`` or ``refuse``: what happens to a payee who is not on the allowlist."""
    uncleared: Name = RULE_HOLD
    """``hold`` or ``refuse``: what happens to a payee of a PSBT, who has no clearance and is on no allowlist."""
    least_self_ppm: PartsPerMillion | None = None
    """The least share of the inputs' value that must come back to the quorum."""
    equal_payees: bool | None = None
    """True: all payees of a transaction get the same amount."""
    sweep_to: DescriptorText | None = None
    """Sweep-only: payees may only be addresses of this ``wsh(sortedmulti(…))`` descriptor."""
    change_gap: Annotated[int, Range(1, 10_000)]
    most_height_step: Annotated[int, Range(1, 100_000)] = 1008
    """Blocks that the host's chain may rise between two batches (a week: the longest life of an activation)."""
    activation_seconds: Annotated[int, Range(60, 7 * 86_400)]
    idle_seconds: UInt32
    hours: Hours | None = None
    anomaly: Anomaly | None = None
    loosening_seconds: Annotated[int, Range(0, MOST_LOOSENING_SECONDS)] = LOOSENING_SECONDS
    """How long a later policy that loosens this one must wait after its second approval."""

    def check(self) -> None:
        _check_pair("Policy", "sats", self.hold_above_sats, self.refuse_above_sats)
        spans = [window.seconds for window in self.windows]
        if spans != sorted(set(spans)):
            raise MessageError("Policy.windows: not in rising order of their seconds")
        types = {kind.value for kind in ScriptType if kind not in (ScriptType.NULL_DATA, ScriptType.UNKNOWN)}
        if list(self.payee_types) != sorted(set(self.payee_types)) or not set(self.payee_types) <= types:
            raise MessageError(f"Policy.payee_types: sorted, each once, out of {sorted(types)}")
        if (self.version == 1) != (self.replaces is None):
            raise MessageError("Policy.replaces: version 1 replaces nothing, every other names the policy before")
        for name in ("unlisted", "uncleared"):
            if getattr(self, name) not in ANSWERS:
                raise MessageError(f"Policy.{name}: one of {', '.join(ANSWERS)}")
        # Attack: "false" looks like a rule that is switched off, and is read as one that is there.
        if self.equal_payees is False:
            raise MessageError("Policy.equal_payees: true, or leave it out")
        self._check_allowlist(types)

    def _check_allowlist(self, types: set[str]) -> None:
        if self.allowlist is None:
            return
        if list(self.allowlist) != sorted(set(self.allowlist)):
            raise MessageError("Policy.allowlist: its scripts are not sorted, or one is there twice")
        if not {classify(script).value for script in self.allowlist} <= types:
            raise MessageError("Policy.allowlist: a script that is no address")

    @property
    def hash(self) -> bytes:
        """SHA-256 of the canonical CBOR: 32 bytes; the policy's name in every reply."""
        return sha256(self.to_bytes())

    @property
    def longest_window_seconds(self) -> int:
        """The longest of the windows."""
        return self.windows[-1].seconds


def _check_pair(where: str, unit: str, hold_above: int, refuse_above: int) -> None:
    # A hold limit above the refusal limit would be dead text that owners rely on.
    if hold_above > refuse_above:
        raise MessageError(f"{where}: hold_above_{unit} is larger than refuse_above_{unit}")


__all__ = [
    "ANSWERS",
    "APPROVALS_NEEDED",
    "DAY_MINUTES",
    "LOOSENING_SECONDS",
    "MIN_WINDOW_SECONDS",
    "MOST_LOOSENING_SECONDS",
    "MOST_VERSION_STEP",
    "RULE_HOLD",
    "RULE_REFUSE",
    "Anomaly",
    "Hours",
    "Policy",
    "Window",
]
