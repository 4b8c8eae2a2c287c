"""What the database can answer with instead of a result."""

from __future__ import annotations

from .kinds import BackendUnreachable, Failure, IntegrityAlarm


class DatabaseProblem(Failure):
    """The database cannot be used."""

    code = "database"


class DatabaseEmpty(DatabaseProblem):
    """The database has no tables yet."""

    code = "database-empty"
    default_hint = "create them with: undercroft init"


class DatabaseOlder(DatabaseProblem):
    """The database was written by an older version of Undercroft."""

    code = "database-older"
    default_hint = "back it up, then bring it up to date with: undercroft init"


class DatabaseNewer(DatabaseProblem):
    """The database was written by a newer version of Undercroft."""

    code = "database-newer"
    default_hint = "use that version; this one would not understand what is in it"


class DatabaseBusy(BackendUnreachable):
    """Another process keeps the database locked."""

    code = "database-busy"
    default_hint = "try again; if it stays so, look which process holds it"


class AuditBroken(IntegrityAlarm):
    """The audit log was changed after it was written."""

    code = "audit-broken"
    default_hint = "keep this database as evidence and compare it with a backup"
