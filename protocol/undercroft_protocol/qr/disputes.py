"""Payloads whose codes do not say whose they are: BBQr and pMofN have neither a checksum nor a session.

Two of them with one header, in sight at the same time, could be put together from parts of both. So a payload about
which there is any doubt is given only when each of its parts was seen several times over and none contradicted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.errors import QrError, QrMessageError, QrSymbolError

from .bbqr import parse_header
from .sorting import StreamName, sink_of, sort_symbol
from .stream import Format, Gathered, Payload, SymbolSink
from .texts import pmofn_part

DOUBTED_SHOWINGS: Final = 2
"""Of each part, when two codes with its header were in one picture, or some were of the payload given before."""
DISPUTED_SHOWINGS: Final = 8
"""Of each part, after a contradiction. Of two senders half of whose codes are lost at random, one shows two parts so
often before the other shows one of them with a chance of one to twenty million; any other mixture is less likely."""
AWAY: Final = 5
"""A code counts again when so many others with its header were seen since: a camera gives one many times over, and two
senders' codes in turn."""
STANDING: Final = 64
"""Or when so many were seen since it counted: of two codes in turn neither is ever away for long."""

_DISPUTES: Final = 64


class TwoMessagesError(QrMessageError):
    """Parts of two messages came under one header."""


@dataclass(slots=True)
class _Code:
    """How often a code was shown; when it was last ``seen``, and last ``counted``, in codes of its header."""

    showings: int
    seen: int
    counted: int

    def see(self, now: int) -> None:
        if now - self.seen > AWAY or now - self.counted >= STANDING:
            self.showings += 1
            self.counted = now
        self.seen = now


class CarefulSink(SymbolSink):
    """One payload under a header, given when each part was shown ``showings`` times: once, if nothing speaks against.

    It is to be given each code as often as it is seen. `take` also raises TwoMessagesError, for a code that contradicts
    those before it.
    """

    def __init__(self, name: StreamName, *, limit: int, showings: int) -> None:
        self._name = name
        self._limit = limit
        self._showings = showings
        self._sink = sink_of(name, limit=limit)
        self._now = 0
        # By the hashes of their texts.
        self._codes: dict[int, _Code] = {}
        self._parts: set[int] = set()
        self._total = 0
        # What makes it whole, as long as there are doubts: nothing is joined or inflated before.
        self._kept: str | None = None
        self._before: Set[int] = frozenset()

    @property
    def gathered(self) -> Gathered:
        if self._showings == 1:
            return self._sink.gathered
        shown = sum(min(code.showings, self._showings) for code in self._codes.values())
        return Gathered(shown, self._showings * self._total)

    def doubt(self) -> None:
        """Two senders may be in sight."""
        self._showings = max(self._showings, DOUBTED_SHOWINGS)

    def follow(self, symbols: Set[int]) -> None:
        """Hashes of the codes of the payload that was given before with this header. If one of them comes, the two have
        it in common, or the other is in sight still."""
        self._before = symbols

    def take(self, text: str) -> Payload | None:
        self._now += 1
        symbol = hash(text)
        code = self._codes.get(symbol)
        if code is not None:
            code.see(self._now)
            return self._settled()
        # A code that is bad by itself contradicts nothing.
        alone = sink_of(self._name, limit=self._limit)
        payload = alone.take(text)
        if payload is not None:
            return payload
        self._total = alone.gathered.need
        part = _part_of(text, self._name)
        # Attack: the same part with two contents. Without a checksum nobody can tell which of them the sender meant.
        if part in self._parts:
            raise _two_messages()
        if symbol in self._before:
            self.doubt()
        if self._showings > 1 and len(self._parts) + 1 == self._total:
            self._kept = text
        else:
            payload = self._feed(text)
        self._parts.add(part)
        self._codes[symbol] = _Code(1, self._now, self._now)
        return payload

    def _settled(self) -> Payload | None:
        if self._kept is None or any(code.showings < self._showings for code in self._codes.values()):
            return None
        return self._feed(self._kept)

    def _feed(self, text: str) -> Payload | None:
        try:
            return self._sink.take(text)
        except QrSymbolError:
            if self._name.format is not Format.BBQR:
                raise
            # Attack: parts of two payloads that were cut to different sizes.
            raise _two_messages() from None


class Disputes:
    """The headers under which two messages were seen, each for as long as it is in sight."""

    def __init__(self, *, out_of_sight: int) -> None:
        self._out_of_sight = out_of_sight
        self._seen: OrderedDict[StreamName, int] = OrderedDict()

    def __contains__(self, name: StreamName) -> bool:
        return name in self._seen

    def __bool__(self) -> bool:
        return bool(self._seen)

    def open(self, name: StreamName, now: int) -> None:
        """``now`` counts codes, here as below."""
        self._seen[name] = now
        self._seen.move_to_end(name)
        if len(self._seen) > _DISPUTES:
            self._seen.popitem(last=False)

    def see(self, name: StreamName, now: int) -> bool:
        """A code with this header is in sight; whether that ends a dispute, as none was for a while."""
        last = self._seen.get(name)
        if last is None:
            return False
        if now - last > self._out_of_sight:
            del self._seen[name]
            return True
        self._seen[name] = now
        return False

    def clear(self) -> None:
        self._seen.clear()


def crowded(texts: Sequence[str], *, limit: int) -> set[StreamName]:
    """The headers of which one picture has two codes or more."""
    names = list(_headers(set(texts), limit=limit)) if len(texts) > 1 else []
    return {name for name in names if names.count(name) > 1}


def _headers(texts: Iterable[str], *, limit: int) -> Iterable[StreamName]:
    for text in texts:
        # Only these two formats have several codes and no session.
        if text[:1] in {"B", "p"}:
            try:
                yield sort_symbol(text, limit=limit)
            except QrError:
                continue


def _two_messages() -> TwoMessagesError:
    return TwoMessagesError("parts with two contents under one header; show one message alone")


def _part_of(text: str, name: StreamName) -> int:
    return parse_header(text).index if name.format is Format.BBQR else pmofn_part(text)[0]
