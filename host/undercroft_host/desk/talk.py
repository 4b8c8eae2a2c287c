"""One conversation with one appliance: requests in order, each answered by the right device or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self, TypeVar

from undercroft_protocol import cose
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
from undercroft_protocol.bitcoin.psbt_records import PsbtRecords
from undercroft_protocol.errors import FolderFileError, LinkDeadError, LinkError, LinkTimeoutError, ProtocolError
from undercroft_protocol.link import Link
from undercroft_protocol.messages import (
    ARMED,
    UNLOCKED,
    FreezeRequest,
    LockRequest,
    Message,
    RefusalReply,
    ReplyHeader,
    RequestHeader,
    StatementReply,
    StatusReport,
    StatusRequest,
    Value,
    open_reply,
    seal_request,
)

from ..clock import Clock
from ..custody.appliances import get_appliance
from ..custody.freezes import learn_order
from ..errors import (
    ApplianceForeignQuorum,
    ApplianceRefused,
    ApplianceSilent,
    ApplianceState,
    IntegrityAlarm,
)
from ..keys import FileSigner
from ..link_text import parse_link
from ..store.engine import Store
from .links import LinkOpener, open_link, unplugged

B = TypeVar("B", bound=Value)

STATUS_SECONDS: Final = 15.0
ANSWER_SECONDS: Final = 60.0
_GRACE_SECONDS: Final = 60
_UNKNOWN_ACTIVATION: Final = bytes(16)
_MOST_STRAYS: Final = 16


class ApplianceSession:
    """Use it as a context manager: it opens the line and asks for the status first.

    ``report`` is the newest status, ``sender`` the key that signs the answers, ``activation_id`` the activation that
    requests name, ``policy_hash`` the policy that is in force there by the newest answer (None: none is).
    ``link`` is another link than the stored one; what the carrier needs (`link_text`) is added to every time given
    here. Raises ApplianceUnknown, ApplianceUnplugged, ApplianceSilent, ApplianceForeignQuorum (it answers for another
    quorum or another owner), IntegrityAlarm (an answer that is not what it must be).
    """

    def __init__(
        self,
        store: Store,
        actor: str,
        name: str,
        signer: FileSigner,
        clock: Clock,
        *,
        quorum_id: bytes | None,
        link: str | None = None,
        opener: LinkOpener = open_link,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        with store.read() as session:
            appliance = get_appliance(session, name)
            self._link_text, self.identity = link or appliance.link, appliance.identity
        self.link = parse_link(self._link_text)
        self.name = name
        self._store, self._actor, self._signer, self._clock = store, actor, signer, clock
        self._quorum_id, self._opener, self._monotonic = quorum_id, opener, monotonic
        self._link: Link | None = None
        self.activation_id = _UNKNOWN_ACTIVATION
        self.sender = b""
        self.policy_hash: bytes | None = None
        self._report: StatusReport | None = None

    @property
    def report(self) -> StatusReport:
        """What the appliance said of itself when the session was opened."""
        if self._report is None:
            raise ValueError("the session is not open")
        return self._report

    def __enter__(self) -> Self:
        self._link = self._opener(self._link_text)
        try:
            self._introduce()
        except BaseException:
            self._link.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._link is not None:
            self._link.close()

    def exchange(
        self, body: Value, *, timeout: float = ANSWER_SECONDS, quorum_id: bytes | None = None
    ) -> Message[ReplyHeader]:
        """Send a request and return the verified answer to exactly these bytes, waiting ``timeout`` seconds at most.

        ``quorum_id`` is the session's unless another is given. Raises ApplianceRefused with the appliance's coarse code
        beside the errors of the session.
        """
        wanted = quorum_id or self._quorum_id
        request = self.prepare(body, lifetime=int(timeout) + _GRACE_SECONDS, quorum_id=wanted)
        reply, _ = self.deliver(request, timeout=timeout, quorum_id=wanted)
        self.check_done(reply)
        # Locking draws a new activation id, and a refusal may have locked; every other answer belongs to this one.
        if reply.header.activation_id != self.activation_id and not isinstance(body, (LockRequest, FreezeRequest)):
            raise IntegrityAlarm(f"appliance {self.name} answers for another activation")
        return reply

    def ask(self, body: Value, kind: type[B], *, timeout: float = ANSWER_SECONDS, quorum_id: bytes | None = None) -> B:
        """The answer's body, which must be of ``kind``; raises like ``exchange``, IntegrityAlarm for another kind."""
        return self.expect(self.exchange(body, timeout=timeout, quorum_id=quorum_id), kind)

    def expect(self, reply: Message[ReplyHeader], kind: type[B]) -> B:
        """The body of a verified answer, which must be of ``kind``."""
        if not isinstance(reply.body, kind):
            raise IntegrityAlarm(
                f"appliance {self.name} answers with {type(reply.body).__name__} where {kind.__name__} belongs"
            )
        return reply.body

    def prepare(self, body: Value, *, lifetime: int, quorum_id: bytes | None) -> bytes:
        """The signed bytes of a request that is good for ``lifetime`` seconds after it was carried; its sequence number
        is stored first."""
        # Stored before it is used: after a crash no number is ever used for two different requests.
        with self._store.begin(self._actor) as session:
            appliance = get_appliance(session, self.name)
            appliance.sequence += 1
            sequence = appliance.sequence
        expires = self._clock() + lifetime + self.link.patience_seconds
        header = RequestHeader(quorum_id, self.activation_id, sequence, expires)
        return seal_request(header, body, self._signer.public_key, self._signer.sign)

    def deliver(self, request: bytes, *, timeout: float, quorum_id: bytes | None) -> tuple[Message[ReplyHeader], bytes]:
        """Send these very bytes; the verified answer, which may be a refusal, and its bytes as received.

        Raises ApplianceState for a refusal in another key than the owner's: it was locked meanwhile.
        """
        reply, data = self._converse(request, timeout)
        self._check_speaker(reply)
        # An answer under another agreement says nothing about this one.
        if quorum_id is not None and reply.header.quorum_id not in (None, quorum_id):
            raise ApplianceForeignQuorum(self.name)
        self.policy_hash = reply.header.policy_hash
        return reply, data

    def deliver_psbt(self, psbt: bytes, txid: bytes, *, timeout: float) -> bytes:
        """Send a PSBT as it is; the PSBT of the same transaction (``txid``) that comes back, nothing in it verified.

        Raises ApplianceRefused, ApplianceState as ``deliver``, IntegrityAlarm for an answer that is neither.
        """
        digest = sha256(psbt)
        for data in self._answers(psbt, timeout):
            if data.startswith(PSBT_MAGIC):
                if _transaction_of(self.name, data) == txid:
                    return data
                continue
            reply = self._read(data)
            if reply.header.in_reply_to == digest:
                self._check_speaker(reply)
                self.check_done(reply)
                break
        raise IntegrityAlarm(f"appliance {self.name} answers a PSBT with something else")

    def check_done(self, reply: Message[ReplyHeader]) -> None:
        """Raises ApplianceRefused when the answer is a refusal."""
        if isinstance(reply.body, RefusalReply):
            raise ApplianceRefused(f"{self.name}: {reply.body.code}: {reply.body.message}")

    def _check_speaker(self, reply: Message[ReplyHeader]) -> None:
        # Whoever sits on the line can answer in a key of their own.
        if reply.sender in self._speakers(reply):
            return
        # A refusal gives nothing away and is believed in nothing; it is what an appliance says once it is locked.
        if isinstance(reply.body, RefusalReply):
            raise ApplianceState(
                f"{self.name} speaks with its owner's key no more ({reply.body.code}): it was locked or restarted",
                hint=f"look at it: undercroft appliance show {self.name}; open it: activation open {self.name}",
            )
        raise IntegrityAlarm(f"the answer on the line of {self.name} is signed by a stranger")

    def _speakers(self, reply: Message[ReplyHeader]) -> set[bytes]:
        """Who may answer: the key that answered first, the declared identity, and, with a statement, who states it."""
        speakers = {self.sender}
        if self.identity is not None:
            speakers.add(self.identity)
        if isinstance(reply.body, StatementReply):
            # A new identity speaks first in its own declaration; each statement is then verified by its kind.
            try:
                speakers.add(cose.read(reply.body.statement).signer)
            except ProtocolError as error:
                raise IntegrityAlarm(f"statement of appliance {self.name}: {error}") from error
        return speakers

    def _introduce(self) -> None:
        request = self.prepare(StatusRequest(), lifetime=_GRACE_SECONDS, quorum_id=self._quorum_id)
        reply, _ = self._converse(request, STATUS_SECONDS)
        report = self.expect(reply, StatusReport)
        if reply.header.quorum_id is not None and reply.header.quorum_id != self._quorum_id:
            raise ApplianceForeignQuorum(f"{self.name}: quorum {reply.header.quorum_id.hex()[:16]}")
        # An open appliance speaks with its identity: another key is another owner's device on this line.
        in_quorum = self._quorum_id is not None and self.identity is not None
        if in_quorum and report.state in (UNLOCKED, ARMED) and reply.sender != self.identity:
            raise ApplianceForeignQuorum(f"{self.name}: it speaks as {reply.sender.hex()[:16]}")
        self._report, self.sender, self.activation_id = report, reply.sender, reply.header.activation_id
        if report.freeze_order is not None and self._quorum_id is not None:
            with self._store.begin(self._actor) as session:
                learn_order(session, self._quorum_id, report.freeze_order, clock=self._clock)
        self.policy_hash = reply.header.policy_hash

    def _converse(self, request: bytes, timeout: float) -> tuple[Message[ReplyHeader], bytes]:
        """The answer to these bytes; late answers to earlier requests are passed over."""
        digest = sha256(request)
        for data in self._answers(request, timeout):
            if data.startswith(PSBT_MAGIC):
                continue
            reply = self._read(data)
            # A recorded answer to something else must not be taken for the answer to this.
            if reply.header.in_reply_to == digest:
                return reply, data
        raise IntegrityAlarm(f"appliance {self.name} answers, but never what it was asked")

    def _answers(self, request: bytes, timeout: float) -> Iterator[bytes]:
        """Send these bytes; what comes then, a few messages at most."""
        if self._link is None:
            raise ValueError("the session is not open")
        patience = timeout + self.link.patience_seconds
        deadline = self._monotonic() + patience
        try:
            self._link.send(request, timeout=patience)
            for _ in range(_MOST_STRAYS):
                yield self._link.receive(timeout=max(0.0, deadline - self._monotonic()))
        except (LinkTimeoutError, LinkDeadError) as error:
            raise ApplianceSilent(f"{self.name}: {error.detail}") from error
        except FolderFileError as error:
            # Attack: whoever carries the folder puts something else in the answer's place.
            raise IntegrityAlarm(f"{self.name}: {error}") from error
        except LinkError as error:
            raise unplugged(self.name, error) from error

    def _read(self, data: bytes) -> Message[ReplyHeader]:
        try:
            return open_reply(data, None)
        except ProtocolError as error:
            raise IntegrityAlarm(f"answer of appliance {self.name}: {error}") from error


def _transaction_of(name: str, psbt: bytes) -> bytes:
    try:
        return PsbtRecords.parse(psbt).transaction.txid
    except ProtocolError as error:
        raise IntegrityAlarm(f"appliance {name} answers with a PSBT that cannot be read: {error}") from error
