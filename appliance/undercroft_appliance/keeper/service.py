"""The keeper's service: one message at a time in, one signed reply out, and the owner at the panel beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final, NoReturn

from nacl.signing import SigningKey

from undercroft_appliance.internal import Command
from undercroft_protocol import cose
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import (
    EMPTY,
    SIGNED,
    ActivateRequest,
    ArmRequest,
    BatchReply,
    BatchRequest,
    DeclareRequest,
    Done,
    FreezeOrder,
    FreezeRequest,
    GrantRequest,
    LockRequest,
    LogRequest,
    Message,
    PolicyOffer,
    QuorumOffer,
    RefusalReply,
    ReplyHeader,
    RequestHeader,
    StatusRequest,
    Value,
    Verdict,
    grouped_code,
    open_statement,
    request_kind,
    seal_reply,
)

from . import activation, batches, ceremony, reports
from .clock import Clock
from .keys import Keys
from .log import Log
from .owner import OwnerScreen
from .parse import parse
from .parts import Outcome, Parts, Setup
from .refusals import (
    BUSY,
    COUNTED,
    FREEZE_UNTRUSTED,
    FROZEN,
    MALFORMED_MESSAGE,
    NO_QUORUM,
    OTHER_QUORUM,
    Refusal,
)
from .replies import Given, Replies
from .session import MOST_REFUSALS, Session
from .wires import FromPanel, FromPort, Wires

_COARSE_MESSAGE: Final = "the reason stands on the owner's screen"
_AT_ONCE: Final = (StatusRequest, LockRequest, FreezeRequest)
_TICK_SECONDS: Final = 1.0
_SEED_BYTES: Final = 32


class Keeper:
    """Holds the parts together. ``monotonic`` and ``random`` (public randomness) are passed in."""

    def __init__(
        self,
        setup: Setup,
        keys: Keys,
        wires: Wires,
        monotonic: Callable[[], float],
        random: Callable[[int], bytes],
    ) -> None:
        self._wires = wires
        self._keys = keys
        clock = Clock(monotonic)
        self.session = Session(clock, random)
        self._log = Log(clock)
        self._screen = OwnerScreen(wires, clock, self, setup.ask_seconds)
        self._parts = Parts(setup, self.session, keys, self._screen, self._log, wires.tty_fd)
        self._replies = Replies()
        # Signs replies while no identity is open. It protects nothing: whoever speaks to an empty appliance compares
        # what matters with the owner's eyes.
        self._boot_key = SigningKey(random(_SEED_BYTES))
        firmware = grouped_code(setup.firmware_hash)
        self._log.append("started", (f"network {setup.network.value}", f"firmware {firmware}", keys.memory_kind))

    def run(self) -> NoReturn:
        """Serve until a signal or a fault ends the process; raises ChannelError when port or panel is gone."""
        firmware = grouped_code(self._parts.setup.firmware_hash)
        self._screen.notice(
            "Ready",
            [
                f"Network {self._parts.setup.network.value}, state {self.session.state}",
                f"Firmware {firmware}",
                *ceremony.memory_warning(self._parts),
            ],
        )
        while True:
            event = self._wires.next(_TICK_SECONDS)
            # Attack: a process that was stopped goes on with the message that waited for it, its life long over.
            self.tick()
            if isinstance(event, FromPort):
                self._wires.send_port(self.handle(event.data))
            elif isinstance(event, FromPanel) and isinstance(event.message, Command):
                self._idle_command(event.message.name)

    def handle(self, data: bytes) -> bytes:
        """The sealed reply to one message from the line. Raises only what ends the process."""
        digest = sha256(data)
        given = self._given(digest, data)
        if given is not None:
            return given
        try:
            message = parse(data, self.session.expected())
        except Refusal as refusal:
            return self._refused(digest, refusal)
        if isinstance(message.body, StatusRequest):
            return self._seal(digest, reports.status(self._parts))
        before = self.session.last_sequence
        if not isinstance(message.body, FreezeRequest):
            self.session.last_sequence = message.header.sequence
        self.session.used()
        try:
            outcome = self._dispatch(message)
        except Refusal as refusal:
            outcome = self._no(refusal)
            # What came in beside an open question leaves the question as it is.
            if not isinstance(message.body, _AT_ONCE):
                self.session.unseal()
                # Attack: before a quorum is there anyone may speak, and a stranger uses up the highest number.
                if self.session.quorum is None:
                    self.session.last_sequence = min(before, self.session.last_sequence)
        data = self._finish(digest, outcome)
        if not isinstance(message.body, _AT_ONCE):
            self.session.used()
            # An empty appliance has no open key: what a declaration or a failed activation opened is wiped.
            if self.session.state == EMPTY:
                self._keys.wipe()
        return data

    def _given(self, digest: bytes, data: bytes) -> bytes | None:
        given = self._replies.find(digest)
        # Attack: a freeze is answered from memory, with what was true while nothing was open, and nothing stops.
        if given is not None and self.session.quorum is not None and request_kind(cose.read(data)) is FreezeRequest:
            return None
        return given

    # What OwnerScreen needs while a question is open.

    def epoch(self) -> bytes:
        """The activation id: it changes with every lock."""
        return self.session.activation_id

    def port_message(self, data: bytes) -> None:
        """Answer while a question is open: status, lock and freeze act at once, all else has to wait."""
        try:
            at_once = request_kind(cose.read(data)) in _AT_ONCE
        except ProtocolError:
            at_once = False
        digest = sha256(data)
        # Attack: a new message while an approval is on the screen, so that the owner approves another (signers.md 66).
        busy = RefusalReply(BUSY.coarse, BUSY.meaning)
        reply = self.handle(data) if at_once else self._replies.find(digest) or self._seal(digest, busy)
        self._wires.send_port(reply)

    def command(self, name: str) -> None:
        """What the owner may type beside an open question."""
        match name:
            case "lock":
                self._lock("by the owner")
            case "freeze":
                self._freeze_here()
            case "status":
                self._screen.notice("Status", reports.status_lines(self._parts))
            case _:
                self._screen.notice("A question is open", ["Answer it first, or type: lock"])

    def tick(self) -> None:
        """Lock when a life is over."""
        reason = self.session.overdue()
        if reason is not None:
            self._lock(reason)

    def _idle_command(self, name: str) -> None:
        """What the owner typed while no question is open."""
        self.session.used()
        match name:
            case "held":
                try:
                    batches.review(self._parts, self._decided)
                except Refusal as refusal:
                    self._screen.notice(batches.TITLE_HELD, refusal.lines)
                self.session.used()
            case "lock" | "freeze" | "status":
                self.command(name)
            case _:
                self._screen.notice("Commands", reports.HELP)

    def _dispatch(self, message: Message[RequestHeader]) -> Outcome:  # noqa: PLR0911 - one line for each request
        parts = self._parts
        frozen = message.header.quorum_id in self.session.frozen and self.session.state == EMPTY
        match message.body:
            case FreezeRequest() as request:
                return self._freeze(request)
            case LockRequest():
                return Outcome(Done(EMPTY), "Locked", lock="by the host")
            case ActivateRequest() as request:
                return activation.activate(parts, request, message)
            case _ if frozen:
                # Attack: the host goes on as if nobody had stopped it (custody.md S20).
                raise Refusal(FROZEN, self.session.frozen[message.header.quorum_id or b""])
            case DeclareRequest() as request:
                return ceremony.declare(parts, request)
            case QuorumOffer() as request:
                return ceremony.accept_quorum(parts, request, message)
            case PolicyOffer() as request:
                return ceremony.approve_policy(parts, request)
            case GrantRequest() as request:
                return activation.grant(parts, request)
            case ArmRequest() as request:
                return activation.arm(parts, request)
            case BatchRequest() as request:
                return self._process(request)
            case LogRequest() as request:
                return reports.log(parts, request)
            case other:
                raise Refusal(MALFORMED_MESSAGE, type(other).__name__)

    def _process(self, request: BatchRequest) -> Outcome:
        outcome = batches.process(self._parts, request)
        if isinstance(outcome.body, BatchReply):
            for verdict in outcome.body.verdicts:
                # What an earlier batch left held may be signed by now without being asked about.
                if verdict.verdict == SIGNED:
                    self._decided(verdict)
        return outcome

    def _finish(self, digest: bytes, outcome: Outcome) -> bytes:
        try:
            data = self._seal(digest, outcome.body)
        finally:
            # The reply to a lock is still signed by the identity, so that the host can believe it; then it is gone.
            if outcome.lock is not None:
                self._lock(outcome.lock)
            else:
                self._count(refused=outcome.refused)
        self._replies.keep(digest, Given(data, outcome.body, outcome.waits_for))
        self._screen.notice(outcome.title, outcome.lines)
        return data

    def _no(self, refusal: Refusal) -> Outcome:
        self._log.append("refused", (str(refusal),))
        coarse = refusal.code.coarse
        return Outcome(RefusalReply(coarse, _COARSE_MESSAGE), "Refused", refusal.lines, refused=coarse in COUNTED)

    def _refused(self, digest: bytes, refusal: Refusal) -> bytes:
        """Refused before it was known to be for us: answered, but not kept, or anyone could fill the memory."""
        outcome = self._no(refusal) if self.session.armed is not None else self._unlogged(refusal)
        data = self._seal(digest, outcome.body)
        self._screen.notice(outcome.title, outcome.lines)
        self._count(refused=outcome.refused)
        return data

    @staticmethod
    def _unlogged(refusal: Refusal) -> Outcome:
        return Outcome(RefusalReply(refusal.code.coarse, _COARSE_MESSAGE), "Refused", refusal.lines)

    def _count(self, *, refused: bool) -> None:
        armed = self.session.armed
        if armed is None or not refused:
            return
        armed.refusals += 1
        # Attack: a host that was taken over feels its way along the limits (custody.md S17).
        if armed.refusals >= MOST_REFUSALS:
            self._lock(f"{armed.refusals} refusals")

    def _seal(self, digest: bytes, body: Value) -> bytes:
        """A reply; its header's sequence is the highest that was accepted from the host in this activation."""
        session = self.session
        header = ReplyHeader(
            None if session.quorum is None else session.quorum.id,
            session.activation_id,
            session.last_sequence,
            digest,
            None if session.policy is None else session.policy.hash,
            self._log.head,
        )
        if self._keys.is_open:
            return seal_reply(header, body, self._keys.identity_public_key, self._keys.sign_identity)
        boot_public = bytes(self._boot_key.verify_key)
        return seal_reply(header, body, boot_public, lambda data: self._boot_key.sign(data).signature)

    def _decided(self, verdict: Verdict) -> None:
        """The owner decided a held transaction: every reply that waits for it is made anew."""
        for digest, given in self._replies.waiting_for(verdict.txid):
            if not isinstance(given.body, BatchReply):
                continue
            verdicts = tuple(verdict if old.txid == verdict.txid else old for old in given.body.verdicts)
            body = dataclasses.replace(given.body, verdicts=verdicts)
            self._replies.keep(digest, Given(self._seal(digest, body), body, given.waits_for - {verdict.txid}))

    def _lock(self, reason: str) -> None:
        self._keys.wipe()
        self._log.append("locked", (reason,))
        self.session.lock()
        self._replies.clear()
        self._screen.notice("Locked", [reason])

    def _freeze(self, request: FreezeRequest) -> Outcome:
        quorum = self.session.quorum
        if quorum is None:
            raise Refusal(NO_QUORUM)
        try:
            order, signer = open_statement(FreezeOrder, request.order, (*quorum.identities, quorum.vault_key))
        except ProtocolError as error:
            raise Refusal(FREEZE_UNTRUSTED, str(error)) from error
        # Attack: an order for one quorum stops another.
        if order.quorum_id != quorum.id:
            raise Refusal(OTHER_QUORUM, f"quorum {grouped_code(order.quorum_id)}")
        by = "the vault" if signer == quorum.vault_key else quorum.owner_of(signer).name
        self.session.frozen[quorum.id] = f"by {by}: {order.reason}"
        return Outcome(Done(EMPTY), "Frozen", lock=f"frozen by {by}: {order.reason}")

    def _freeze_here(self) -> None:
        quorum = self.session.quorum
        if quorum is not None:
            self.session.frozen[quorum.id] = "by the owner of this appliance"
        self._lock("frozen by the owner")
