"""A keeper in this process, with an owner at its panel and a host at its port."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, Self, TypeAlias

from nacl.signing import SigningKey

from appliance.builders import (
    ALICE,
    BOB,
    FIRMWARE,
    POLICY,
    QUORUM,
    UTC,
    VAULT,
    FakeClock,
    Person,
    PlainKeys,
    approvals,
    good_grant,
    public,
    stated,
)
from undercroft_appliance.channel import Channel
from undercroft_appliance.errors import ChannelError
from undercroft_appliance.internal import (
    Answer,
    Command,
    Inbound,
    Notice,
    PassphraseTurn,
    Question,
    Yielded,
)
from undercroft_appliance.keeper import activation, birth, ceremony, handover
from undercroft_appliance.keeper.handover import Handover
from undercroft_appliance.keeper.keys import Keys
from undercroft_appliance.keeper.parts import Setup
from undercroft_appliance.keeper.service import Keeper
from undercroft_appliance.keeper.wires import Wires
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.messages import (
    EMPTY,
    ActivateRequest,
    ArmRequest,
    BatchReply,
    BatchRequest,
    Done,
    LockRequest,
    Message,
    Policy,
    RefusalReply,
    ReplyHeader,
    RequestHeader,
    Spent,
    Value,
    Verdict,
    open_reply,
    seal_request,
)

Reaction: TypeAlias = str | Callable[[Question], str | None]
PATIENCE_SECONDS: Final = 20.0

WILLING: Final[dict[str, Reaction]] = {
    ceremony.PROMPT_NAME: ALICE.entry.name,
    ceremony.PROMPT_SITE: ALICE.entry.site,
    ceremony.PROMPT_REGION: ALICE.entry.region,
    ceremony.PROMPT_DECLARE: "make",
    birth.PROMPT_USE: "use",
    birth.PROMPT_NEXT: "next",
    ceremony.PROMPT_QUORUM: "accept",
    ceremony.PROMPT_POLICY: "approve",
    activation.PROMPT_SITE: ALICE.entry.site,
    activation.PROMPT_TIME: "right",
    activation.PROMPT_GRANT: "grant",
    activation.PROMPT_EMPTY: "EMPTY",
    activation.PROMPT_COMPLETE: "I do not know",
    activation.PROMPT_ARM: "arm",
}


class OwnerThread:
    """Answers questions by their prompts; what it was shown is kept."""

    def __init__(self, panel: Channel) -> None:
        self.answers: dict[str, Reaction] = dict(WILLING)
        self.questions: list[Question] = []
        self.notices: list[Notice] = []
        self.others: list[Value] = []
        self._panel = panel
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def send(self, message: Value) -> None:
        self._panel.send(message)

    def _live(self) -> None:
        # Until the keeper is gone, which may be while an answer is on its way.
        with contextlib.suppress(ChannelError, OSError):
            while True:
                self._react(self._panel.receive(None))

    def _react(self, message: Value | None) -> None:
        if isinstance(message, Question):
            self.questions.append(message)
            reaction = self.answers[message.prompt]
            answer = reaction if isinstance(reaction, str) else reaction(message)
            if answer is not None:
                self._panel.send(Answer(message.number, answer))
        elif isinstance(message, PassphraseTurn):
            self._panel.send(Yielded(message.number))
        elif isinstance(message, Notice):
            self.notices.append(message)
        elif message is not None:
            self.others.append(message)

    def leave(self) -> None:
        """Wait until the thread has noticed that the keeper is gone."""
        self._thread.join(PATIENCE_SECONDS)

    def text(self) -> str:
        return "\n".join(line for notice in list(self.notices) for line in (notice.title, *notice.lines))


class Bench:
    """Alice's keeper, driven by ``handle`` as the service does."""

    def __init__(
        self,
        keys: Keys | None = None,
        *,
        ask_seconds: float = 600,
        tty_fd: int | None = None,
        person: Person = ALICE,
        codes: bool = False,
    ) -> None:
        self.clock = FakeClock()
        self.keys = PlainKeys(person) if keys is None else keys
        self.person = person
        port, self._port_end = socket.socketpair()
        panel, panel_end = socket.socketpair()
        self._sockets = (port, self._port_end, panel, panel_end)
        self.host = Channel(self._port_end)
        self.owner = OwnerThread(Channel(panel_end))
        self._own_tty = os.pipe() if tty_fd is None else ()
        self._tty_fd = self._own_tty[0] if self._own_tty else tty_fd or 0
        self._numbers = itertools.count(1)
        self._setup = Setup(Network.REGTEST, FIRMWARE, ask_seconds, addresses=2, codes=codes)
        self._sequence = itertools.count(1)
        self._begin(None)

    def _begin(self, earlier: Handover | None) -> None:
        port_rest, panel_rest = (b"", b"") if earlier is None else (earlier.port_rest, earlier.panel_rest)
        port, _, panel, _ = self._sockets
        self.wires = Wires(Channel(port, port_rest), Channel(panel, panel_rest), self._tty_fd)
        self.keeper = Keeper(self._setup, self.keys, self.wires, self.clock, self._random, earlier=earlier)

    def _random(self, size: int) -> bytes:
        return next(self._numbers).to_bytes(size, "big")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.shutdown(socket.SHUT_RDWR)
        self.owner.leave()
        for each in self._sockets:
            each.close()
        for descriptor in self._own_tty:
            os.close(descriptor)

    def renewed(self) -> Self:
        """As after every lock: the keeper leaves its handover, and a fresh one goes on with it."""
        assert not self.keys.is_open
        if isinstance(self.keys, PlainKeys):
            self.keys.touched = False
        descriptor = os.memfd_create("handover")
        handover.leave(descriptor, self.keeper.handover())
        self._begin(handover.found(descriptor))
        os.close(descriptor)
        return self

    def lock(self, **header: Any) -> Self:
        """The host locks it, and the next keeper goes on."""
        assert self.ask(LockRequest(), **header).body == Done(EMPTY)
        return self.renewed()

    # The host.

    def sealed(self, body: Value, key: SigningKey = VAULT, **header: Any) -> bytes:
        """A good request; ``header`` mutates single fields of its header."""
        good = RequestHeader(QUORUM.id, self.keeper.session.activation_id, next(self._sequence), UTC + 600)
        if self.keeper.session.last_sequence == 0 and "sequence" not in header:
            self._sequence = itertools.count(2)
            good = dataclasses.replace(good, sequence=1)
        mutated = dataclasses.replace(good, **header)
        return seal_request(mutated, body, public(key), lambda data: bytes(key.sign(data).signature))

    def ask(self, body: Value, key: SigningKey = VAULT, **header: Any) -> Message[ReplyHeader]:
        return open_reply(self.keeper.handle(self.sealed(body, key, **header)), None)

    def refusal(self, body: Value, key: SigningKey = VAULT, **header: Any) -> str:
        """The exact code (and detail) the owner is shown, after checking that the host gets the coarse class only."""
        return self.refusal_of(self.sealed(body, key, **header))

    def refusal_of(self, data: bytes) -> str:
        before = len(self.owner.notices)
        reply = open_reply(self.keeper.handle(data), None).body
        assert isinstance(reply, RefusalReply), reply
        exact = self.last_notice("Refused", before).lines[0]
        assert exact not in reply.message
        return exact

    def told(self) -> str:
        """All that the owner was shown so far; the panel's thread has come to the end of it."""
        self.wires.send_panel(Notice("end", ()))
        deadline = threading.Event()
        for _ in range(int(PATIENCE_SECONDS * 100)):
            end = self.owner.notices[-1] if self.owner.notices else None
            if end is not None and end.title == "end":
                self.owner.notices.remove(end)
                return self.owner.text()
            deadline.wait(0.01)
        raise AssertionError(f"the panel does not come to an end: {self.owner.text()}")

    def last_notice(self, title: str, since: int = 0) -> Notice:
        """The newest notice with this title; the panel's thread may still be on its way to it."""
        deadline = threading.Event()
        for _ in range(int(PATIENCE_SECONDS * 100)):
            found = [notice for notice in self.owner.notices[since:] if notice.title == title]
            if found:
                return found[-1]
            deadline.wait(0.01)
        raise AssertionError(f"no notice {title!r} in: {self.owner.text()}")

    def verdicts(self, batch: BatchRequest, **header: Any) -> tuple[Verdict, ...]:
        reply = self.ask(batch, **header).body
        assert isinstance(reply, BatchReply), reply
        return reply.verdicts

    def send(self, data: bytes) -> None:
        """Put a message on the line, to be read while a question is open."""
        self.host.send(Inbound(data))

    def command(self, name: str) -> None:
        """The owner types a command while nothing is asked, and the keeper acts on it."""
        self.keeper._idle_command(Command(name).name)

    # The states.

    def activation_request(self, policy: Policy = POLICY, **changes: Any) -> ActivateRequest:
        good = ActivateRequest(
            QUORUM, self.person.envelope(QUORUM.id), policy, approvals(policy, ALICE, BOB), UTC, None
        )
        return dataclasses.replace(good, **changes)

    def activated(self, policy: Policy = POLICY, **changes: Any) -> Self:
        self.ask(self.activation_request(policy, **changes))
        assert self.keeper.session.state == "unlocked", self.told()
        return self

    def grant(self, ledger: tuple[Spent, ...] | None = (), granter: Person = BOB, **changes: Any) -> ArmRequest:
        good = good_grant(granter, self.person, self.keeper.session.activation_id, ledger)
        return ArmRequest(stated(dataclasses.replace(good, **changes), granter.identity))

    def armed(self, ledger: tuple[Spent, ...] | None = (), policy: Policy = POLICY, **changes: Any) -> Self:
        self.activated(policy, **changes)
        self.ask(self.grant(ledger, policy_hash=policy.hash))
        assert self.keeper.session.state == "armed", self.told()
        return self
