"""An amount has one way to be written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_host.errors import AmountInvalid
from undercroft_host.money import btc_text, sats_from_btc, sats_from_text
from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS

amounts = st.integers(min_value=1, max_value=MAX_MONEY_SATS)


@given(amounts)
def test_amount_survives_both_texts(amount_sats: int) -> None:
    assert sats_from_text(str(amount_sats)) == amount_sats
    assert sats_from_btc(btc_text(amount_sats)) == amount_sats


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ("0.5", "50000000"),
        ("1.0", "100000000"),
        ("1e5", "100000"),
        ("1E5", "100000"),
        ("1,000", "1000"),
        ("+5", "5"),
        (" 5", "5"),
        ("5 ", "5"),
        ("5\n", "5"),
        ("007", "7"),
        ("-5", None),
        ("0", None),
        ("", None),
        ("5 sats", None),
        ("0x10", None),
        ("1_000", None),
        ("\u0665", None),
        ("nan", None),
        ("1e99", None),
        ("0.000000001", None),
    ],
)
def test_other_spellings_are_refused_with_a_guess_where_there_is_one(text: str, guess: str | None) -> None:
    with pytest.raises(AmountInvalid) as refused:
        sats_from_text(text)
    assert ("did you mean" in str(refused.value)) == (guess is not None)
    assert guess is None or f"did you mean {guess}?" in str(refused.value)


def test_more_than_there_can_ever_be_is_refused() -> None:
    with pytest.raises(AmountInvalid):
        sats_from_text(str(MAX_MONEY_SATS + 1))


@pytest.mark.parametrize("value", [Decimal("0.000000001"), Decimal("NaN"), Decimal("Infinity"), "one"])
def test_bitcoin_that_is_no_whole_number_of_sats_is_refused(value: Decimal | str) -> None:
    with pytest.raises(AmountInvalid):
        sats_from_btc(value)


def test_negative_amounts_keep_their_sign() -> None:
    assert btc_text(-1) == "-0.00000001"
    assert sats_from_btc("-0.00000001") == -1
