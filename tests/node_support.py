"""Runs other people's JavaScript (tests/interop) under Node, where `make setup` could install it; no network."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent
_RUNNER = _REPOSITORY / "tests" / "interop" / "run.mjs"
_PACKAGES = _REPOSITORY / ".tools" / "interop"
_SECONDS = 120
_NODE = shutil.which("node")

needs_node = pytest.mark.skipif(
    _NODE is None or not (_PACKAGES / "undercroft-setup.stamp").exists(),
    reason="needs Node.js and its packages: `make setup` installs them where node and npm are there",
)
"""Marks a test that is skipped where there is no Node, or its packages could not be installed."""


class NodeError(Exception):
    """The JavaScript code refused the call; the argument is what it said."""


def run_node(calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The results of ``calls``, in one process of Node; a call is ``{"do": "ur.decode", …}`` (tests/interop/run.mjs).

    Raises NodeError with the message of the first call that threw.
    """
    answers = try_node(calls)
    for call, answer in zip(calls, answers, strict=True):
        if "error" in answer:
            raise NodeError(f"{call['do']}: {answer['error']}")
    return [answer.get("result") for answer in answers]


def try_node(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same, with ``{"result": …}`` or ``{"error": …}`` for each call."""
    if _NODE is None:
        raise NodeError("there is no node")
    done = subprocess.run(
        [_NODE, str(_RUNNER), str(_PACKAGES)],
        input=json.dumps(list(calls)),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise NodeError(done.stderr[-2000:])
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
