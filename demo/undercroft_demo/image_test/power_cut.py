"""A power cut in the middle of a batch: the appliance has all of it, and no answer of it has left."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from undercroft_host.gateway.rpc import amount_to_sats

from ..node import PAYER
from ..operator import Outcome
from ..stage import APPLIANCE_END, HOST_END, Stage
from ..story import CONFIRMATIONS, StoryError

PAYEES: Final = 90
AMOUNT_SATS: Final = 700_000
_STILL_SECONDS: Final = 0.25
"""So long nothing of the request came any more: the appliance is at work on it."""
_LOOK_SECONDS: Final = 0.02
_SENDING_SECONDS: Final = 300.0
_MOST: Final = 0.95
"""Of what another appliance got: the same batch, in a message of its own."""
_SILENT: Final = 7
"""The command's exit code when an appliance does not answer."""


def orders(stage: Stage, accounts: tuple[str, ...]) -> dict[str, int]:
    """Order `PAYEES` withdrawals, cleared by the online risk: the sats by the address."""
    node = stage.node
    amounts = {str(node.rpc("getnewaddress", wallet=PAYER)): AMOUNT_SATS + number for number in range(PAYEES)}
    rows = (
        f"cut-{number:03},{accounts[number % len(accounts)]},{address},{amount_sats}"
        for number, (address, amount_sats) in enumerate(amounts.items())
    )
    path = stage.directory / "cut.csv"
    path.write_text("\n".join(["id,account,address,amount_sats", *rows]) + "\n", encoding="utf-8")
    stage.operator("withdrawal", "import", str(path))
    stage.operator("risk", "run", "--once")
    return amounts


def send_to_first(stage: Stage, name: str, number: str) -> int:
    """Send a payment to an appliance that signs it; the bytes that went there."""
    sent = stage.recorded(name, HOST_END)
    before = _size(sent)
    stage.operator("payment", "send", number, "--to", name)
    return _size(sent) - before


def cut_while_it_judges(stage: Stage, name: str, number: str, whole: int) -> None:
    """Send a payment and pull the plug when all of it, about ``whole`` bytes, has arrived.

    Raises StoryError when the appliance was faster.
    """
    sent, answered = (stage.recorded(name, end) for end in (HOST_END, APPLIANCE_END))
    enough = _size(sent) + whole * _MOST
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(
            stage.operator.run, "payment", "send", number, "--to", name, expect=(_SILENT,), timeout=_SENDING_SECONDS
        )
        _wait_until_still(sent, enough, sending)
        replied = _size(answered)
        stage.sites[name].device.pull_plug()
        # It answers in one piece: a line that is as still as that has none of it.
        if _size(answered) != replied:
            raise StoryError(f"{name} had begun to answer")
        sending.result()


def _wait_until_still(path: Path, enough: float, sending: Future[Outcome]) -> None:
    size, changed = _size(path), time.monotonic()
    while size < enough or time.monotonic() - changed < _STILL_SECONDS:
        if sending.done():
            sending.result()
            raise StoryError("it was over before the power was cut")
        time.sleep(_LOOK_SECONDS)
        if (now := _size(path)) != size:
            size, changed = now, time.monotonic()


def _size(path: Path) -> int:
    return path.stat().st_size


def check_paid_once(stage: Stage, number: str, amounts: dict[str, int]) -> dict[str, Any]:
    """Broadcast, confirm, and count what every payee has on the chain. Raises StoryError."""
    operator, node = stage.operator, stage.node
    operator("payment", "broadcast", number)
    node.mine(CONFIRMATIONS)
    stage.sync()
    received = {one: amount_to_sats(node.rpc("getreceivedbyaddress", one, 1, wallet=PAYER)) for one in amounts}
    if received != amounts:
        wrong = sum(received[one] != amount for one, amount in amounts.items())
        raise StoryError(f"{wrong} of {len(amounts)} payees did not get their money exactly once")
    shown: dict[str, Any] = operator("payment", "show", number)
    if shown["state"] != "settled":
        raise StoryError(f"the payment is {shown['state']}")
    if not operator("treasury", "reconcile")["agree"]:
        raise StoryError("the books and the chain do not agree")
    return shown
