"""How alembic reaches the database: by the connection, and inside the transaction, that it is given."""

from __future__ import annotations

from alembic import context

from undercroft_host.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
