"""Guarded memory of both kinds, and an owner at a pseudo-terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.secrets.secrets_support import PassphraseOwner, new_keyring, require_kind
from undercroft_appliance.keeper.secrets.keyring import Keyring
from undercroft_appliance.keeper.secrets.memory import KINDS, GuardedMemory


@pytest.fixture(params=KINDS)
def memory(request: pytest.FixtureRequest) -> Iterator[GuardedMemory]:
    require_kind(request.param)
    with GuardedMemory(kinds=(request.param,)) as guarded:
        yield guarded


@pytest.fixture
def owner() -> Iterator[PassphraseOwner]:
    someone = PassphraseOwner()
    yield someone
    someone.close()


@pytest.fixture
def keyring() -> Iterator[Keyring]:
    with new_keyring() as ring:
        yield ring
