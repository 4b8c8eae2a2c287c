"""Stage 1: from hostile bytes to a message of a known sender, meant for this activation, new, and in time."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from undercroft_protocol import cose
from undercroft_protocol.errors import ProtocolError, SignatureError
from undercroft_protocol.messages import (
    FreezeRequest,
    Message,
    RequestHeader,
    StatusRequest,
    Value,
    open_request,
    request_kind,
)

from .refusals import (
    BAD_SIGNATURE,
    MALFORMED_MESSAGE,
    OTHER_ACTIVATION,
    OTHER_QUORUM,
    REQUEST_EXPIRED,
    STALE_SEQUENCE,
    UNTRUSTED_SIGNER,
    Refusal,
)

_OPEN_KINDS: Final = (StatusRequest, FreezeRequest)
"""Taken from any sender at any time: a status tells nothing, and a freeze carries its own signed order."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request must agree with at this moment.

    ``signers`` None: no quorum is loaded, any key may speak, and the handler compares it with the quorum it brings.
    """

    signers: Collection[bytes] | None
    quorum_id: bytes | None
    activation_id: bytes
    last_sequence: int
    utc: int | None


def parse(data: bytes, expected: Expected) -> Message[RequestHeader]:
    """The request in these bytes, by whom and for what it must be now. Raises Refusal."""
    message = read_request(data, expected.signers)
    if not isinstance(message.body, _OPEN_KINDS):
        check_header(message.header, expected)
    return message


def read_request(data: bytes, by: Collection[bytes] | None) -> Message[RequestHeader]:
    """The request in these bytes, signed by one of ``by`` (None: by anyone); its header is not looked at.

    The signature is verified over the bytes before the payload is read. Raises Refusal.
    """
    try:
        signed = cose.read(data)
        kind = request_kind(signed)
    except ProtocolError as error:
        raise Refusal(MALFORMED_MESSAGE, str(error)) from error
    signers = (signed.signer,) if by is None or kind in _OPEN_KINDS else by
    # Attack: another coordinator, or the risk service alone, sends a batch (signers.md 71).
    if signed.signer not in signers:
        raise Refusal(UNTRUSTED_SIGNER, f"{kind.__name__} signed by {signed.signer.hex()[:16]}")
    try:
        return open_request(data, signed, signers)
    except SignatureError as error:
        raise Refusal(BAD_SIGNATURE, kind.__name__) from error
    except ProtocolError as error:
        raise Refusal(MALFORMED_MESSAGE, str(error)) from error


def check_header(header: RequestHeader, expected: Expected) -> None:
    """Raises Refusal unless the header is for this quorum and activation, newer than the last one, and in time."""
    # Attack: a message for one appliance or quorum is sent to another.
    if expected.quorum_id is not None and header.quorum_id != expected.quorum_id:
        raise Refusal(OTHER_QUORUM, f"quorum {'none' if header.quorum_id is None else header.quorum_id.hex()[:16]}")
    # Attack: a batch is kept and sent again after the next activation, when windows are new (signers.md 70).
    if header.activation_id != expected.activation_id:
        raise Refusal(OTHER_ACTIVATION, f"activation {header.activation_id.hex()}")
    # Attack: a message is repeated, or an older one is slipped in behind a newer one.
    if header.sequence <= expected.last_sequence:
        raise Refusal(STALE_SEQUENCE, f"number {header.sequence} after {expected.last_sequence}")
    check_expiry(header, expected.utc)


def check_expiry(header: RequestHeader, utc: int | None) -> None:
    """Raises Refusal when the request came too late; before an owner confirmed the time nothing can be too late."""
    # Attack: the line holds a message back until it suits.
    if utc is not None and header.expires < utc:
        raise Refusal(REQUEST_EXPIRED, f"{utc - header.expires} s too late")


def sent_by(message: Message[RequestHeader], key: bytes, quorum_id: bytes) -> None:
    """Raises Refusal unless ``key`` (the vault's) signed a message for this quorum, or for none yet."""
    body: Value = message.body
    # Attack: somebody else's host brings our quorum, to be answered in the name of our vault.
    if message.sender != key:
        raise Refusal(UNTRUSTED_SIGNER, f"{type(body).__name__} signed by {message.sender.hex()[:16]}")
    if message.header.quorum_id not in (None, quorum_id):
        raise Refusal(OTHER_QUORUM, "header and body name different quorums")
