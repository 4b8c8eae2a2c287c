"""A power cut in the middle of a batch: the appliance has confirmed all of it, and no byte of an answer has left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from undercroft_host.gateway.rpc import amount_to_sats

from ..node import PAYER
from ..operator import Outcome
from ..stage import Stage
from ..story import CONFIRMATIONS, StoryError
from .exchange import Watch

PAYEES: Final = 90
AMOUNT_SATS: Final = 700_000
_LOOK_SECONDS: Final = 0.02
_SENDING_SECONDS: Final = 300.0
_MOST: Final = 0.95
"""Of what another appliance got: the same batch, in a message of its own."""
_PART: Final = 1 / 4
"""Of the time that the other appliance needed, the power is cut after so much."""
_SILENT: Final = 7
"""The command's exit code when an appliance does not answer."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A payment as an appliance got it: bytes of the request, and seconds from its confirmation to the reply."""

    request_bytes: int
    signing_seconds: float


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


def send_to_first(stage: Stage, name: str, number: str) -> Batch:
    """Send a payment to an appliance that signs it. Raises StoryError when it is not seen at work."""
    with _sending(stage, name, number) as (sending, watch):
        begun: dict[tuple[int, int], float] = {}
        ended: dict[tuple[int, int], float] = {}
        while True:
            is_over = sending.done()
            seen = watch.seen()
            if seen.asked is not None and (seen.is_at_work or seen.is_answered):
                (begun if seen.is_at_work else ended).setdefault(seen.asked, time.monotonic())
            if is_over:
                break
            time.sleep(_LOOK_SECONDS)
        sending.result()
    # The host asks other things around it, in a few bytes.
    batch = max(ended, key=lambda asked: asked[1], default=(0, 0))
    if batch not in begun:
        raise StoryError(f"{name} was not seen at work")
    return Batch(batch[1], ended[batch] - begun[batch])


def cut_while_it_signs(stage: Stage, name: str, number: str, batch: Batch) -> float:
    """Send the payment to another appliance, and pull its plug while it signs; after how many seconds.

    Raises StoryError when its answer had begun.
    """
    with _sending(stage, name, number, expect=(_SILENT,)) as (sending, watch):
        while True:
            seen = watch.seen()
            if seen.is_at_work and seen.asked is not None and seen.asked[1] >= _MOST * batch.request_bytes:
                break
            if sending.done():
                sending.result()
                raise StoryError("it was over before the power was cut")
            time.sleep(_LOOK_SECONDS)
        begun = time.monotonic()
        time.sleep(batch.signing_seconds * _PART)
        stage.sites[name].device.pull_plug()
        seconds = time.monotonic() - begun
        sending.result()
    # What had left it before the cut is in the recording by now, and it is no reply.
    if not watch.seen().is_at_work:
        raise StoryError(f"{name} had begun to answer")
    return seconds


@contextlib.contextmanager
def _sending(
    stage: Stage, name: str, number: str, expect: Collection[int] = (0,)
) -> Iterator[tuple[Future[Outcome], Watch]]:
    watch = Watch.begun(stage, name)
    with ThreadPoolExecutor(1) as pool:
        words = ("payment", "send", number, "--to", name)
        yield pool.submit(stage.operator.run, *words, expect=expect, timeout=_SENDING_SECONDS), watch


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
