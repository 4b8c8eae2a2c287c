"""An empty database, and three appliances that have declared nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange import Ticking, open_store
from undercroft_host.custody.appliances import add_appliance
from undercroft_host.store.engine import Store


@pytest.fixture
def store(tmp_path: Path, clock: Ticking) -> Iterator[Store]:
    opened = open_store(tmp_path)
    with opened.begin("test") as session:
        for name in ("alice", "bob", "carol"):
            add_appliance(session, name, f"serial:/dev/{name}", clock=clock)
    yield opened
    opened.close()
