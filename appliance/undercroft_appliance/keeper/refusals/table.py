"""What a refusal is, and the one table in which every code registers itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

COARSE_MALFORMED: Final = "malformed"
COARSE_UNTRUSTED: Final = "untrusted"
COARSE_REPLAY: Final = "replay"
COARSE_EXPIRED: Final = "expired"
COARSE_STATE: Final = "state"
COARSE_BUSY: Final = "busy"
COARSE_OWNER: Final = "owner"
COARSE_UNPROVEN: Final = "unproven"
COARSE_POLICY: Final = "policy"

COARSE_MESSAGE: Final = "the reason stands on the owner's screen"
"""What the host is told beside a coarse class."""

COUNTED: Final = frozenset({COARSE_MALFORMED, COARSE_UNTRUSTED, COARSE_REPLAY, COARSE_UNPROVEN, COARSE_POLICY})
"""Ten refusals of these classes by an armed appliance, and it wipes itself: somebody is trying."""


MOST_DETAIL: Final = 160
"""Characters."""


@dataclass(frozen=True, slots=True)
class RefusalCode:
    """A stable code; ``coarse`` is what the host gets; ``meaning`` tells the owner what it is and what to do next."""

    name: str
    coarse: str
    meaning: str


class Refusal(Exception):  # noqa: N818 - the field's word; it is an answer, not an error
    """What was asked is refused: why (``code``), and by which numbers (``detail``, no secret in it)."""

    def __init__(self, code: RefusalCode, detail: str = "") -> None:
        self.code = code
        # Attack: a content type of four megabytes comes back in the error text and floods screen and log.
        self.detail = detail[:MOST_DETAIL]
        super().__init__(f"{code.name}: {self.detail}" if detail else code.name)

    @property
    def lines(self) -> tuple[str, ...]:
        """For the owner's screen: code, numbers, and what to do next."""
        return (str(self), self.code.meaning)


_table: dict[str, RefusalCode] = {}
CODES: Final[Mapping[str, RefusalCode]] = MappingProxyType(_table)


def refusal_code(name: str, coarse: str, meaning: str) -> RefusalCode:
    """A new code in the table; raises ValueError if the name is taken."""
    if name in _table:
        raise ValueError(f"refusal {name} is there twice")
    _table[name] = code = RefusalCode(name, coarse, meaning)
    return code
