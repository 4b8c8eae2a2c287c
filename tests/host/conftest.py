"""Databases and exchanges for the host's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange import Exchange, Ticking, make_quorum, open_store, register
from undercroft_demo.node import Node
from undercroft_host.store.engine import Store
from undercroft_protocol.messages import Quorum


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture(scope="session")
def quorum() -> Quorum:
    return make_quorum()


@pytest.fixture
def store(tmp_path: Path, quorum: Quorum) -> Iterator[Store]:
    """A migrated database with the quorum in it."""
    opened = open_store(tmp_path)
    register(opened, quorum)
    yield opened
    opened.close()


@pytest.fixture
def exchange(tmp_path: Path, node: Node) -> Iterator[Exchange]:
    """A quorum of its own, watched by the node, with nothing paid to it yet and an empty mempool."""
    node.mine(1)
    founded = Exchange.founded(tmp_path, node, salt=str(tmp_path))
    yield founded
    founded.store.close()
    node.rpc("unloadwallet", founded.wallet)
