"""A quorum with its policy in force, its three appliances, and a payment that two owners may sign."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange import Ticking, open_store
from scripted_appliance import ScriptedAppliance, cleared_payment, found
from undercroft_host.store.engine import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path)
    found(opened)
    yield opened
    opened.close()


@pytest.fixture
def alice() -> ScriptedAppliance:
    return ScriptedAppliance("alice")


@pytest.fixture
def bob() -> ScriptedAppliance:
    return ScriptedAppliance("bob")


@pytest.fixture
def payment(store: Store, clock: Ticking) -> int:
    """Two coins, two payees, change."""
    return cleared_payment(store, clock)
