"""What is bounded before the costly work of proving begins: no freeze is heard meanwhile."""

from __future__ import annotations

from typing import Final

from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.messages import BatchRequest, Policy

from .refusals import PSBT_MALFORMED, TOO_MANY_INPUTS, Refusal

MOST_PSBT_BYTES: Final = MAX_MESSAGE_BYTES * 5 // 8
"""With our signatures in it, which make no PSBT longer by half, it still fits into one message."""


def check_psbt_size(data: bytes) -> None:
    """Raises Refusal when the PSBT is larger than any that an appliance takes."""
    # Attack: a PSBT whose answer fits into no message, so that the keeper fails after it has signed.
    if len(data) > MOST_PSBT_BYTES:
        raise Refusal(PSBT_MALFORMED, f"{len(data)} bytes, {MOST_PSBT_BYTES} is the most")


def check_coins(batch: BatchRequest, policy: Policy) -> None:
    """Raises Refusal when the batch spends more coins than the policy allows all its transactions together."""
    coins = sum(len(transaction.inputs) for transaction in batch.transactions)
    most_coins = policy.most_transactions * policy.most_inputs
    # Attack: tens of thousands of coins, each with keys to derive before any rule speaks.
    if coins > most_coins:
        raise Refusal(TOO_MANY_INPUTS, f"{coins} in one batch > {most_coins}")
