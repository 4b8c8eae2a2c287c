"""What all tests share: one real node on regtest, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from undercroft_demo.node import Node


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A real bitcoind with a funded payer; its chain and mempool are shared by the tests of one process."""
    with Node.started(tmp_path_factory.mktemp("node")) as running:
        running.fund_payer()
        yield running
