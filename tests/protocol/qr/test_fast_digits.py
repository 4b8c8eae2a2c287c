"""Digits of a code: every text is written by one string of bytes only, and nothing fits between."""

from __future__ import annotations

import random

import pytest

from undercroft_protocol.errors import QrSymbolError
from undercroft_protocol.qr.capacity import capacity_bytes, capacity_digits
from undercroft_protocol.qr.fast.digits import bytes_in, from_digits, to_digits

_RNG = random.Random(20)


@pytest.mark.parametrize("size", range(1, 70))
def test_bytes_come_back_and_all_bits_set_need_no_more_digits_than_none(size: int) -> None:
    for data in (bytes(size), b"\xff" * size, _RNG.randbytes(size)):
        assert from_digits(to_digits(data)) == data
    assert len(to_digits(bytes(size))) == len(to_digits(b"\xff" * size))


def test_two_groups_are_two_numbers() -> None:
    assert to_digits(bytes(21) + b"\x01" + b"\xff") == "0" * 52 + "1" + "255"


@pytest.mark.parametrize("version", range(5, 41))
def test_a_code_holds_nearly_what_byte_mode_holds(version: int) -> None:
    digits = capacity_digits(version)
    size = bytes_in(digits)
    assert len(to_digits(bytes(size))) <= digits < len(to_digits(bytes(size + 1)))
    assert size >= capacity_bytes(version) * 0.985


@pytest.mark.parametrize(
    "text", ["", "12a", " 12", "1_2", "-12", "+12", "١٢٣", "²³¹", "1.2", "256", "99999", "\x00", "12\n"]
)
def test_attack_other_characters_and_numbers_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(QrSymbolError):
        from_digits(text)


def test_attack_digits_left_over_are_refused() -> None:
    refused = 0
    for digits in range(1, 160):
        holds = len(to_digits(bytes(bytes_in(digits))))
        if holds == digits:
            assert to_digits(from_digits("0" * digits)) == "0" * digits
        else:
            refused += 1
            with pytest.raises(QrSymbolError, match="no bytes have"):
                from_digits("0" * digits)
    # 22 of the lengths up to each group's 53 are written.
    assert refused == 159 - 22 * 3


def test_attack_every_changed_digit_is_another_text_or_refused() -> None:
    text = to_digits(_RNG.randbytes(50))
    for at in range(len(text)):
        changed = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
        try:
            assert to_digits(from_digits(changed)) == changed
        except QrSymbolError as refused:
            assert "range" in refused.detail


def test_attack_more_digits_than_a_code_holds_are_refused_at_once() -> None:
    with pytest.raises(QrSymbolError):
        from_digits("0" * 53 * 200_000)
