"""The appliance that is asked at boot: a keeper's own parts and stages, with nobody at the other ends of its wires."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from undercroft_appliance.channel import Channel
from undercroft_appliance.internal import Answer, Outbound
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import ArmRequest, BatchRequest, LogRequest, Policy, RefusalReply, open_reply

from . import activation, refusals
from . import selftest_examples as examples
from .addresses import AddressBook
from .history import History
from .judge import HOLD, SIGN, Standing, judge
from .keys import Keys
from .ledger import Entry, Ledger
from .log import Log
from .owner import OwnerScreen
from .parse import Expected, parse
from .parts import Parts, Setup
from .prove import prove
from .proven import ProvenBatch
from .psbt_door import prove_psbt
from .refusals import Refusal
from .service import Keeper
from .wires import FromPort, Wires

_NOW: Final = 10_000.0
_ASK_SECONDS: Final = 8.0
_OTHER_QUESTION: Final = 1000


@dataclass(frozen=True, slots=True)
class Appliance:
    """A keeper that nobody is connected to: the other ends of its wires are here."""

    keeper: Keeper
    parts: Parts
    port: Channel
    panel: Channel
    book: AddressBook

    def expected(self) -> Expected:
        """What a request must agree with, were the test quorum armed."""
        return Expected(
            (examples.public(examples.VAULT),),
            examples.QUORUM.id,
            examples.ACTIVATION,
            last_sequence=6,
            utc=examples.UTC,
        )

    def parse(self, data: bytes) -> None:
        """Stage 1."""
        parse(data, self.expected())

    def prove(self, batch: BatchRequest) -> ProvenBatch:
        """Stage 2."""
        policy = examples.POLICY
        return prove(batch, examples.QUORUM, self.book, change_gap=policy.change_gap, change_signed=-1)

    def door(self, data: bytes) -> None:
        """Stage 2 for a PSBT."""
        prove_psbt(data, self.book, change_gap=examples.POLICY.change_gap, change_signed=-1, height=examples.HEIGHT)

    def judge(
        self,
        batch: BatchRequest,
        policy: Policy | None = examples.POLICY,
        *,
        spent_sats: int = 0,
        signed: BatchRequest | None = None,
    ) -> str:
        """Stage 3, after so much left this hour and ``signed`` was signed; returns sign or hold, or raises Refusal."""
        history = History()
        if signed is not None:
            history.record(self.prove(signed).transactions[0])
        entries = (Entry(_NOW - 60, spent_sats, bytes(32)),) if spent_sats else ()
        ledger = Ledger(_NOW - 1_000_000, entries)
        judged = judge(self.prove(batch), policy, Standing(_NOW, examples.UTC, ledger, history, examples.HEIGHT))
        for judgement in judged.judgements:
            if judgement.action not in {SIGN, HOLD}:
                raise Refusal(judgement.code)
        return max(judgement.action for judgement in judged.judgements)

    def arm(self, grant: bytes) -> None:
        """Alice's unlocked appliance is asked to arm itself by a grant."""
        activation.arm(self.parts, ArmRequest(grant))

    def decline(self, grant: bytes) -> None:
        """The grant comes as far as the owner's question, and the owner says no."""
        self.panel.send(Answer(self.parts.screen.question + 1, activation.DECLINE))
        self.arm(grant)

    def answer_other(self) -> None:
        """Answers to another question come, more than an open question has time for."""
        for _ in range(int(_ASK_SECONDS) + 1):
            self.panel.send(Answer(_OTHER_QUESTION, "yes"))

    def ask(self) -> None:
        """A question that nobody answers."""
        self.answer_other()
        self.parts.screen.ask("Self-test", (), "Yes?", ("yes", "no"))

    def interrupt(self) -> None:
        """A message comes while a question is open."""
        request = examples.request(LogRequest(0), activation_id=self.keeper.session.activation_id)
        self.keeper.port_message(FromPort(request))
        reply = self.port.receive(_ASK_SECONDS)
        body = open_reply(reply.data, None).body if isinstance(reply, Outbound) else None
        if isinstance(body, RefusalReply) and body.code == refusals.BUSY.coarse:
            raise Refusal(refusals.BUSY)

    def unlock(self) -> None:
        """As after alice's passphrase, but for her keys."""
        session = self.parts.session
        session.activation_id = examples.ACTIVATION
        session.seal(examples.QUORUM)
        session.unlock(examples.QUORUM, examples.owner("alice"), examples.owner("alice").site, examples.POLICY)


@contextmanager
def unconnected(keys: Keys) -> Iterator[Appliance]:
    """A fresh one; ``keys`` are locked and stay so. Its clock goes on by a second whenever it is looked at."""
    port, port_end = socket.socketpair()
    panel, panel_end = socket.socketpair()
    with port, port_end, panel, panel_end:
        setup = Setup(Network.REGTEST, examples.FIRMWARE, _ASK_SECONDS, addresses=0)
        wires = Wires(Channel(port), Channel(panel), -1)
        seconds = itertools.count(int(_NOW))
        keeper = Keeper(setup, keys, wires, lambda: float(next(seconds)), bytes)
        clock = keeper.session.clock
        parts = Parts(
            setup, keeper.session, keys, OwnerScreen(wires, clock, keeper, _ASK_SECONDS), Log(clock, keys), -1
        )
        own = ExtendedPublicKey.from_bytes(examples.owner("alice").xpub, Network.REGTEST)
        book = AddressBook(examples.QUORUM.descriptor(), own)
        yield Appliance(keeper, parts, Channel(port_end), Channel(panel_end), book)
