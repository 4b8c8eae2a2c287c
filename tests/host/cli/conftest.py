"""A home folder with test keys, and the command line on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli_support import SEEDS, Line
from exchange import Ticking
from undercroft_host.cli import app as cli_app
from undercroft_host.config import Config, create_home
from undercroft_host.risk.ruleset import DEFAULT_RULES
from undercroft_protocol.bitcoin.network import Network


@pytest.fixture
def make_home(tmp_path: Path) -> Callable[[], Config]:
    """Makes a home folder whose keys are the test keys."""

    def make() -> Config:
        seeds = iter(SEEDS)
        return create_home(
            tmp_path / "the home",
            network=Network.REGTEST,
            rpc_url="http://127.0.0.1:1",
            rpc_cookie=tmp_path / "none.cookie",
            database_url=None,
            rules_text=DEFAULT_RULES,
            entropy=lambda _: next(seeds),
        )

    return make


@pytest.fixture
def line(make_home: Callable[[], Config], monkeypatch: pytest.MonkeyPatch, clock: Ticking) -> Line:
    """A home with a fresh database; the clock and the lines are the test's."""
    config = make_home()
    found = Line(config.home)
    store = found.store()
    store.migrate()
    store.close()
    monkeypatch.setattr(cli_app, "system_clock", clock)
    monkeypatch.setattr(cli_app, "open_link", found.open)
    return found
