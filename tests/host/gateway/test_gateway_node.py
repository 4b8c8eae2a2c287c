"""The node that demo and tests run: found or named, started again where it ended, and ended for certain."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_demo import node as node_module
from undercroft_demo.node import Node, NodeMissingError, NodeStartError, find_bitcoind


def test_node_goes_on_where_it_ended(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    with Node.started(folder) as first:
        first.fund_payer()
        tip = first.rpc("getbestblockhash")
        assert first.rpc("getnetworkinfo")["connections"] == 0
    assert first.process.poll() == 0
    with Node.started(folder) as second:
        second.fund_payer()
        assert second.rpc("getbestblockhash") == tip


def test_missing_program_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERCROFT_BITCOIND", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node_module, "_REPOSITORY", tmp_path)
    with pytest.raises(NodeMissingError, match="make setup"):
        find_bitcoind()


def test_program_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bitcoind"
    program.write_text("#!/bin/sh\necho no room on the disk\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("UNDERCROFT_BITCOIND", str(program))
    with pytest.raises(NodeStartError, match="no room"), Node.started(tmp_path / "data"):
        pass
