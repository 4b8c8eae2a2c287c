"""A policy has a time from which it may be used, in place of a state that somebody would have to change then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("policy", sa.Column("usable", _LONG, nullable=True))
    # Before this revision the second approval put a policy in force at once.
    op.execute(
        "UPDATE policy SET usable = "
        "(SELECT MAX(received) FROM policy_approval WHERE policy_hash = policy.hash HAVING COUNT(*) >= 2)"
    )
    op.drop_column("policy", "state")
