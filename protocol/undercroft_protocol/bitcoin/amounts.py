"""Amounts of money, always whole satoshis."""

from __future__ import annotations

from undercroft_protocol.bitcoin.encoding import compact_size
from undercroft_protocol.bitcoin.script import witness_program
from undercroft_protocol.errors import TransactionError

MAX_MONEY_SATS = 21_000_000 * 100_000_000

_DUST_SATS_PER_BYTE = 3
_MAX_SCRIPT_BYTES = 10_000
_OP_RETURN = 0x6A


def checked_amount(amount_sats: int) -> int:
    """The amount itself (sats); TransactionError when it is negative or more than there can ever be."""
    if not 0 <= amount_sats <= MAX_MONEY_SATS:
        raise TransactionError(f"{amount_sats} sats is not a possible amount")
    return amount_sats


def dust_limit_sats(script: bytes) -> int:
    """The least amount (sats) an output with this locking script needs to be relayed.

    Bitcoin Core's GetDustThreshold at its dust relay fee of 3000 sat/kvB: the cost to make and spend it.
    """
    if script[:1] == bytes([_OP_RETURN]) or len(script) > _MAX_SCRIPT_BYTES:
        return 0
    output_bytes = 8 + len(compact_size(len(script))) + len(script)
    spend_bytes = 32 + 4 + 1 + (107 if witness_program(script) is None else 107 // 4) + 4
    return (output_bytes + spend_bytes) * _DUST_SATS_PER_BYTE
