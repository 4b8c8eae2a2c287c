"""Requests that an owner must answer at the appliance: the host waits, and says for whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from undercroft_protocol.messages import StatementReply, Value

from ..desk.talk import ApplianceSession
from .app import App
from .options import SECONDS

OWNER_SECONDS = 600


def timeout_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--timeout``: how long an owner may take."""
    return click.option(
        "--timeout",
        type=SECONDS,
        default=OWNER_SECONDS,
        show_default=True,
        help="Seconds to wait for the owner.",
    )(command)


def ask_owner(app: App, talk: ApplianceSession, body: Value, task: str, timeout: int) -> bytes:
    """The statement (COSE_Sign1) that the owner's appliance makes when its owner agrees; unverified yet."""
    app.note(f"waiting for {talk.name}'s owner at the appliance to {task} (up to {timeout} s)")
    return talk.ask(body, StatementReply, timeout=timeout).statement
