"""Freeze orders are kept; of a log's seals more than one, each with the time at which it came."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Dropped before it is made anew: in PostgreSQL a primary key's name is there once, whatever its table is called.
    query = sa.text("SELECT identity, length, raw FROM appliance_log_seal")
    kept = [dict(row) for row in op.get_bind().execute(query).mappings()]
    op.drop_table("appliance_log_seal")
    seals = op.create_table(
        "appliance_log_seal",
        sa.Column("identity", sa.LargeBinary(length=32), nullable=False),
        sa.Column("length", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("kept", _LONG, nullable=False),
        sa.PrimaryKeyConstraint("identity", "length", name=op.f("pk_appliance_log_seal")),
    )
    # When they came was not written down: at 0 no reply counts as older than they are.
    op.bulk_insert(seals, [{**row, "kept": 0} for row in kept])
    op.create_table(
        "freeze_order",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("quorum_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signer", sa.LargeBinary(length=32), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("ordered", _LONG, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("learned", _LONG, nullable=False),
        sa.Column("lifted", _LONG, nullable=True),
        sa.ForeignKeyConstraint(["quorum_id"], ["quorum.id"], name=op.f("fk_freeze_order_quorum_id_quorum")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_freeze_order")),
    )
