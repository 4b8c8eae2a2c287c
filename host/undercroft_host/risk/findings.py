"""What a rule found, and the one answer to all findings together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

ALLOW: Final = "allow"
FLAG: Final = "flag"
DELAY: Final = "delay"
DENY: Final = "deny"
OUTCOMES: Final = (ALLOW, FLAG, DELAY, DENY)
"""From the mildest to the strictest."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's word: its id, its parameters, the numbers it compared, and a line for people."""

    rule: str
    outcome: str
    parameters: Mapping[str, int]
    compared: Mapping[str, int | str | bool | None]
    text: str

    def record(self) -> dict[str, Any]:
        """The form that is stored with a verdict."""
        return {
            "rule": self.rule,
            "outcome": self.outcome,
            "parameters": dict(self.parameters),
            "compared": dict(self.compared),
            "text": self.text,
        }


def strictest(findings: Iterable[Finding]) -> str:
    """The strictest outcome; no rule at all denies."""
    # An empty rule book must not read as "nothing against it".
    return max((finding.outcome for finding in findings), key=OUTCOMES.index, default=DENY)


def reason(findings: Iterable[Finding]) -> str | None:
    """The rules that stand in the way, for people, at most 200 characters; None when there are none."""
    lines = [f"{one.rule}: {one.text}" for one in findings if one.outcome in (DELAY, DENY)]
    return "; ".join(lines)[:200] or None
