"""Reads what a camera sees, several codes of several senders among strangers, stream by stream.

Everything here is bounded: streams, bytes, what is remembered of codes and finished streams, the work for one code.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from undercroft_protocol.errors import ProtocolError, QrError, QrMessageError, QrSymbolError

from .disputes import DISPUTED_SHOWINGS, CarefulSink, Disputes, TwoMessagesError, crowded
from .sorting import StreamName, sink_of, sort_symbol
from .stream import Format, Gathered, Payload, SymbolSink

MAX_STREAMS: Final = 4
MEMORY_FACTOR: Final = 2
"""All streams together hold codes of at most so many times the longest payload, in bytes (half their characters)."""

_RECENT: Final = 2048
_WAITING: Final = 4096
_FINISHED: Final = 16
_OUT_OF_SIGHT: Final = 64
"""What was finished is new again when so many other codes came since it was last seen, unless it has a session."""
_HALF_LIFE: Final = 1024
"""After so many codes, none of them its own, a stream is worth half of what it was."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Codes that came, those of them that had come before, those that were of no use; streams that made room."""

    symbols: int = 0
    repeats: int = 0
    refused: int = 0
    streams_dropped: int = 0


@dataclass(slots=True, eq=False)
class _Mark:
    """What is remembered of a stream for each of its codes: when one was last ``seen``, counted in codes, and whether
    the stream is still ``known``. ``symbols`` are hashes of the texts where the name alone does not say whose."""

    name: StreamName
    seen: int
    known: bool = True
    finished: bool = False
    symbols: set[int] = field(default_factory=set)

    def forget(self) -> None:
        self.known = False
        self.symbols.clear()

    def out_of_sight(self, now: int) -> bool:
        return self.finished and self.name.format is not Format.FAST and now - self.seen > _OUT_OF_SIGHT


@dataclass(slots=True, eq=False)
class _Stream:
    """A payload that is not whole yet. ``standing`` is the number of its codes that were seen."""

    mark: _Mark
    sink: SymbolSink
    standing: int
    held_bytes: int = 0

    def worth(self, now: int) -> float:
        """What it has to lose."""
        return self.standing * math.exp2((self.mark.seen - now) / _HALF_LIFE)


class Collector:
    """Takes the texts of codes as a camera gives them, and gives each payload of at most ``limit`` bytes once.

    A payload is ignored as long as its codes stay in sight. A fast message that is sent again has a new session, so it
    is given again. The other formats have no such thing: the same PSBT is given again once other codes have been seen
    for a while, or after `forget`, which is to be called when a person begins something new.

    BBQr and pMofN do not say whose a code is. Once two contents of a part came under one header, nothing under it is
    given before each part was shown so often without a contradiction that only one sender can be in sight: see
    `disputes`. That ends when the header was out of sight for a while, and with `forget`.
    """

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._streams: list[_Stream] = []
        self._finished: list[_Mark] = []
        # Each code by the hash of its text (None: refused): a camera gives the same one fifteen times a second.
        self._recent: OrderedDict[int, _Mark | None] = OrderedDict()
        # Streams that found no room: how many of their codes were seen, and the last one, which counts once however
        # long it is in sight.
        self._waiting: OrderedDict[StreamName, tuple[int, int]] = OrderedDict()
        self._disputes = Disputes(out_of_sight=_OUT_OF_SIGHT)
        self._crowded: set[StreamName] = set()
        self._symbols = self._repeats = self._refused = self._dropped = 0
        self._gathered = Gathered(0, 0)
        self._last_problem: QrError | None = None

    @property
    def gathered(self) -> Gathered:
        """How far the payload is whose code was the last one of use."""
        return self._gathered

    @property
    def last_problem(self) -> QrError | None:
        """Why the last code that could not be used could not."""
        return self._last_problem

    @property
    def disputed(self) -> bool:
        """Whether two messages were seen under one header, so that the one that is left is read several times over."""
        return bool(self._disputes)

    @property
    def counts(self) -> Counts:
        """What came so far."""
        return Counts(self._symbols, self._repeats, self._refused, self._dropped)

    def forget(self) -> None:
        """Begin anew: give again what is shown again, except fast messages, whose repetition has a new session."""
        for mark in (*(one.mark for one in self._streams), *self._finished):
            if not (mark.finished and mark.name.format is Format.FAST):
                mark.forget()
        self._streams = []
        self._finished = [one for one in self._finished if one.known]
        self._recent.clear()
        self._waiting.clear()
        self._disputes.clear()
        self._gathered = Gathered(0, 0)
        self._last_problem = None

    def take_picture(self, texts: Sequence[str]) -> list[Payload]:
        """Take the codes of one picture; the payloads that they made whole. Never raises."""
        # Two codes with one header may be of two senders, before any of them contradicts another.
        self._crowded = crowded(texts, limit=self._limit)
        try:
            return [payload for payload in map(self.take, texts) if payload is not None]
        finally:
            self._crowded = set()

    def take(self, text: str) -> Payload | None:
        """Take the text of one code; the payload if this made one whole. Never raises."""
        self._symbols += 1
        symbol = hash(text)
        if self._is_repeat(symbol):
            return None
        self._remember(symbol, None)
        try:
            name = sort_symbol(text, limit=self._limit)
            self._see_dispute(name)
            if self._is_finished(name, symbol):
                return None
            return self._read(text, symbol, name)
        except ProtocolError as error:
            self._refused += 1
            self._last_problem = error if isinstance(error, QrError) else QrMessageError(error.detail)
            return None

    def _is_repeat(self, symbol: int) -> bool:
        if symbol not in self._recent:
            return False
        mark = self._recent[symbol]
        if mark is not None:
            if not mark.known or mark.out_of_sight(self._symbols):
                return False
            # How often a code is shown matters where nothing else tells two senders apart.
            if not mark.name.own and (not mark.finished or mark.name in self._disputes):
                return False
            mark.seen = self._symbols
        self._recent.move_to_end(symbol)
        self._repeats += 1
        return True

    def _remember(self, symbol: int, mark: _Mark | None) -> None:
        self._recent[symbol] = mark
        self._recent.move_to_end(symbol)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _see_dispute(self, name: StreamName) -> None:
        if self._disputes.see(name, self._symbols):
            # What was gathered is of the time of the dispute.
            for stream in [one for one in self._streams if one.mark.name == name]:
                self._drop(stream)

    def _is_finished(self, name: StreamName, symbol: int) -> bool:
        for mark in [one for one in self._finished if one.out_of_sight(self._symbols)]:
            mark.forget()
            self._finished.remove(mark)
        for mark in self._finished:
            # BBQr, pMofN and plain codes do not say whose they are: two payloads may have the same header.
            if mark.name == name and (name.own or symbol in mark.symbols):
                mark.seen = self._symbols
                self._remember(symbol, mark)
                self._repeats += 1
                return True
        return False

    def _read(self, text: str, symbol: int, name: StreamName) -> Payload | None:
        same = [one for one in self._streams if one.mark.name == name]
        taken = False
        for stream in same:
            if not stream.mark.known:
                # It had to make room for the one before it.
                continue
            try:
                payload = self._feed(stream, text, symbol)
            except QrSymbolError as error:
                # Nothing but what they say tells codes with one header apart, so there is one stream of them.
                if not name.own:
                    raise
                self._last_problem = error
                continue
            taken = True
            if payload is not None:
                self._finish(stream, same)
                return payload
        if taken:
            return None
        # What contradicts a stream may be the beginning of another: an older message's remains must not keep out the
        # one that is shown now.
        standing, last = self._waiting.get(name, (0, 0))
        stream = _Stream(
            _Mark(name, self._symbols), self._sink_of(name), standing - 1 if standing and last == symbol else standing
        )
        payload = self._feed(stream, text, symbol)
        if payload is None:
            self._admit(stream, symbol)
        else:
            self._finish(stream, same)
        return payload

    def _sink_of(self, name: StreamName) -> SymbolSink:
        if name.own:
            return sink_of(name, limit=self._limit)
        return CarefulSink(name, limit=self._limit, showings=DISPUTED_SHOWINGS if name in self._disputes else 1)

    def _feed(self, stream: _Stream, text: str, symbol: int) -> Payload | None:
        """Give a code to a stream. Raises what its sink raises; after anything but QrSymbolError the stream is gone."""
        mark = stream.mark
        before = stream.sink.gathered.have
        again = symbol in mark.symbols
        if mark.name in self._crowded and isinstance(stream.sink, CarefulSink):
            stream.sink.doubt()
        try:
            payload = stream.sink.take(text)
        except QrSymbolError:
            raise
        except ProtocolError as error:
            if isinstance(error, TwoMessagesError):
                self._disputes.open(mark.name, self._symbols)
            if stream in self._streams:
                # Nothing says which of its codes was the bad one; this one is taken again.
                del self._recent[symbol]
            self._drop(stream)
            raise
        mark.seen = self._symbols
        self._remember(symbol, mark)
        if again:
            self._repeats += 1
        else:
            stream.standing += 1
        # Only what brought something new takes memory, here and in the sink.
        if stream.sink.gathered.have > before and not again:
            stream.held_bytes += len(text) // 2
            if not mark.name.own:
                mark.symbols.add(symbol)
        if payload is None and stream in self._streams:
            self._gathered = stream.sink.gathered
            self._bound_memory(stream)
        return payload

    def _admit(self, stream: _Stream, symbol: int) -> None:
        """Make room for a new stream, or let it wait.

        Attack: a flood of good codes of ever new senders, each of which would push out the message that is being read.
        So a stream gets the room of another only when a code more of its own was seen than the other has to lose, and
        one that had to go has not lost that: what is shown again and again gets in, and stays in.
        """
        if len(self._streams) >= MAX_STREAMS:
            least = min(self._streams, key=lambda one: (one.worth(self._symbols), one.mark.seen))
            if stream.standing < least.worth(self._symbols) + 1:
                self._wait(stream, symbol)
                return
            self._drop(least)
            self._wait(least, symbol)
        self._waiting.pop(stream.mark.name, None)
        # What is finished under the same header is over, or its codes would be kept from this one.
        self._give_way(stream)
        self._streams.append(stream)
        self._gathered = stream.sink.gathered
        self._bound_memory(stream)

    def _give_way(self, stream: _Stream) -> None:
        name = stream.mark.name
        for one in [one for one in self._finished if one.name == name and not name.own]:
            if isinstance(stream.sink, CarefulSink):
                stream.sink.follow(frozenset(one.symbols))
            one.forget()
            self._finished.remove(one)

    def _wait(self, stream: _Stream, symbol: int) -> None:
        stream.mark.forget()
        self._waiting[stream.mark.name] = stream.standing, symbol
        self._waiting.move_to_end(stream.mark.name)
        if len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)

    def _bound_memory(self, stream: _Stream) -> None:
        # Attack: several long messages, none of which is ever finished.
        while sum(one.held_bytes for one in self._streams) > MEMORY_FACTOR * self._limit:
            others = [one for one in self._streams if one is not stream]
            self._drop(min(others, key=lambda one: one.worth(self._symbols)) if others else stream)

    def _drop(self, stream: _Stream) -> None:
        stream.mark.forget()
        if stream in self._streams:
            self._streams.remove(stream)
            self._dropped += 1

    def _finish(self, stream: _Stream, same: list[_Stream]) -> None:
        """Remember a whole payload as such, and give up the others with its name."""
        name = stream.mark.name
        for one in same:
            if one is not stream:
                self._drop(one)
        if stream in self._streams:
            self._streams.remove(stream)
        self._gathered = stream.sink.gathered
        self._waiting.pop(name, None)
        stream.mark.finished = True
        self._finished.append(stream.mark)
        if len(self._finished) > _FINISHED:
            oldest = min(self._finished, key=lambda one: one.seen)
            oldest.forget()
            self._finished.remove(oldest)
