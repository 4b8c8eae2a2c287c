"""Whoever took over the host: holds its home folder with the vault's key in it, and tries to make an appliance sign."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select

from undercroft_host.clock import system_clock
from undercroft_host.config import load_config
from undercroft_host.custody.quorum import active_quorum
from undercroft_host.desk.links import open_link
from undercroft_host.desk.talk import ApplianceSession
from undercroft_host.errors import ApplianceRefused
from undercroft_host.keys import load_key
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Appliance, Batch, BatchPayment, BatchSend
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.messages import BatchReply, BatchRequest, Change, Output, Quorum, open_reply

ACTOR: Final = "intruder"
_ANSWER_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Intruder:
    """Works on the home folder of a host that is theirs now. ``pause_seconds``: before each of its links."""

    home: Path
    pause_seconds: float = 0.0

    def replay(self, payment: int, appliance: str) -> str:
        """Send the newest recorded batch bytes with this payment to an appliance again; what it answers."""
        store, _ = self._opened()
        with store.read() as session:
            query = (
                select(BatchSend.request)
                .join(BatchPayment, BatchPayment.batch == BatchSend.batch)
                .where(BatchPayment.payment == payment, BatchSend.appliance == appliance)
                .order_by(BatchSend.sent.desc())
            )
            recorded = session.scalars(query).first()
            link = session.get_one(Appliance, appliance).link
        if recorded is None:
            raise LookupError(f"nothing was sent to {appliance} for payment {payment}")
        line, digest = open_link(link), sha256(recorded)
        try:
            line.send(recorded, timeout=_ANSWER_SECONDS)
            # Where codes are the link, the answer to something earlier may still stand on the appliance's screen.
            while (reply := open_reply(line.receive(timeout=_ANSWER_SECONDS), None)).header.in_reply_to != digest:
                pass
            return _said(reply.body)
        finally:
            line.close()

    def send_changed(self, payment: int, appliance: str, change: Callable[[BatchRequest], BatchRequest]) -> str:
        """Change the newest batch with this payment, sign it with the vault's own key, and send it; the answer."""
        store, quorum = self._opened()
        config = load_config(self.home)
        with store.read() as session:
            query = (
                select(Batch.body)
                .join(BatchPayment, BatchPayment.batch == Batch.id)
                .where(BatchPayment.payment == payment)
                .order_by(Batch.created.desc())
            )
            body = session.scalars(query).first()
        if body is None:
            raise LookupError(f"payment {payment} was never in a batch")
        changed = dataclasses.replace(change(BatchRequest.from_bytes(body)), batch_id=os.urandom(16))
        signer = load_key(config.vault_key)
        with ApplianceSession(store, ACTOR, appliance, signer, system_clock, quorum_id=quorum.id) as talk:
            try:
                return _said(talk.exchange(changed, timeout=_ANSWER_SECONDS).body)
            except ApplianceRefused as refusal:
                return f"refused: {refusal.detail}"

    def _opened(self) -> tuple[Store, Quorum]:
        time.sleep(self.pause_seconds)
        store = Store.open(load_config(self.home).database_url)
        with store.read() as session:
            return store, active_quorum(session)


def with_change_at(index: int) -> Callable[[BatchRequest], BatchRequest]:
    """Send the change to our own key, but so far out that its owners do not find it (the ransom attack)."""
    return _with_change(lambda change: Change(index, change.amount_sats))


def with_less_change(amount_sats: int) -> Callable[[BatchRequest], BatchRequest]:
    """Take so many sats from the change and leave them to the miner as fee."""
    return _with_change(lambda change: Change(change.index, change.amount_sats - amount_sats))


def _with_change(altered: Callable[[Change], Change]) -> Callable[[BatchRequest], BatchRequest]:
    """Every change output of every transaction altered, all else as it was."""

    def output_of(output: Output) -> Output:
        return output if output.change is None else Output(None, altered(output.change))

    def batch_of(batch: BatchRequest) -> BatchRequest:
        transactions = tuple(
            dataclasses.replace(each, outputs=tuple(output_of(output) for output in each.outputs))
            for each in batch.transactions
        )
        return dataclasses.replace(batch, transactions=transactions)

    return batch_of


def _said(body: object) -> str:
    if isinstance(body, BatchReply):
        return ", ".join(f"{one.verdict} {one.code or ''}".strip() for one in body.verdicts)
    code = getattr(body, "code", None)
    return f"refused: {code}" if code else type(body).__name__
