"""A socket pair between two processes of one appliance: length-prefixed typed CBOR messages, never pickle."""

from __future__ import annotations

import selectors
import socket
import struct
from typing import Final

from undercroft_protocol import cbor
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages.codec import Value, from_plain, to_plain

from .errors import ChannelError
from .internal import KINDS

_LENGTH: Final = struct.Struct(">I")
_MAX_BYTES: Final = cbor.MAX_BYTES
_READ_BYTES: Final = 64 * 1024


class Channel:
    """One end. A process that ends closes its end, and the other side learns it as a ChannelError."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self._socket = sock
        self._buffer = bytearray()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Value) -> None:
        """Send one message whole; raises ChannelError when the other process is gone."""
        body = cbor.encode((KINDS.index(type(message)), to_plain(message)))
        try:
            self._socket.sendall(_LENGTH.pack(len(body)) + body)
        except OSError as error:
            raise ChannelError("the other process is gone") from error

    def receive(self, timeout: float | None) -> Value | None:
        """The next message, or None when ``timeout`` seconds pass first (None waits for ever).

        Raises ChannelError when the other process is gone or sends what is no message.
        """
        while (message := self._whole_message()) is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                if not selector.select(timeout):
                    return None
            self.fill()
        return message

    def fill(self) -> None:
        """Read once what is there; call it when ``fileno()`` is readable."""
        try:
            chunk = self._socket.recv(_READ_BYTES)
        except OSError as error:
            raise ChannelError("the other process is gone") from error
        if not chunk:
            raise ChannelError("the other process is gone")
        self._buffer += chunk

    def pending(self) -> list[Value]:
        """All messages that have arrived whole."""
        messages = []
        while (message := self._whole_message()) is not None:
            messages.append(message)
        return messages

    def close(self) -> None:
        self._socket.close()

    def _whole_message(self) -> Value | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        # A process that was taken over must not make the keeper buffer without end.
        if length > _MAX_BYTES:
            raise ChannelError(f"{length} bytes announced")
        if len(self._buffer) < _LENGTH.size + length:
            return None
        body = bytes(self._buffer[_LENGTH.size : _LENGTH.size + length])
        del self._buffer[: _LENGTH.size + length]
        try:
            parts = cbor.decode(body)
            if not isinstance(parts, tuple) or len(parts) != 2 or not isinstance(parts[0], int):
                raise ChannelError("not a kind and a message")
            if not 0 <= parts[0] < len(KINDS):
                raise ChannelError(f"kind {parts[0]} is unknown")
            return from_plain(KINDS[parts[0]], parts[1])
        except ProtocolError as error:
            raise ChannelError(str(error)) from error
