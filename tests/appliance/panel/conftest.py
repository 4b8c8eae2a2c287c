"""Panels on pseudo-terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from appliance.panel.panel_support import Stage


@pytest.fixture
def make_stage() -> Iterator[Callable[..., Stage]]:
    stages = []

    def make(rows: int = 0, columns: int = 0) -> Stage:
        stages.append(Stage(rows=rows, columns=columns))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(make_stage: Callable[..., Stage]) -> Stage:
    return make_stage()
