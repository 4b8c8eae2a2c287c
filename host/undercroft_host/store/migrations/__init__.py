"""The history of the tables; `alembic` runs the revisions in `versions`, in the order of REVISIONS."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection

REVISIONS: Final = ("0001", "0002", "0003")
"""Every revision this version knows, oldest first; the last is the one that `tables.py` describes."""


def upgrade(connection: Connection) -> None:
    """Bring the tables to the last revision, inside the caller's transaction."""
    # Imported here: half a second that only a migration should cost.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, REVISIONS[-1])
