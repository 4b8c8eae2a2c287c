"""Every error of the appliance has a message and a stable code of its own."""

from __future__ import annotations

from collections.abc import Iterator

from undercroft_appliance import errors
from undercroft_appliance.errors import ApplianceError


def kinds(base: type[ApplianceError] = ApplianceError) -> Iterator[type[ApplianceError]]:
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from kinds(kind)


def test_codes_are_unique_and_stable() -> None:
    codes = [kind.code for kind in kinds()]
    assert len(codes) == len(set(codes))
    assert {
        "memory", "passphrase", "passphrase-length", "passphrase-character", "passphrase-mismatch",
        "wrong-passphrase", "envelope", "keyring-locked", "key-derivation", "signing", "self-test", "channel",
        "configuration", "terminal-gone",
    } <= set(codes)  # fmt: skip


def test_the_message_is_the_docstring_and_the_detail() -> None:
    for kind in kinds():
        assert str(kind()) == (kind.__doc__ or "").splitlines()[0]
        assert str(kind("here")).endswith(": here")
