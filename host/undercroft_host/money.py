"""Satoshis and their text; the only place where a decimal point comes near an amount."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final

from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS

from .errors import AmountInvalid

SATS_PER_BTC: Final = 100_000_000

_WHOLE = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,16}(?:[.,][0-9]{1,16})*(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)


def sats_from_text(text: str) -> int:
    """The amount (sats) that people write as plain digits, at least 1.

    Raises AmountInvalid for everything else that a number can look like, with a guess at what was meant.
    """
    # Attack, or habit: 0.5 read as zero, 1,000 as one, 1e5 as fifteen; an amount has one way to be written.
    if not _WHOLE.fullmatch(text):
        raise AmountInvalid(f"{text[:40]!r}; amounts are whole satoshis in plain digits{_guess(text)}")
    amount_sats = int(text)
    if amount_sats > MAX_MONEY_SATS:
        raise AmountInvalid(f"{text} satoshis is more than there can ever be")
    return amount_sats


def btc_text(amount_sats: int) -> str:
    """The amount (sats) in bitcoin, exact, with eight decimals: 150000000 is 1.50000000."""
    sign = "-" if amount_sats < 0 else ""
    whole, rest = divmod(abs(amount_sats), SATS_PER_BTC)
    return f"{sign}{whole}.{rest:08d}"


def sats_from_btc(value: Decimal | int | str) -> int:
    """An amount in bitcoin, as a node writes it, in sats. Raises AmountInvalid unless it is a whole number of them."""
    try:
        scaled = Decimal(value) * SATS_PER_BTC
    except InvalidOperation:
        raise AmountInvalid(f"{value!r} is no number") from None
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise AmountInvalid(f"{value} bitcoin is not a whole number of satoshis")
    return int(scaled)


def _guess(text: str) -> str:
    candidate = text.strip()
    if not _NUMBER.fullmatch(candidate):
        return ""
    plain = candidate.replace(",", "").lstrip("+")
    try:
        # A point says bitcoin; commas, blanks, signs and exponents alone still say satoshis.
        number = sats_from_btc(plain) if "." in plain else int(Decimal(plain))
    except (AmountInvalid, InvalidOperation):
        return ""
    return f"; did you mean {number}?" if 0 < number <= MAX_MONEY_SATS else ""
