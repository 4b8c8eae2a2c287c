"""The exit code of each kind of failure, as the command line promises them."""

from __future__ import annotations

from undercroft_host import errors

KINDS = {
    errors.Failure: 1,
    errors.UsageProblem: 2,
    errors.NotFound: 3,
    errors.Conflict: 4,
    errors.RefusedByRule: 5,
    errors.WaitingForApproval: 6,
    errors.BackendUnreachable: 7,
    errors.IntegrityAlarm: 8,
}
