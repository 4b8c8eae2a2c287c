"""Amounts and the dust rule."""

from __future__ import annotations

import pytest

from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS, checked_amount, dust_limit_sats
from undercroft_protocol.errors import TransactionError


@pytest.mark.parametrize("amount_sats", [0, 1, MAX_MONEY_SATS])
def test_possible_amounts_are_returned(amount_sats: int) -> None:
    assert checked_amount(amount_sats) == amount_sats


@pytest.mark.parametrize("amount_sats", [-1, MAX_MONEY_SATS + 1])
def test_impossible_amounts_are_refused(amount_sats: int) -> None:
    with pytest.raises(TransactionError):
        checked_amount(amount_sats)


@pytest.mark.parametrize(
    ("script", "limit_sats"),
    [
        (b"\x76\xa9\x14" + bytes(20) + b"\x88\xac", 546),
        (b"\xa9\x14" + bytes(20) + b"\x87", 540),
        (b"\x00\x14" + bytes(20), 294),
        (b"\x00\x20" + bytes(32), 330),
        (b"\x51\x20" + bytes(32), 330),
        (b"\x51\x02\x4e\x73", 240),
        (b"\x6a\x04abcd", 0),
    ],
    ids=["p2pkh", "p2sh", "p2wpkh", "p2wsh", "p2tr", "p2a", "op_return"],
)
def test_dust_limits_are_those_of_bitcoin_core(script: bytes, limit_sats: int) -> None:
    assert dust_limit_sats(script) == limit_sats
