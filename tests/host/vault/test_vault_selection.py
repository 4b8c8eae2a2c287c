"""Coin selection: always enough, never for the payee's or the miner's free gift, always the same."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_host.errors import CoinsExhausted
from undercroft_host.vault.selection import Candidate, Shape, select_coins
from undercroft_protocol.bitcoin.amounts import dust_limit_sats

CHANGE_SCRIPT = b"\x00\x20" + bytes(32)
PAYEE_SCRIPT = b"\x00\x14" + bytes(20)
DUST_SATS = dust_limit_sats(CHANGE_SCRIPT)


def coins(*amounts_sats: int) -> list[Candidate]:
    return [
        Candidate(hashlib.sha256(bytes([at // 256, at % 256])).digest(), 0, 0, at, amount_sats)
        for at, amount_sats in enumerate(amounts_sats)
    ]


def shape(*, feerate: int = 5000, payees: int = 1) -> Shape:
    return Shape((PAYEE_SCRIPT,) * payees, CHANGE_SCRIPT, 2, 3, feerate)


@given(
    amounts=st.lists(st.integers(min_value=1, max_value=10_000_000), min_size=1, max_size=40),
    paid_sats=st.integers(min_value=300, max_value=100_000_000),
    feerate=st.integers(min_value=1000, max_value=200_000),
    payees=st.integers(min_value=1, max_value=100),
)
def test_sums_fee_and_change_always_fit(amounts: list[int], paid_sats: int, feerate: int, payees: int) -> None:
    wanted = shape(feerate=feerate, payees=payees)
    try:
        chosen = select_coins(coins(*amounts), paid_sats, wanted)
    except CoinsExhausted:
        worth = [amount for amount in amounts if amount > wanted.input_fee_sats]
        assert sum(worth) < paid_sats + wanted.fee_sats(max(len(worth), 1), with_change=False)
        return
    total_sats = sum(coin.amount_sats for coin in chosen.coins)
    assert total_sats == paid_sats + chosen.fee_sats + chosen.change_sats
    count = len(chosen.coins)
    assert chosen.change_sats == 0 or chosen.change_sats >= DUST_SATS
    if chosen.change_sats:
        assert chosen.fee_sats == wanted.fee_sats(count, with_change=True)
    else:
        least_sats = wanted.fee_sats(count, with_change=False)
        assert least_sats <= chosen.fee_sats < wanted.fee_sats(count, with_change=True) + DUST_SATS
    assert len({coin.txid for coin in chosen.coins}) == count


@pytest.mark.parametrize("position", [0, 3])
def test_a_coin_that_must_be_spent_is_spent_whatever_it_is_worth(position: int) -> None:
    there = coins(1, 70_000, 70_000, 9_000, 100_000)
    chosen = select_coins(there, 50_000, shape(), must=[there[position]])
    assert there[position] in chosen.coins
    assert sum(coin.amount_sats for coin in chosen.coins) == 50_000 + chosen.fee_sats + chosen.change_sats
    assert select_coins(there, 50_000, shape()).coins != chosen.coins


@given(st.randoms(use_true_random=False))
def test_same_coins_in_another_order_give_the_same_choice(order: random.Random) -> None:
    there = coins(9_000, 70_000, 70_000, 20_000, 4_000, 100_000)
    shuffled = list(there)
    order.shuffle(shuffled)
    assert select_coins(shuffled, 120_000, shape()) == select_coins(there, 120_000, shape())


def test_choice_without_change_is_preferred() -> None:
    wanted = shape()
    exact_sats = 50_000 + wanted.fee_sats(2, with_change=False)
    chosen = select_coins(coins(1_000_000, 30_000, exact_sats - 30_000, 400_000), 50_000, wanted)
    assert chosen.change_sats == 0
    assert len(chosen.coins) == 2
    assert chosen.fee_sats == wanted.fee_sats(2, with_change=False)


def test_attack_dust_that_costs_more_than_it_brings_is_never_spent() -> None:
    wanted = shape(feerate=100_000)
    dust = [wanted.input_fee_sats] * 300
    chosen = select_coins(coins(*dust, 2_000_000), 100_000, wanted)
    assert [coin.amount_sats for coin in chosen.coins] == [2_000_000]
    with pytest.raises(CoinsExhausted, match="0 sats can be spent"):
        select_coins(coins(*dust), 1_000, wanted)


def test_more_inputs_than_allowed_are_exhaustion() -> None:
    many = coins(*[10_000] * 20)
    with pytest.raises(CoinsExhausted):
        select_coins(many, 100_000, shape(), most_inputs=5)
    assert len(select_coins(many, 30_000, shape(), most_inputs=5).coins) <= 5


def test_hundreds_of_coins_are_chosen_from_in_bounded_steps() -> None:
    chosen = select_coins(coins(*[100_000 + at for at in range(1_500)]), 5_000_000, shape())
    assert 50 <= len(chosen.coins) <= 60
