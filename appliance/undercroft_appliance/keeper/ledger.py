"""The ledger: what left the quorum and when, on the appliance's own clock, so that no host can move a window.

An appliance that has just been armed knows what its granter knew. If nobody knew, every window counts as spent until it
has passed once since arming: a restart must never be a way to begin a window anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Self

from undercroft_protocol.messages import Spent

from .refusals import LEDGER_FULL, WINDOW_UNKNOWN, Refusal

MOST_ENTRIES: Final = 5000
MOST_KNOWN: Final = 2 * MOST_ENTRIES
"""Own transactions and those that a grant tells of."""
_OLDEST_SECONDS: Final = 10 * 365 * 86_400
"""The greatest age that a message can say."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One signed transaction: when (monotonic seconds), how much left (sats, fee included), and which."""

    at: float
    amount_sats: int
    txid: bytes


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that left since ``known_from`` (monotonic seconds) is in ``entries``; minus infinity: nothing is missing.

    ``dropped_until``: the time of the newest transaction that was forgotten because no window counted it any more.
    ``armed_sats`` was debited since arming; ``total_sats`` ever, as far as this appliance and its seals know.
    """

    known_from: float
    entries: tuple[Entry, ...] = ()
    dropped_until: float = -math.inf
    armed_sats: int = 0
    total_sats: int = 0

    @classmethod
    def armed(cls, now: float, own: Ledger | None, carried: Iterable[Spent] | None, longest_seconds: int) -> Ledger:
        """The ledger to start with: what this appliance remembers joined with what the grant carries (None: nothing).

        A grant tells what left in the policy's longest window (seconds), and nothing of the time before. A transaction
        that both know is counted once, at its later time, with its larger amount. Raises Refusal (ledger-full) when
        both together know more than 10,000.
        """
        if carried is None:
            return cls(now) if own is None else own.disarmed()
        # The granter's clock ran on while the grant was on its way: the ages are at least these, so nothing leaves a
        # window early.
        brought = [Entry(now - item.age_seconds, item.amount_sats, item.txid) for item in carried]
        # In whole seconds, as ages are: a rounded fraction must not make the window look unknown.
        told_from = float(math.floor(now - longest_seconds))
        if own is None:
            return cls(told_from, joined(brought))
        known_from, entries = min(told_from, own.known_from), joined(own.entries, brought)
        # Attack: one owner's grants name made-up transactions, until there are more than can be handed on.
        if len(entries) > MOST_KNOWN:
            raise Refusal(LEDGER_FULL, f"{len(entries)} transactions with those of the grant")
        # What another appliance let leave is in the windows; the totals are this one's own.
        return replace(own, known_from=known_from, entries=entries, armed_sats=0)

    def disarmed(self) -> Self:
        """What is remembered when the activation is over: all but what left in it."""
        return replace(self, armed_sats=0)

    @property
    def _whole_from(self) -> float:
        # Attack: rules with short windows are put in force for a while, so that those with long windows find nothing.
        return max(self.known_from, self.dropped_until)

    def opens_at(self, window_seconds: int) -> float:
        """When (monotonic seconds) a window of this length is known from end to end."""
        return self._whole_from + window_seconds

    def knows(self, window_seconds: int, now: float) -> bool:
        """Whether all that left in the last ``window_seconds`` is known."""
        # In the same arithmetic as `_within`, so that what a window has just let go does not make it unknown.
        return now - self._whole_from >= window_seconds

    def spent_sats(self, window_seconds: int, now: float) -> int:
        """What left in the last ``window_seconds``, in sats; raises Refusal (window-unknown)."""
        if not self.knows(window_seconds, now):
            wait = math.ceil(self.opens_at(window_seconds) - now)
            raise Refusal(WINDOW_UNKNOWN, f"window {window_seconds} s, known in {wait} s")
        return sum(entry.amount_sats for entry in self._within(window_seconds, now))

    def spent_count(self, window_seconds: int, now: float) -> int:
        """How many transactions are known to have been signed in the last ``window_seconds``."""
        return len(self._within(window_seconds, now))

    def debited(self, now: float, amount_sats: int, txid: bytes) -> Self:
        """The ledger with one more transaction; raises Refusal (ledger-full) when it has 5000 already."""
        # Forgetting the oldest instead would let a flood of small payments hide a large one.
        if len(self.entries) >= MOST_ENTRIES:
            raise Refusal(LEDGER_FULL, f"{len(self.entries)} transactions")
        return replace(
            self,
            entries=(*self.entries, Entry(now, amount_sats, txid)),
            armed_sats=self.armed_sats + amount_sats,
            total_sats=self.total_sats + amount_sats,
        )

    def pruned(self, longest_seconds: int, now: float) -> Self:
        """The ledger without what no window of these rules can count any more."""
        kept = self._within(longest_seconds, now)
        dropped = [entry.at for entry in self.entries if now - entry.at >= longest_seconds]
        return replace(self, entries=kept, dropped_until=max(self.dropped_until, *dropped, -math.inf))

    def carried(self, longest_seconds: int, now: float) -> tuple[Spent, ...] | None:
        """For a grant: what left in the longest window, or None when that is not known, or more than a grant can hold.

        Ages are rounded down: nothing looks older than it is.
        """
        return self.told(longest_seconds, now) if self.knows(longest_seconds, now) else None

    def told(self, window_seconds: float, now: float) -> tuple[Spent, ...] | None:
        """What is known to have left in the last ``window_seconds``, whether or not that was all; None: too much."""
        within = self._within(window_seconds, now)
        if len(within) > MOST_ENTRIES:
            return None
        return tuple(Spent(_age_seconds(now, entry), entry.amount_sats, entry.txid) for entry in within)

    @classmethod
    def recalled(cls, now: float, gone_seconds: int, sealed: Iterable[Spent], total_sats: int = 0) -> Self:
        """What this appliance's own seal says, ``gone_seconds`` after it was made; nothing before ``now`` is known."""
        entries = [Entry(now - gone_seconds - one.age_seconds, one.amount_sats, one.txid) for one in sealed]
        return cls(now, joined(entries), total_sats=total_sats)

    def is_idle(self, window_seconds: int, now: float) -> bool:
        """Whether nothing is known to have left in the last ``window_seconds``."""
        return not self._within(window_seconds, now) and now - self.dropped_until >= window_seconds

    def _within(self, window_seconds: float, now: float) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if now - entry.at < window_seconds)


def joined(*known: Iterable[Entry]) -> tuple[Entry, ...]:
    """The union by transaction; of two times or amounts for one transaction the later and the larger hold."""
    latest: dict[bytes, Entry] = {}
    for entries in known:
        for entry in entries:
            seen = latest.get(entry.txid, entry)
            # Attack: one owner's grant names our large payment as a later one of 1 sat, to empty our windows.
            latest[entry.txid] = Entry(max(seen.at, entry.at), max(seen.amount_sats, entry.amount_sats), entry.txid)
    return tuple(sorted(latest.values(), key=lambda entry: (entry.at, entry.txid)))


def _age_seconds(now: float, entry: Entry) -> int:
    # An owner once confirmed a time of decades ago, and the appliance's own seal says so.
    return min(max(0, math.floor(now - entry.at)), _OLDEST_SECONDS)
