"""What both doors of the prove stage demand of any transaction: places, amounts, sums, dust, timing.

Every check raises Refusal; ``where`` names the part that is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS, dust_limit_sats
from undercroft_protocol.bitcoin.transaction import Outpoint

from .proven import OwnOutput, Payee, ProvenInput
from .refusals import (
    AMOUNT_RANGE,
    CHANGE_COUNT,
    CHANGE_INDEX,
    COIN_INDEX,
    DUST,
    FOREIGN_COIN,
    LOCKTIME,
    OUTPOINT_REPEATED,
    OUTPUTS_EXCEED_INPUTS,
    SEQUENCE_NUMBER,
    Refusal,
)

VERSION: Final = 2
"""The one transaction version that is signed."""
SEQUENCES: Final = (0xFFFFFFFD, 0xFFFFFFFE)
"""Replaceable (BIP 125) and not; both leave the locktime in force and no relative lock (BIP 68)."""
LOCKTIME_TIMES: Final = 500_000_000
"""From here on a locktime is a time and no height."""
HIGHEST_UNKNOWN_HEIGHT: Final = 2_000_000
"""A locktime may go up to here where nobody knows the chain's height; the chain gets there about 2046."""
MOST_CHANGE: Final = 2
"""Own outputs of one transaction: some wallets split their change in two, and none needs more."""
HIGHEST_INDEX: Final = 1_000_000
"""No coin and no change lies further out: what is lost below it is found again by a search of minutes."""


def check_coin_index(index: int, where: str) -> None:
    """A coin lies where this quorum ever goes."""
    # Attack: made-up coins far out lift the bound for change step by step (signers.md 46).
    if index > HIGHEST_INDEX:
        raise Refusal(COIN_INDEX, f"{where}: index {index}, {HIGHEST_INDEX} is the highest")


def check_own_script(spent_script: bytes, own_script: bytes, place: tuple[int, int], where: str) -> None:
    """What an input spends pays to the script that was rebuilt for its place (branch, index)."""
    # Attack: a coin with another threshold, or with one cosigner replaced (signers.md 29, 30, 39).
    if spent_script != own_script:
        raise Refusal(FOREIGN_COIN, f"{where}: not our script at {place[0]}/{place[1]}")


def check_once(outpoints: Iterable[Outpoint]) -> None:
    """No outpoint is there twice."""
    seen: set[tuple[bytes, int]] = set()
    for outpoint in outpoints:
        coin = (outpoint.txid, outpoint.vout)
        # Attack: one coin counted twice makes the fee look right (signers.md 51, 69); the set has no bound that could
        # stop the check early.
        if coin in seen:
            raise Refusal(OUTPOINT_REPEATED, str(outpoint))
        seen.add(coin)


def highest_change(inputs: Sequence[ProvenInput], change_signed: int, change_gap: int) -> int:
    """How far out a transaction's own outputs may lie, by what was signed so far and by its own inputs."""
    # Attack: a made-up coin far out, in a transaction beside this one, lifts the bound for this one's change. A made-up
    # coin among its own inputs would make it invalid.
    return min(max(change_signed, *(coin.index for coin in inputs)) + change_gap, HIGHEST_INDEX)


def check_change_index(index: int, highest: int, where: str) -> None:
    """An own output lies where its owners find it."""
    # Attack: change so far out that its owners do not find it, for a ransom (signers.md 46).
    if index > highest:
        raise Refusal(CHANGE_INDEX, f"{where}: index {index}, {highest} is the highest")


def check_sequence(sequence: int, where: str) -> None:
    """An input's sequence number keeps the locktime in force, and adds no lock of its own."""
    # Attack: relative locks, or final inputs that put the locktime out of force (signers.md 53).
    if sequence not in SEQUENCES:
        raise Refusal(SEQUENCE_NUMBER, f"{where}: {sequence:#010x}")


def check_locktime(locktime: int, height: int | None, where: str) -> None:
    """The transaction can be mined in the block after ``height``."""
    highest = HIGHEST_UNKNOWN_HEIGHT if height is None else height + 1
    # Attack: a signature that becomes valid long after the rules it was judged by.
    if locktime > highest or locktime >= LOCKTIME_TIMES:
        raise Refusal(LOCKTIME, f"{where}: {locktime} at height {'unknown' if height is None else height}")


def check_dust(script: bytes, amount_sats: int, where: str) -> None:
    """An output is large enough to be relayed."""
    # Attack: outputs that stop the whole transaction from being relayed (signers.md 10).
    if amount_sats < dust_limit_sats(script):
        raise Refusal(DUST, f"{where}: {amount_sats} sats, {dust_limit_sats(script)} is the least")


def check_own_count(outputs: Iterable[Payee | OwnOutput], where: str) -> None:
    """Not more than MOST_CHANGE outputs come back."""
    own = sum(isinstance(output, OwnOutput) for output in outputs)
    # Attack: a flood of small change makes the wallet unspendable (signers.md 48).
    if own > MOST_CHANGE:
        raise Refusal(CHANGE_COUNT, f"{where}: {own} change outputs")


def proven_fee(inputs: Iterable[ProvenInput], outputs: Iterable[Payee | OwnOutput], where: str) -> int:
    """The fee (sats): what comes in less what goes out."""
    comes_in = sum(coin.amount_sats for coin in inputs)
    goes_out = sum(output.amount_sats for output in outputs)
    # Attack: amounts that overflow as a sum (CVE-2010-5139; signers.md 8).
    for name, amount_sats in (("inputs", comes_in), ("outputs", goes_out)):
        if amount_sats > MAX_MONEY_SATS:
            raise Refusal(AMOUNT_RANGE, f"{where}: {name} of {amount_sats} sats")
    # Attack: a negative fee that passes every "not more than" (signers.md 7).
    if goes_out > comes_in:
        raise Refusal(OUTPUTS_EXCEED_INPUTS, f"{where}: {comes_in} sats in, {goes_out} sats out")
    return comes_in - goes_out
