"""A power cut in the middle of a batch: the appliance has confirmed all of it, and no byte of an answer has left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from undercroft_host.gateway.rpc import amount_to_sats

from ..node import PAYER
from ..operator import Outcome
from ..stage import Stage
from ..story import CONFIRMATIONS, StoryError
from .exchange import Exchange, Watch

PAYEES: Final = 100
"""As many as the policy lets one transaction have: the longer the signing takes, the surer is its middle."""
AMOUNT_SATS: Final = 600_000
_LOOK_SECONDS: Final = 0.02
_SENDING_SECONDS: Final = 300.0
_LEAST_BYTES: Final = 10_000
"""Of the batch; what the host asks around it is far shorter."""
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


@dataclass(slots=True)
class Stopwatch:
    """When each message of a command was first seen at work, and when its reply; looked at now and then."""

    begun: dict[tuple[int, int], float] = field(default_factory=dict)
    ended: dict[tuple[int, int], float] = field(default_factory=dict)

    def look(self, seen: Exchange, now: float) -> None:
        """Note what has changed by now (seconds)."""
        if seen.asked is not None and seen.is_at_work:
            self.begun.setdefault(seen.asked, now)
        # The host may have asked the next thing by now.
        for asked in filter(seen.has_answered, self.begun):
            self.ended.setdefault(asked, now)

    def batch(self) -> Batch:
        """The longest message that was seen at work. Raises StoryError when that is none, or no batch."""
        longest = max(self.ended, key=lambda asked: asked[1], default=(0, 0))
        # Mishap: the batch was missed between two looks, and a question of the host's is taken for it.
        if longest[1] < _LEAST_BYTES:
            raise StoryError("it was not seen at work on a batch")
        return Batch(longest[1], self.ended[longest] - self.begun[longest])


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
        stopwatch = Stopwatch()
        while True:
            is_over = sending.done()
            stopwatch.look(watch.seen(), time.monotonic())
            if is_over:
                break
            time.sleep(_LOOK_SECONDS)
        sending.result()
    return stopwatch.batch()


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
