"""A socket pair between two processes of one appliance: length-prefixed typed CBOR messages, never pickle."""

from __future__ import annotations

import os
import selectors
import socket
import struct
from typing import Final

from undercroft_protocol import cbor
from undercroft_protocol.codec import Value, from_plain, to_plain
from undercroft_protocol.errors import ProtocolError

from .errors import ChannelError
from .internal import KINDS

_LENGTH: Final = struct.Struct(">I")
_MAX_BYTES: Final = cbor.MAX_BYTES
_READ_BYTES: Final = 64 * 1024


class Channel:
    """One end. A process that ends closes its end, and the other side learns it as a ChannelError.

    ``rest`` is what an earlier process read from this end and did not act on.
    """

    def __init__(self, sock: socket.socket, rest: bytes = b"") -> None:
        sock.setblocking(True)
        self._socket = sock
        self._buffer = bytearray(rest)
        self._unsent = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def rest(self) -> bytes:
        """What was read and not taken: whoever goes on with this end begins with it, and so misses nothing."""
        return bytes(self._buffer)

    def send(self, message: Value) -> None:
        """Send one message whole; raises ChannelError when the other process is gone."""
        try:
            self._socket.sendall(_framed(message))
        except OSError as error:
            raise ChannelError("the other process is gone") from error

    @property
    def wants_write(self) -> bool:
        """A message that was posted is not out yet: call ``flush`` when ``fileno()`` is writable."""
        return bool(self._unsent)

    def post(self, message: Value) -> None:
        """Send what can be sent of one message without waiting; ``flush`` does the rest. One at a time."""
        self._unsent += _framed(message)
        self.flush()

    def flush(self) -> None:
        """Go on with what was posted; raises ChannelError when the other process is gone."""
        if not self._unsent:
            return
        try:
            sent = self._socket.send(self._unsent, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelError("the other process is gone") from error
        self._unsent = self._unsent[sent:]

    def receive(self, timeout: float | None) -> Value | None:
        """The next message, or None when ``timeout`` seconds pass first (None waits for ever).

        Raises ChannelError when the other process is gone or sends what is no message.
        """
        while (message := self.take()) is None:
            with selectors.PollSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                if not selector.select(timeout):
                    return None
            self.fill()
        return message

    def fill(self) -> None:
        """Read once what is there; call it when ``fileno()`` is readable. It never waits where sending has a limit."""
        try:
            # Not recv: a socket with a limit waits there until its time is over.
            chunk = os.read(self._socket.fileno(), _READ_BYTES)
        except BlockingIOError:
            # Attack: a byte out of band, which poll(2) tells of and nobody can read.
            return
        except OSError as error:
            raise ChannelError("the other process is gone") from error
        if not chunk:
            raise ChannelError("the other process is gone")
        self._buffer += chunk

    def close(self) -> None:
        self._socket.close()

    @property
    def complete(self) -> bool:
        """Whether a message has arrived whole. Raises ChannelError for one that is too long."""
        end = self._end()
        return end is not None and len(self._buffer) >= end

    def take(self) -> Value | None:
        """The next message, if it has arrived whole. Raises ChannelError for what is no message."""
        end = self._end()
        if end is None or len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        try:
            parts = cbor.decode(body)
            if not isinstance(parts, tuple) or len(parts) != 2 or not isinstance(parts[0], int):
                raise ChannelError("not a kind and a message")
            if not 0 <= parts[0] < len(KINDS):
                raise ChannelError(f"kind {parts[0]} is unknown")
            return from_plain(KINDS[parts[0]], parts[1])
        except ProtocolError as error:
            raise ChannelError(str(error)) from error

    def _end(self) -> int | None:
        """Where the first message in the buffer ends, as far as that is known."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        # A process that was taken over must not make the keeper buffer without end.
        if length > _MAX_BYTES:
            raise ChannelError(f"{length} bytes announced")
        return int(_LENGTH.size + length)


def _framed(message: Value) -> bytes:
    body = cbor.encode((KINDS.index(type(message)), to_plain(message)))
    return _LENGTH.pack(len(body)) + body
