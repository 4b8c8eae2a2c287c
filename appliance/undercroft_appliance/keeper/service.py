"""The keeper's service: one message at a time in, one signed reply out, and the owner at the panel beside it."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Callable
from typing import Final

from nacl.signing import SigningKey

from undercroft_appliance.internal import Command
from undercroft_protocol import cose
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
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
    request_kind,
    seal_reply,
)

from . import activation, batches, ceremony, freeze, psbts, reports
from .clock import Clock
from .handover import Handover
from .keys import Keys
from .log import Log, LogSnapshot
from .owner import OwnerScreen
from .parse import parse
from .parts import Outcome, Parts, Setup
from .refusals import (
    BUSY,
    COARSE_MESSAGE,
    COUNTED,
    FROZEN,
    MALFORMED_MESSAGE,
    Refusal,
)
from .replies import Given, Replies
from .session import MOST_REFUSALS, Session
from .wires import FromPanel, FromPort, Wires

_AT_ONCE: Final = (StatusRequest, LockRequest, FreezeRequest)
_TICK_SECONDS: Final = 1.0
_SEED_BYTES: Final = 32
MOST_UNCOUNTED: Final = 20
"""Refusals that do not count towards the ten, and that nobody was asked about, which one keeper process logs."""


class Keeper:
    """Holds the parts together. ``monotonic`` and ``random`` (public randomness) are passed in.

    It serves one unlock; ``earlier`` is what the keeper before it left. Raises MessageError, CborError when it is none.
    """

    def __init__(
        self,
        setup: Setup,
        keys: Keys,
        wires: Wires,
        monotonic: Callable[[], float],
        random: Callable[[int], bytes],
        *,
        earlier: Handover | None = None,
    ) -> None:
        self._wires = wires
        self._keys = keys
        clock = Clock(monotonic)
        self.session = Session(clock, random)
        self._log = Log(clock, keys)
        self._screen = OwnerScreen(
            wires, clock, self, setup.ask_seconds, question=0 if earlier is None else earlier.question
        )
        self._parts = Parts(setup, self.session, keys, self._screen, self._log, wires.tty_fd)
        self._replies = Replies()
        self._uncounted = 0
        # Signs replies while no identity is open. It protects nothing: whoever speaks to an empty appliance compares
        # what matters with the owner's eyes.
        self._boot_key = SigningKey(random(_SEED_BYTES))
        if earlier is not None:
            self.session.restore(earlier.quorums)
            self._log.restore(LogSnapshot.from_bytes(earlier.log))
            self._replies.restore(earlier.replies)
        firmware = grouped_code(setup.firmware_hash)
        facts = (f"network {setup.network.value}", f"firmware {firmware}", keys.memory_kind, *setup.walls)
        self._log.append("started" if earlier is None else "renewed", facts)

    def run(self) -> Handover:
        """Serve until what was open is wiped; returns what the next keeper goes on with.

        Raises ChannelError when port or panel is gone. A signal or a fault ends the process without a handover.
        """
        firmware = grouped_code(self._parts.setup.firmware_hash)
        self._screen.notice(
            "Ready",
            [
                f"Network {self._parts.setup.network.value}, state {self.session.state}",
                f"Firmware {firmware}",
                *self._parts.setup.walls,
                *ceremony.memory_warning(self._parts),
            ],
        )
        while not self._is_over:
            event = self._wires.next(_TICK_SECONDS)
            # Attack: a process that was stopped goes on with the message that waited for it, its life long over.
            self.tick()
            if isinstance(event, FromPort):
                self._wires.send_port(self.handle(event.data), event.way)
            elif isinstance(event, FromPanel) and isinstance(event.message, Command):
                self._idle_command(event.message.name)
            if event is not None:
                # Between two messages, when nobody waits for it; what is left now stays, and is not looked at again.
                gc.collect()
                gc.freeze()
        return self.handover()

    @property
    def _is_over(self) -> bool:
        """A secret was here and is here no more: what the libraries may have left of it goes with the process."""
        return self._keys.touched and self.session.state == EMPTY

    @property
    def _is_shut(self) -> bool:
        """Nothing was open in this process: to lock it changes nothing but the activation id."""
        return self.session.state == EMPTY and not self._keys.touched

    def handover(self) -> Handover:
        """What the next keeper goes on with; nothing in it is secret. Call it when nothing is open."""
        port_rest, panel_rest = self._wires.rests()
        return Handover(
            self.session.snapshot(),
            self._log.snapshot().to_bytes(),
            self._screen.question,
            port_rest,
            panel_rest,
            self._replies.snapshot(),
        )

    def handle(self, data: bytes) -> bytes:
        """The sealed reply to one message from the line. Raises only what ends the process."""
        digest = sha256(data)
        if data.startswith(PSBT_MAGIC):
            return self._psbt(digest, data)
        given = self._given(digest, data)
        if given is not None:
            return given
        try:
            message = parse(data, self.session.expected())
        except Refusal as refusal:
            return self._refused(digest, refusal, self._unasked)
        if isinstance(message.body, StatusRequest):
            return self._seal(digest, reports.status(self._parts))
        return self._answer(message, digest)

    def _answer(self, message: Message[RequestHeader], digest: bytes) -> bytes:
        is_outsider = self.session.quorum is None or isinstance(message.body, FreezeRequest)
        # Whoever may ask at all may ask for the log as often as they like: reading changes nothing.
        if not isinstance(message.body, LogRequest) and not (isinstance(message.body, LockRequest) and self._is_shut):
            self._log.expect("request", _request_facts(message))
        before, question = self.session.last_sequence, self._screen.question
        if not isinstance(message.body, FreezeRequest):
            self.session.last_sequence = message.header.sequence
            # Attack: whoever has seen an old order sends it again and again, and an unused appliance never locks.
            self.session.used()
        try:
            outcome = self._dispatch(message)
            self._log.confirm()
        except Refusal as refusal:
            if self._screen.question != question:
                outcome = self._no(digest, refusal)
            else:
                # Attack: a stranger pushes the replies that the host may ask for again out of the memory.
                outcome = dataclasses.replace(self._unasked(digest, refusal), kept=not is_outsider)
            self._log.forget_expected()
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

    def _psbt(self, digest: bytes, data: bytes) -> bytes:
        """The reply to a PSBT: it comes from a coordinator who has no key that we know, and is answered by a PSBT."""
        given = self._replies.find(digest)
        if given is not None:
            return given
        try:
            outcome = psbts.process(self._parts, data, self._decided)
        except Refusal as refusal:
            return self._refused(digest, refusal, self._no)
        return self._finish(digest, outcome)

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

    def port_message(self, message: FromPort) -> None:
        """Answer while a question is open: status, lock and freeze act at once, all else has to wait."""
        data = message.data
        try:
            at_once = request_kind(cose.read(data)) in _AT_ONCE
        except ProtocolError:
            at_once = False
        digest = sha256(data)
        # Attack: a new message while an approval is on the screen, so that the owner approves another (signers.md 66).
        busy = RefusalReply(BUSY.coarse, BUSY.meaning)
        reply = self.handle(data) if at_once else self._replies.find(digest) or self._seal(digest, busy)
        self._wires.send_port(reply, message.way)

    def command(self, name: str) -> None:
        """What the owner may type beside an open question."""
        word, _, reason = name.partition(" ")
        match word:
            case "lock":
                self._lock("by the owner")
            case "freeze":
                self._freeze_here(reason.strip())
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
        match name.partition(" ")[0]:
            case "held":
                try:
                    batches.review(self._parts, self._decided)
                except Refusal as refusal:
                    self._screen.notice(batches.TITLE_HELD, refusal.lines)
                self.session.used()
            case "log":
                self._screen.notice("Log", [*self._log.newest_lines(), *self._log_as_codes()])
            case "lock" | "freeze" | "status":
                self.command(name)
            case _:
                self._screen.notice("Commands", reports.HELP)

    def _log_as_codes(self) -> tuple[str, ...]:
        """Put the log on the screen for codes, where there is one; what the owner is told of that."""
        if not self._parts.setup.codes:
            return ()
        if self.session.current is None:
            return ("Not as codes: no key is open that could seal it.",)
        self._wires.show_codes(reports.log_file(self._parts, self.session.current))
        return ("It stands on the screen for codes too, sealed: undercroft qr scan",)

    def _dispatch(self, message: Message[RequestHeader]) -> Outcome:  # noqa: PLR0911 - one line for each request
        parts = self._parts
        frozen = message.header.quorum_id in self.session.frozen and self.session.state == EMPTY
        match message.body:
            case FreezeRequest() as request:
                return freeze.obey(parts, request)
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
            data = outcome.body if isinstance(outcome.body, bytes) else self._seal(digest, outcome.body)
        finally:
            # The reply to a lock is still signed by the identity, so that the host can believe it; then it is gone.
            if outcome.lock is not None:
                self._lock(outcome.lock)
            else:
                self._count(refused=outcome.refused)
        if outcome.kept:
            self._replies.keep(digest, Given(data, outcome.body, outcome.waits_for))
        self._screen.notice(outcome.title, outcome.lines)
        return data

    def _no(self, digest: bytes, refusal: Refusal) -> Outcome:
        coarse = refusal.code.coarse
        facts = (f"request {digest.hex()}", f"the host is told: {coarse}")
        self._log.append("refused", facts, (str(refusal),))
        return Outcome(RefusalReply(coarse, COARSE_MESSAGE), "Refused", refusal.lines, refused=coarse in COUNTED)

    def _refused(self, digest: bytes, refusal: Refusal, told: Callable[[bytes, Refusal], Outcome]) -> bytes:
        """Refused before it was known to be for us; ``told`` logs it."""
        outcome = told(digest, refusal) if self.session.armed is not None else self._unlogged(refusal)
        return self._finish(digest, dataclasses.replace(outcome, kept=False))

    def _unasked(self, digest: bytes, refusal: Refusal) -> Outcome:
        """Refused without a question to the owner: what is not counted either is logged for a while only."""
        if self.session.armed is not None and refusal.code.coarse in COUNTED:
            return self._no(digest, refusal)
        self._uncounted += 1
        # Attack: it is repeated, by a stranger or by the host, until the log's older entries are out of the memory.
        if self._uncounted > MOST_UNCOUNTED:
            return self._unlogged(refusal)
        outcome = self._no(digest, refusal)
        if self._uncounted == MOST_UNCOUNTED:
            self._log.append("refused", (f"{MOST_UNCOUNTED} without a question; more leave no entry before an unlock",))
        return outcome

    @staticmethod
    def _unlogged(refusal: Refusal) -> Outcome:
        return Outcome(RefusalReply(refusal.code.coarse, COARSE_MESSAGE), "Refused", refusal.lines)

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
        # Attack: locks by a stranger, one after the other, push the last activation out of the log.
        if not self._is_shut:
            self._log.append("locked", (reason,))
        self._log.forget_exact()
        self.session.lock()
        self._replies.clear()
        # Whoever comes to the screen after a lock finds no reply of before.
        if self._parts.setup.codes:
            self._wires.show_codes(b"")
        self._screen.notice("Locked", [reason])

    def _freeze_here(self, reason: str) -> None:
        why = freeze.REASON_HERE
        try:
            why = freeze.order_here(self._parts, reason)
        finally:
            # Attack: a fault in the signature of the order for the others keeps this appliance open.
            self._lock(why)


def _request_facts(message: Message[RequestHeader]) -> tuple[str, ...]:
    """Which request it was, for the log: the very bytes are at the host, by their digest."""
    facts = (type(message.body).__name__, f"request {message.digest.hex()}")
    return (*facts, f"batch {message.body.batch_id.hex()}") if isinstance(message.body, BatchRequest) else facts
