"""Which coins a payment spends: by effective value (what a coin brings after the fee for spending it), always the same
choice for the same coins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.amounts import dust_limit_sats
from undercroft_protocol.bitcoin.finalize import estimate_vsize

from ..errors import CoinsExhausted

MOST_INPUTS: Final = 200

_SEARCH_STEPS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A coin that may be spent: its outpoint, where its script comes from, its amount (sats)."""

    txid: bytes
    vout: int
    branch: int
    index: int
    amount_sats: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of the transaction before its coins are: payees' scripts, change script, quorum, feerate."""

    payee_scripts: tuple[bytes, ...]
    change_script: bytes
    threshold: int
    key_count: int
    feerate_sat_per_kvb: int

    def fee_sats(self, input_count: int, *, with_change: bool) -> int:
        """The fee (sats, rounded up) for the largest size that the signed transaction can have."""
        scripts = (*self.payee_scripts, *((self.change_script,) if with_change else ()))
        vsize = estimate_vsize(input_count, scripts, self.threshold, self.key_count)
        return -(-vsize * self.feerate_sat_per_kvb // 1000)

    @property
    def input_fee_sats(self) -> int:
        """What one more input costs at most (sats)."""
        return self.fee_sats(2, with_change=False) - self.fee_sats(1, with_change=False) + 1


@dataclass(frozen=True, slots=True)
class Selection:
    """The coins in the order of their outpoints, the exact fee, and what comes back (0: no change output)."""

    coins: tuple[Candidate, ...]
    fee_sats: int
    change_sats: int


def select_coins(
    candidates: Sequence[Candidate],
    paid_sats: int,
    shape: Shape,
    *,
    must: Sequence[Candidate] = (),
    most_inputs: int = MOST_INPUTS,
) -> Selection:
    """Coins for ``paid_sats`` and the fee: a choice without change when there is one, else the largest coins first.

    Those in ``must`` are among them whatever they are worth. Change below the dust limit goes to the fee. Raises
    CoinsExhausted.
    """
    # Attack: thousands of tiny deposits, each of which costs more to spend than it brings.
    worth = [coin for coin in candidates if coin.amount_sats > shape.input_fee_sats]
    worth.sort(key=lambda coin: (-coin.amount_sats, coin.txid, coin.vout))
    if must:
        worth = [*must, *(coin for coin in worth if coin not in must)]
        chosen = _largest_first(worth, paid_sats, shape, most_inputs, least_inputs=len(must))
    else:
        chosen = _without_change(worth, paid_sats, shape, most_inputs) or _largest_first(
            worth, paid_sats, shape, most_inputs
        )
    if chosen is None:
        there_sats = sum(coin.amount_sats for coin in worth[:most_inputs])
        raise CoinsExhausted(f"{paid_sats} sats and the fee are needed, {there_sats} sats can be spent now")
    return _selection(chosen, paid_sats, shape)


def _selection(chosen: Sequence[Candidate], paid_sats: int, shape: Shape) -> Selection:
    total_sats = sum(coin.amount_sats for coin in chosen)
    coins = tuple(sorted(chosen, key=lambda coin: (coin.txid, coin.vout)))
    fee_sats = shape.fee_sats(len(coins), with_change=True)
    change_sats = total_sats - paid_sats - fee_sats
    if change_sats >= dust_limit_sats(shape.change_script):
        return Selection(coins, fee_sats, change_sats)
    return Selection(coins, total_sats - paid_sats, 0)


def _largest_first(
    coins: Sequence[Candidate], paid_sats: int, shape: Shape, most_inputs: int, *, least_inputs: int = 1
) -> Sequence[Candidate] | None:
    total_sats = 0
    for count, coin in enumerate(coins[:most_inputs], start=1):
        total_sats += coin.amount_sats
        if count >= least_inputs and total_sats >= paid_sats + shape.fee_sats(count, with_change=False):
            return coins[:count]
    return None


def _without_change(
    coins: Sequence[Candidate], paid_sats: int, shape: Shape, most_inputs: int
) -> Sequence[Candidate] | None:
    """Branch and bound: coins whose sum is the payment and its fee, and less than a change output is worth above it."""
    surplus_sats = shape.fee_sats(1, with_change=True) - shape.fee_sats(1, with_change=False) + shape.input_fee_sats
    rest_sats = [0] * (len(coins) + 1)
    for at in range(len(coins) - 1, -1, -1):
        rest_sats[at] = rest_sats[at + 1] + coins[at].amount_sats
    stack: list[tuple[int, int, tuple[int, ...]]] = [(0, 0, ())]
    for _ in range(_SEARCH_STEPS):
        if not stack:
            return None
        at, total_sats, taken = stack.pop()
        if taken:
            target_sats = paid_sats + shape.fee_sats(len(taken), with_change=False)
            if target_sats <= total_sats <= target_sats + surplus_sats:
                return [coins[position] for position in taken]
            if total_sats > target_sats:
                continue
        if at == len(coins) or len(taken) == most_inputs or total_sats + rest_sats[at] < paid_sats:
            continue
        stack.append((at + 1, total_sats, taken))
        stack.append((at + 1, total_sats + coins[at].amount_sats, (*taken, at)))
    return None
