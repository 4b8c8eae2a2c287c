"""The table of refusals: each code is stable, coarse to the host, helpful to the owner."""

from __future__ import annotations

import pytest

from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.refusals import CODES, Refusal, RefusalCode

CONSTANTS = {name: value for name, value in vars(refusals).items() if isinstance(value, RefusalCode)}


def test_the_table_holds_every_constant_under_its_own_name() -> None:
    assert {value.name: value for value in CONSTANTS.values()} == dict(CODES)
    assert all(name.lower().replace("_", "-") == value.name for name, value in CONSTANTS.items())


@pytest.mark.parametrize("code", CODES.values(), ids=lambda code: code.name)
def test_every_meaning_fits_a_line_of_the_screen_and_ends_like_a_sentence(code: RefusalCode) -> None:
    assert code.meaning.isascii()
    assert len(code.meaning) <= 200
    assert code.meaning.endswith((".", ": held", ": lock"))
    assert len(code.name) <= 40


def test_the_host_learns_one_of_few_words() -> None:
    assert {code.coarse for code in CODES.values()} == {
        "malformed",
        "untrusted",
        "replay",
        "expired",
        "state",
        "busy",
        "owner",
        "unproven",
        "policy",
    }


def test_attack_a_refusal_floods_neither_screen_nor_log() -> None:
    assert len(str(Refusal(refusals.MALFORMED_MESSAGE, "x" * 1_000_000))) < 200


def test_a_refusal_tells_the_owner_the_numbers_and_what_to_do() -> None:
    refusal = Refusal(refusals.FEE_LIMIT, "9 > 8 sats")
    assert refusal.lines == ("fee-limit: 9 > 8 sats", refusals.FEE_LIMIT.meaning)
