"""The database: one writer, all or nothing, and never of another version."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, select, text

from exchange import Ticking
from undercroft_host.errors import DatabaseBusy, DatabaseEmpty, DatabaseNewer, DatabaseOlder, DatabaseProblem
from undercroft_host.store import engine, migrations
from undercroft_host.store.engine import Store, actor_of
from undercroft_host.store.tables import Account, ApplianceLogSeal, Base, PolicyRecord
from undercroft_host.vault.addresses import open_account


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "with a space.sqlite"


@pytest.fixture
def fresh(path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{path}")
    yield opened
    opened.close()


def set_revision(path: Path, revision: str) -> None:
    plain = create_engine(f"sqlite:///{path}")
    with plain.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
    plain.dispose()


def test_migrated_schema_is_what_the_tables_say(fresh: Store, path: Path) -> None:
    fresh.migrate()
    plain = create_engine(f"sqlite:///{path}")
    with plain.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    plain.dispose()
    assert found == migrations.REVISIONS[-1]


def test_a_policy_of_the_first_revision_is_usable_from_its_second_approval_on(
    fresh: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as first:
        first.setattr(migrations, "REVISIONS", ("0001",))
        fresh.migrate()
    plain = create_engine(f"sqlite:///{path}")
    with plain.begin() as connection:
        connection.execute(text("INSERT INTO quorum VALUES (x'aa', x'', 'active', 1)"))
        policies = ((1, "active", (7, 9)), (2, "proposed", (8,)), (3, "proposed", ()))
        for version, state, approvals in policies:
            name = bytes([version])
            row = {"hash": name, "version": version, "state": state}
            connection.execute(text("INSERT INTO policy VALUES (:hash, x'aa', :version, x'', '', :state, 5)"), row)
            for number, received in enumerate(approvals):
                row = {"hash": name, "owner": bytes([number]), "received": received}
                connection.execute(text("INSERT INTO policy_approval VALUES (:hash, :owner, x'', :received)"), row)
        connection.execute(text("INSERT INTO appliance_log_seal VALUES (x'bb', 3, x'cc')"))
    plain.dispose()
    fresh.migrate()
    with fresh.read() as session:
        query = select(PolicyRecord.version, PolicyRecord.usable).order_by(PolicyRecord.version)
        assert session.execute(query).all() == [(1, 9), (2, None), (3, None)]
        seal = session.get_one(ApplianceLogSeal, (b"\xbb", 3))
        assert (seal.raw, seal.kept) == (b"\xcc", 0)


def test_migrating_twice_changes_nothing(fresh: Store) -> None:
    fresh.migrate()
    with fresh.begin("test") as session:
        open_account(session, "alice", clock=Ticking())
    fresh.migrate()
    with fresh.read() as session:
        assert session.get_one(Account, "alice").name == "alice"


def test_database_without_tables_is_named(fresh: Store) -> None:
    with pytest.raises(DatabaseEmpty), fresh.read():
        pass


def test_database_of_a_newer_version_is_neither_read_nor_migrated(fresh: Store, path: Path) -> None:
    fresh.migrate()
    set_revision(path, "9999")
    with pytest.raises(DatabaseNewer, match="9999"), fresh.begin("test"):
        pass
    with pytest.raises(DatabaseNewer):
        fresh.migrate()


def test_database_of_an_older_version_is_named(fresh: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.migrate()
    monkeypatch.setattr(migrations, "REVISIONS", (*migrations.REVISIONS, "9999"))
    with pytest.raises(DatabaseOlder, match=migrations.REVISIONS[-2]), fresh.read():
        pass


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "postgresql://host/books"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(DatabaseProblem):
        Store.open(url)


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseProblem, match="No such file"):
        Store.open(f"sqlite:///{tmp_path}/nowhere/books.sqlite")


def test_file_is_for_its_owner_only(fresh: Store, path: Path) -> None:
    fresh.migrate()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_exception_undoes_the_whole_transaction(store: Store) -> None:
    with pytest.raises(RuntimeError), store.begin("test") as session:
        open_account(session, "alice", clock=Ticking())
        raise RuntimeError
    with store.read() as session:
        assert session.get(Account, "alice") is None


def test_read_session_cannot_write(store: Store) -> None:
    with pytest.raises(DatabaseProblem, match="readonly"), store.read() as session:
        session.add(Account(name="alice", opened=0))
        session.flush()


def test_read_session_has_no_actor(store: Store) -> None:
    with store.begin("carol") as session:
        assert actor_of(session) == "carol"
    with pytest.raises(DatabaseProblem), store.read() as session:
        actor_of(session)


def test_row_without_its_parent_is_refused(store: Store) -> None:
    with pytest.raises(DatabaseProblem, match="FOREIGN KEY"), store.begin("test") as session:
        session.execute(
            text(
                "INSERT INTO withdrawal (id, account, address, script, amount_sats, state, requested)"
                " VALUES ('w', 'nobody', 'a', x'00', 1, 'requested', 0)"
            )
        )


def test_second_writer_is_told_that_the_database_is_busy(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_BUSY_MILLISECONDS", 20)
    second = Store.open(str(store.url))
    with store.begin("first"), pytest.raises(DatabaseBusy), second.begin("second"):
        pass
    second.close()
