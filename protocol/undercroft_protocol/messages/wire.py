"""A message on a link: header and body in one signed payload, the same bytes whatever carries them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from .. import cbor, cose
from ..bitcoin.hashes import sha256
from ..codec import Value, from_plain, to_plain
from ..errors import CoseError, MessageError
from .replies import REPLIES, ReplyHeader
from .requests import REQUESTS, RequestHeader

H = TypeVar("H", RequestHeader, ReplyHeader)

_REQUEST_PREFIX = "undercroft/1/request/"
_REPLY_PREFIX = "undercroft/1/reply/"
_REQUESTS = {_REQUEST_PREFIX + kind.__name__: kind for kind in REQUESTS}
_REPLIES = {_REPLY_PREFIX + kind.__name__: kind for kind in REPLIES}


@dataclass(frozen=True, slots=True)
class Message(Generic[H]):
    """A verified message: header, body, who signed it (32 bytes), and the SHA-256 of the very bytes received."""

    header: H
    body: Value
    sender: bytes
    digest: bytes


def request_kind(signed: cose.Signed) -> type[Value]:
    """Which request these bytes claim to be; raises CoseError for none. Nothing is verified yet."""
    kind = _REQUESTS.get(signed.content_type)
    if kind is None:
        raise CoseError(f"{signed.content_type!r} is no request")
    return kind


def seal_request(header: RequestHeader, body: Value, public_key: bytes, signer: cose.Signer) -> bytes:
    """The bytes to send to an appliance, signed by the vault's key."""
    return _seal(_REQUEST_PREFIX, header, body, public_key, signer)


def seal_reply(header: ReplyHeader, body: Value, public_key: bytes, signer: cose.Signer) -> bytes:
    """The bytes to send back to the host, signed by the appliance."""
    return _seal(_REPLY_PREFIX, header, body, public_key, signer)


def open_request(data: bytes, signed: cose.Signed, signers: Collection[bytes]) -> Message[RequestHeader]:
    """Verify the signature over the bytes received, and only then read them. ``signed`` is ``cose.read(data)``.

    Raises CoseError, SignatureError, CborError, or MessageError.
    """
    return _open(data, signed, signers, RequestHeader, request_kind(signed))


def open_reply(data: bytes, signers: Collection[bytes] | None) -> Message[ReplyHeader]:
    """Verify and read a reply. ``signers`` None takes the key that the reply itself names: only for an appliance that
    has no identity yet, whose word is then compared by its owner.

    Raises CoseError, SignatureError, CborError, or MessageError.
    """
    signed = cose.read(data)
    kind = _REPLIES.get(signed.content_type)
    if kind is None:
        raise CoseError(f"{signed.content_type!r} is no reply")
    return _open(data, signed, (signed.signer,) if signers is None else signers, ReplyHeader, kind)


def _seal(prefix: str, header: Value, body: Value, public_key: bytes, signer: cose.Signer) -> bytes:
    payload = cbor.encode((to_plain(header), to_plain(body)))
    return cose.sign(prefix + type(body).__name__, payload, public_key, signer)


def _open(
    data: bytes, signed: cose.Signed, signers: Collection[bytes], header_kind: type[H], body_kind: type[Value]
) -> Message[H]:
    payload = cbor.decode(signed.verified_payload(signed.content_type, signers))
    if not isinstance(payload, tuple) or len(payload) != 2:
        raise MessageError("a message is an array of header and body")
    header = from_plain(header_kind, payload[0])
    return Message(header, from_plain(body_kind, payload[1]), signed.signer, sha256(data))
