"""The database and its transactions: one writer at a time, all or nothing.

SQLite with a write-ahead log. A writer takes the lock when it begins, so that what it reads stays true until it has
written; nothing outside the database happens inside a transaction.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event, exc, inspect, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from ..errors import DatabaseBusy, DatabaseEmpty, DatabaseNewer, DatabaseOlder, DatabaseProblem
from . import migrations

_BUSY_MILLISECONDS: Final = 20_000
_ACTOR: Final = "actor"


@dataclass(frozen=True, slots=True)
class Store:
    """The host's database; made by `open`."""

    url: URL
    _writer: Engine = field(repr=False)
    _reader: Engine = field(repr=False)
    _checked: list[str] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def open(cls, url: str) -> Store:
        """The database at ``sqlite:///path`` (its folder must exist; the file is made, readable by its owner only).

        Raises DatabaseProblem. Tables are made and changed by `migrate` only.
        """
        try:
            parsed = make_url(url)
        except exc.ArgumentError:
            raise DatabaseProblem("its address is not of the form sqlite:///path") from None
        if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
            raise DatabaseProblem("this version keeps its books in a SQLite file, sqlite:///path")
        path = Path(parsed.database)
        try:
            # Names of customers and their addresses: nobody else on this machine may read them.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise DatabaseProblem(f"{path}: {error.strerror}") from None
        return cls(parsed, _engine(parsed, writes=True), _engine(parsed, writes=False))

    def close(self) -> None:
        """Give back all connections."""
        self._writer.dispose()
        self._reader.dispose()

    @contextlib.contextmanager
    def begin(self, actor: str) -> Iterator[Session]:
        """One write transaction in the name of ``actor``: committed at the end, undone by any exception.

        Raises DatabaseProblem, DatabaseBusy, and as `check_schema`.
        """
        self.check_schema()
        with _translated(), Session(self._writer, expire_on_commit=False) as session, session.begin():
            session.info[_ACTOR] = actor
            session.connection()
            yield session

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view that cannot be written through. Raises as `begin`."""
        self.check_schema()
        with _translated(), Session(self._reader, expire_on_commit=False) as session:
            yield session

    def migrate(self) -> None:
        """Bring the tables to this version, in one transaction. Raises DatabaseNewer, DatabaseProblem."""
        with _translated(), self._writer.begin() as connection:
            self._refuse_unknown(_revision(connection))
            migrations.upgrade(connection)

    def check_schema(self) -> None:
        """Raise DatabaseEmpty, DatabaseOlder or DatabaseNewer unless the tables are this version's."""
        if self._checked:
            return
        with _translated(), self._reader.connect() as connection:
            revision = _revision(connection)
        if revision is None:
            raise DatabaseEmpty(str(self.url.database))
        self._refuse_unknown(revision)
        if revision != migrations.REVISIONS[-1]:
            raise DatabaseOlder(f"revision {revision}, not {migrations.REVISIONS[-1]}")
        self._checked.append(revision)

    @staticmethod
    def _refuse_unknown(revision: str | None) -> None:
        if revision is not None and revision not in migrations.REVISIONS:
            raise DatabaseNewer(f"revision {revision}, unknown here")


def actor_of(session: Session) -> str:
    """In whose name this session writes. Raises DatabaseProblem for a session that `Store.begin` did not make."""
    actor = session.info.get(_ACTOR)
    if not isinstance(actor, str):
        raise DatabaseProblem("this session has no actor: it was not begun for writing")
    return actor


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _engine(url: URL, *, writes: bool) -> Engine:
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        # The driver must not begin and commit by itself: transactions are ours, from BEGIN to COMMIT.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {_BUSY_MILLISECONDS}",
            "journal_mode = WAL",
            # A signed transaction that was stored must still be there after a power cut.
            "synchronous = FULL",
            "foreign_keys = ON",
            *(() if writes else ("query_only = ON",)),
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that becomes a writer half-way could not see what was written in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """The database's own errors as ours. Parameters (addresses, names) are left out of the message."""
    try:
        yield
    except exc.OperationalError as error:
        if "locked" in str(error.orig) or "busy" in str(error.orig):
            raise DatabaseBusy from error
        raise DatabaseProblem(str(error.orig)) from error
    except exc.DBAPIError as error:
        raise DatabaseProblem(str(error.orig)) from error
