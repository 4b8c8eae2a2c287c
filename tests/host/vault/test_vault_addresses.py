"""Every address is given out once, and is the one that the quorum's descriptor derives."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from exchange import OUTSIDER, Ticking, make_quorum
from undercroft_host.errors import AccountUnknown, AddressInvalid, NameInvalid, QuorumUnknown
from undercroft_host.store.engine import Store
from undercroft_host.vault.addresses import (
    change_address,
    highest_index,
    issue_address,
    open_account,
    payable_script,
)
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import Quorum


def test_indices_rise_by_one_on_each_branch(store: Store, quorum: Quorum, clock: Ticking) -> None:
    descriptor = quorum.descriptor()
    with store.begin("test") as session:
        open_account(session, "alice", clock=clock)
        open_account(session, "bob", clock=clock)
        given = [issue_address(session, quorum, name, clock=clock) for name in ("alice", "bob", "alice")]
        changes = [change_address(session, quorum, clock=clock) for _ in range(2)]
        assert [one.text for one in given] == [descriptor.address(0, index) for index in range(3)]
        assert [one.text for one in changes] == [descriptor.address(1, index) for index in range(2)]
        assert [one.account for one in given + changes] == ["alice", "bob", "alice", None, None]
        assert highest_index(session, quorum.id, 0) == 2
        assert highest_index(session, b"\0" * 32, 0) == -1


def test_account_opened_twice_is_one_account(store: Store, clock: Ticking) -> None:
    with store.begin("test") as session:
        first = open_account(session, "alice", clock=clock)
        clock.now += 1
        assert open_account(session, "alice", clock=clock).opened == first.opened


def test_unknown_account_and_unknown_quorum_are_named(store: Store, quorum: Quorum, clock: Ticking) -> None:
    with store.begin("test") as session:
        with pytest.raises(AccountUnknown, match="mallory"):
            issue_address(session, quorum, "mallory", clock=clock)
        open_account(session, "alice", clock=clock)
        with pytest.raises(QuorumUnknown):
            issue_address(session, make_quorum("another"), "alice", clock=clock)


@pytest.mark.parametrize(
    "name", ["", " ", "two words", "a" * 41, "-x", "x\n", "al\u200bice", "\u0430lice", "=1+1", "a/b"]
)
def test_attack_name_that_looks_like_another_is_refused(store: Store, clock: Ticking, name: str) -> None:
    with store.begin("test") as session, pytest.raises(NameInvalid):
        open_account(session, name, clock=clock)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "mainnet"),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "testnet"),
        ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "mainnet"),
        (OUTSIDER[:-1] + "q", "checksum"),
        (OUTSIDER[:10].upper() + OUTSIDER[10:], "case"),
        ("", "address"),
        ("bcrt1", "address"),
    ],
)
def test_address_that_cannot_be_paid_says_why(address: str, why: str) -> None:
    with pytest.raises(AddressInvalid, match=why):
        payable_script(address, Network.REGTEST)


def _take_ten(url: str, name: str) -> None:
    store = Store.open(url)
    for _ in range(10):
        with store.begin(name) as session:
            issue_address(session, make_quorum(), name, clock=Ticking())


def test_attack_two_processes_never_get_the_same_address(
    store: Store, quorum: Quorum, clock: Ticking, tmp_path: Path
) -> None:
    with store.begin("test") as session:
        open_account(session, "alice", clock=clock)
        open_account(session, "bob", clock=clock)
    start = multiprocessing.get_context("spawn")
    workers = [start.Process(target=_take_ten, args=(str(store.url), name)) for name in ("alice", "bob")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with store.read() as session:
        assert highest_index(session, quorum.id, 0) == 19
