"""Every cause has its own code, the exit code of its kind, and a message."""

from __future__ import annotations

import re

import pytest

from exit_codes import KINDS
from undercroft_host import errors
from undercroft_host.errors import HostError


def causes() -> list[type[HostError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, HostError)]
    return [cause for cause in found if cause is not HostError]


def test_codes_are_unique() -> None:
    codes = [cause.code for cause in causes()]
    assert sorted(codes) == sorted(set(codes))


@pytest.mark.parametrize("cause", causes())
def test_cause_is_of_one_kind_with_its_exit_code_and_a_message(cause: type[HostError]) -> None:
    kinds = [kind for kind in KINDS if issubclass(cause, kind)]
    assert len(kinds) == 1
    assert cause.exit_code == KINDS[kinds[0]]
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cause.code)
    assert "code" in vars(cause)
    assert (cause.__doc__ or "").strip()


def test_error_says_what_and_what_next() -> None:
    error = errors.InsufficientFunds("alice has 1 sats")
    assert str(error) == "The account has less than this: alice has 1 sats"
    assert errors.InsufficientFunds(hint="wait").hint == "wait"
    assert errors.DatabaseEmpty().hint == errors.DatabaseEmpty.default_hint
