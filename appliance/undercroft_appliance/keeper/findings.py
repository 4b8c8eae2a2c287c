"""What a rule finds: hold or refuse, and the numbers it compared. The strictest finding decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.messages.policy import RULE_HOLD, RULE_REFUSE

from .refusals import RefusalCode

SIGN: Final = "sign"
HOLD: Final = RULE_HOLD
REFUSE: Final = RULE_REFUSE
STRICTNESS: Final = (SIGN, HOLD, REFUSE)
"""In rising order."""
MOST_TOLD: Final = 20
"""Findings with one code, of one strictness, that are told one by one; of the rest how many there are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found: hold or refuse, and the numbers it compared."""

    code: RefusalCode
    action: str
    numbers: str

    @property
    def line(self) -> str:
        return f"{self.action} {self.code.name}: {self.numbers}"


def refused(code: RefusalCode, numbers: str) -> Finding:
    """Nobody can have it signed under this policy."""
    return Finding(code, REFUSE, numbers)


def held(code: RefusalCode, numbers: str) -> Finding:
    """It waits for the owner."""
    return Finding(code, HOLD, numbers)


def shortened(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings in their order, of each kind the first MOST_TOLD, then how many more there were."""
    counts: Counter[tuple[RefusalCode, str]] = Counter()
    told: list[Finding] = []
    for finding in findings:
        kind = (finding.code, finding.action)
        counts[kind] += 1
        # Attack: a thousand payees, each with three findings, push the log's older entries out of the memory.
        if counts[kind] <= MOST_TOLD:
            told.append(finding)
    more = ((kind, count - MOST_TOLD) for kind, count in counts.items() if count > MOST_TOLD)
    return (*told, *(Finding(code, action, f"and {left} more") for (code, action), left in more))
