"""The kinds of error, one for each exit code, and what every error of the host is made of."""
# Errors are named as an operator says them ("wrong chain"), so the suffix "Error" is left out.
# ruff: noqa: N818

from __future__ import annotations

from typing import ClassVar


class HostError(Exception):
    """The host cannot do this."""

    code: ClassVar[str] = "host"
    exit_code: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, detail: str = "", *, hint: str = "") -> None:
        self.detail = detail
        self.hint = hint or self.default_hint
        super().__init__(f"{self.message.rstrip('.')}: {detail}" if detail else self.message)

    @property
    def message(self) -> str:
        """The first line of the docstring."""
        return (type(self).__doc__ or "").strip().splitlines()[0]


class Failure(HostError):
    """This failed."""

    code = "failure"
    exit_code = 1


class UsageProblem(HostError):
    """This cannot be understood."""

    code = "usage"
    exit_code = 2


class NotFound(HostError):
    """There is no such thing."""

    code = "not-found"
    exit_code = 3


class Conflict(HostError):
    """This contradicts what is already there."""

    code = "conflict"
    exit_code = 4


class RefusedByRule(HostError):
    """A rule refuses this."""

    code = "refused"
    exit_code = 5


class WaitingForApproval(HostError):
    """This waits for somebody's approval."""

    code = "waiting"
    exit_code = 6


class BackendUnreachable(HostError):
    """What this needs does not answer."""

    code = "unreachable"
    exit_code = 7


class IntegrityAlarm(HostError):
    """Something is not as it must be; stop and look before anything else is done."""

    code = "integrity"
    exit_code = 8
