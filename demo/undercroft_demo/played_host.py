"""The host of one appliance, played: it asks with the vault's test key and takes what is answered, without checks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from undercroft_protocol import cose
from undercroft_protocol.link import Link
from undercroft_protocol.messages import (
    Message,
    ReplyHeader,
    RequestHeader,
    StatementReply,
    StatusReport,
    StatusRequest,
    Value,
    open_reply,
    open_statement,
    seal_request,
)

from .played_keys import VAULT, public, signer

_EXPIRES_SECONDS: Final = 600
_NOBODY: Final = bytes(16)
S = TypeVar("S", bound=Value)
B = TypeVar("B", bound=Value)


@dataclass(slots=True)
class PlayedHost:
    """``carry`` brings a request to the appliance and gives what comes back; ``now``: POSIX seconds.

    ``told``: what else to tell where something unexpected is answered.
    """

    carry: Callable[[bytes], bytes]
    now: Callable[[], float] = time.time
    told: Callable[[], str] = str
    quorum_id: bytes | None = None
    activation_id: bytes = _NOBODY
    sequence: int = 0

    def ask(self, kind: type[B], body: Value) -> B:
        """Send a request and wait for a reply of this kind. Raises TypeError if another comes."""
        return self._expected(kind, open_reply(self.carry(self.request(body)), None))

    def statement(self, kind: type[S], body: Value) -> tuple[bytes, S]:
        """Ask for a statement: its bytes, and what whoever signed it states. Raises TypeError."""
        data = self.ask(StatementReply, body).statement
        return data, open_statement(kind, data, (cose.read(data).signer,))[0]

    def meet(self) -> StatusReport:
        """Learn the activation id, as a host does after every start or lock."""
        header = RequestHeader(None, _NOBODY, 0, self._expires)
        reply = open_reply(self.carry(_sealed(header, StatusRequest())), None)
        if reply.header.activation_id != self.activation_id:
            self.activation_id, self.sequence = reply.header.activation_id, 0
        return self._expected(StatusReport, reply)

    def request(self, body: Value) -> bytes:
        """The next request in its envelope, for whoever sends it by another way."""
        self.sequence += 1
        return _sealed(RequestHeader(self.quorum_id, self.activation_id, self.sequence, self._expires), body)

    @property
    def _expires(self) -> int:
        return int(self.now()) + _EXPIRES_SECONDS

    def _expected(self, kind: type[B], reply: Message[ReplyHeader]) -> B:
        if not isinstance(reply.body, kind):
            raise TypeError(f"{reply.body}\n{self.told()}")
        return reply.body


def _sealed(header: RequestHeader, body: Value) -> bytes:
    return seal_request(header, body, public(VAULT), signer(VAULT))


def over(link: Link, *, timeout: float) -> Callable[[bytes], bytes]:
    """Carry by a link, which has so many seconds each way."""

    def carry(request: bytes) -> bytes:
        link.send(request, timeout=timeout)
        return link.receive(timeout=timeout)

    return carry
