"""What the books can answer with instead of a result."""

from __future__ import annotations

from .kinds import Conflict, IntegrityAlarm


class LedgerProblem(IntegrityAlarm):
    """This entry cannot stand in the books."""

    code = "ledger"


class LedgerConflict(Conflict):
    """This event is in the books already, with other lines."""

    code = "ledger-conflict"


class BooksWrong(IntegrityAlarm):
    """Books and chain differ, and nothing explains it."""

    code = "books-wrong"
    default_hint = "stop payments until the difference is understood"
