"""A keeper for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from appliance.keeper.keeper_support import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as one:
        yield one
