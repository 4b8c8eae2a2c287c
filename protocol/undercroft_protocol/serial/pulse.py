"""When to ask the other side for a sign of life, and when to call the line dead."""

from __future__ import annotations

_FIRST_GUESS = 0.25
_SHORTEST = 0.06
"""Longer than an acknowledgement is held back."""
_LONGEST = 1.0
_RETRY = 0.25
"""An unanswered probe is repeated at least that often, so that a line with half of its frames lost is not dead."""
_PROBES_IN_A_LIFE = 10
_PROBES_BEFORE_DEATH = 3


class Pulse:
    """The timers of one side while it waits for the other; all times are seconds on the caller's clock.

    A probe that nobody answers is repeated. The line is dead when nothing was heard for
    `dead_after` seconds and three probes went unanswered: a process that was merely suspended asks first.
    """

    __slots__ = ("_heard_at", "_probe_at", "_rtt", "_sending", "_waiting", "dead_after", "unanswered")

    def __init__(self, dead_after: float) -> None:
        self.dead_after = dead_after
        self.unanswered = 0
        self._waiting = False
        self._sending = False
        self._heard_at = 0.0
        self._probe_at = 0.0
        self._rtt: float | None = None

    def start(self, now: float, *, sending: bool, known: bool) -> None:
        """Begin to wait, or go on for another reason. An unknown peer is asked at once."""
        if not self._waiting:
            self._waiting = True
            self._heard_at = now
            self.unanswered = 0
            self._sending = sending
            self._probe_at = now + self._quiet() if known else now
        elif sending != self._sending:
            self._sending = sending
            self._probe_at = min(self._probe_at, now + self._quiet()) if sending else now + self._quiet()

    def stop(self) -> None:
        """Nothing is waited for."""
        self._waiting = False

    def heard(self, now: float) -> None:
        """A frame of the other side arrived."""
        self.unanswered = 0
        self._heard_at = now
        self._probe_at = now + self._quiet()

    def sent(self, now: float) -> None:
        """A frame that will be acknowledged was sent."""
        if not self.unanswered:
            self._probe_at = now + self._quiet()

    def round_trip(self, seconds: float) -> None:
        """A frame was acknowledged after that long.

        Counts down at once and up slowly: an acknowledgement that got lost makes the line look slow.
        """
        slowly = seconds if self._rtt is None else self._rtt + (seconds - self._rtt) / 16
        self._rtt = min(seconds, slowly)

    def deadline(self) -> float | None:
        """When to look again; None while nothing is waited for."""
        if not self._waiting:
            return None
        if self.unanswered >= _PROBES_BEFORE_DEATH:
            return min(self._probe_at, self._heard_at + self.dead_after)
        return self._probe_at

    def dead(self, now: float) -> bool:
        """Nothing was heard for too long."""
        silent = now - self._heard_at >= self.dead_after
        return self._waiting and silent and self.unanswered >= _PROBES_BEFORE_DEATH

    def probe_due(self, now: float) -> bool:
        """True once whenever the other side has to be asked."""
        if not self._waiting or now < self._probe_at:
            return False
        self.unanswered += 1
        self._probe_at = now + self._retry()
        return True

    def _retry(self) -> float:
        quiet = self._quiet()
        return max(quiet, min(2 * quiet, _RETRY)) if self._sending else min(_RETRY, quiet)

    def _longest(self) -> float:
        return min(_LONGEST, self.dead_after / _PROBES_IN_A_LIFE)

    def _quiet(self) -> float:
        if not self._sending:
            return self._longest()
        guess = _FIRST_GUESS if self._rtt is None else max(2 * self._rtt, _SHORTEST)
        return min(guess, self._longest())
