"""COSE_Sign1 with Ed25519: agrees with another implementation, and believes nothing that is not signed."""

from __future__ import annotations

import cbor2
import pytest
from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm, ContentType
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

import message_examples as examples
from undercroft_protocol import cbor, cose
from undercroft_protocol.codec import to_plain
from undercroft_protocol.errors import CoseError, ProtocolError, SignatureError
from undercroft_protocol.messages import (
    BatchRequest,
    Clearance,
    FreezeOrder,
    LogSeal,
    ReplyHeader,
    RequestHeader,
    StatusReport,
    StatusRequest,
    open_reply,
    open_request,
    open_statement,
    seal_reply,
    seal_request,
    sign_statement,
)

KEY = examples.test_key(0x11)
PUBLIC = bytes(KEY.verify_key)
SIGNER = examples.signer(KEY)
OTHER = examples.test_key(0x12)
KIND = "undercroft/1/statement/Test"


def good() -> bytes:
    return cose.sign(KIND, b"payload", PUBLIC, SIGNER)


def parts_of(data: bytes) -> list[cbor.Plain]:
    parts = cbor.decode_tagged(data, cose.TAG)
    assert isinstance(parts, tuple)
    return list(parts)


def rebuilt(parts: list[cbor.Plain]) -> bytes:
    return cbor.encode(cbor.Tagged(cose.TAG, parts))


def test_what_is_signed_is_read_back() -> None:
    signed = cose.read(good())
    assert signed.signer == PUBLIC
    assert signed.verified_payload(KIND, [PUBLIC]) == b"payload"


def test_pycose_verifies_what_we_sign() -> None:
    # pycose 1.1 expects the list that older cbor2 releases gave; the parts are what stands in the bytes all the same.
    protected, unprotected, payload, signature = cbor2.loads(good()).value
    message = Sign1Message.from_cose_obj([protected, dict(unprotected), payload, signature], True)
    message.key = OKPKey(crv=Ed25519, x=PUBLIC)
    assert message.verify_signature()
    assert message.payload == b"payload"


def test_we_verify_what_pycose_signs_and_the_bytes_are_equal() -> None:
    message = Sign1Message(phdr={Algorithm: EdDSA, ContentType: KIND, KID: PUBLIC}, payload=b"payload")
    message.key = OKPKey(crv=Ed25519, x=PUBLIC, d=bytes(KEY))
    theirs = message.encode()
    assert cose.read(theirs).verified_payload(KIND, [PUBLIC]) == b"payload"
    assert theirs == good()


def test_attack_a_signature_for_one_purpose_does_not_count_for_another() -> None:
    with pytest.raises(CoseError, match="content type"):
        cose.read(good()).verified_payload("undercroft/1/statement/Other", [PUBLIC])


def test_attack_a_stranger_signs() -> None:
    data = cose.sign(KIND, b"payload", bytes(OTHER.verify_key), examples.signer(OTHER))
    with pytest.raises(SignatureError, match="may not sign"):
        cose.read(data).verified_payload(KIND, [PUBLIC])


def test_attack_a_stranger_signs_in_the_name_of_the_vault() -> None:
    data = cose.sign(KIND, b"payload", PUBLIC, examples.signer(OTHER))
    with pytest.raises(SignatureError):
        cose.read(data).verified_payload(KIND, [PUBLIC])


@pytest.mark.parametrize("at", [0, 2, 3])
def test_attack_any_changed_bit_of_header_payload_or_signature_is_noticed(at: int) -> None:
    parts = parts_of(good())
    original = parts[at]
    assert isinstance(original, bytes)
    for position in range(len(original)):
        for bit in (1, 0x80):
            changed = bytearray(original)
            changed[position] ^= bit
            parts[at] = bytes(changed)
            with pytest.raises(ProtocolError):
                cose.read(rebuilt(parts)).verified_payload(KIND, [PUBLIC])


def test_attack_something_stands_in_the_unprotected_header() -> None:
    parts = parts_of(good())
    parts[1] = {4: b"x"}
    with pytest.raises(CoseError, match="unprotected"):
        cose.read(rebuilt(parts))


@pytest.mark.parametrize(
    "header",
    [
        {1: -7, 3: KIND, 4: PUBLIC},
        {1: 0, 3: KIND, 4: PUBLIC},
        {3: KIND, 4: PUBLIC},
        {1: -8, 4: PUBLIC},
        {1: -8, 3: KIND},
        {1: -8, 3: KIND, 4: PUBLIC[:31]},
        {1: -8, 3: 1, 4: PUBLIC},
        {1: -8, 3: KIND, 4: PUBLIC, 5: b"iv"},
        {1: -8, 2: (1,), 3: KIND, 4: PUBLIC},
        (1, 2),
    ],
)
def test_attack_another_algorithm_or_header_is_refused(header: cbor.Plain) -> None:
    parts = parts_of(good())
    parts[0] = cbor.encode(header)
    with pytest.raises(CoseError):
        cose.read(rebuilt(parts))


@pytest.mark.parametrize("count", [0, 3, 5])
def test_attack_another_number_of_parts(count: int) -> None:
    with pytest.raises(CoseError, match="four"):
        cose.read(rebuilt(([*parts_of(good()), b""])[:count]))


def test_attack_a_detached_payload() -> None:
    parts = parts_of(good())
    parts[2] = None
    with pytest.raises(CoseError):
        cose.read(rebuilt(parts))


def test_attack_truncated_at_each_byte() -> None:
    data = good()
    for end in range(len(data)):
        with pytest.raises(ProtocolError):
            cose.read(data[:end])


HEADER = RequestHeader(bytes(32), bytes(16), 1, examples.NOW)
REPLY_HEADER = ReplyHeader(bytes(32), bytes(16), 1, bytes(32), None, bytes(32))


def test_a_request_and_a_reply_travel_whole() -> None:
    data = seal_request(HEADER, StatusRequest(), PUBLIC, SIGNER)
    message = open_request(data, cose.read(data), [PUBLIC])
    assert (message.header, message.body, message.sender) == (HEADER, StatusRequest(), PUBLIC)
    report = examples.messages()["StatusReport"]
    answer = open_reply(seal_reply(REPLY_HEADER, report, PUBLIC, SIGNER), [PUBLIC])
    assert (answer.header, answer.body) == (REPLY_HEADER, report)


def test_attack_a_reply_is_shown_as_a_request() -> None:
    data = seal_reply(REPLY_HEADER, examples.messages()["Done"], PUBLIC, SIGNER)
    with pytest.raises(CoseError, match="no request"):
        open_request(data, cose.read(data), [PUBLIC])


def test_attack_a_request_is_reflected_as_a_reply() -> None:
    with pytest.raises(CoseError, match="no reply"):
        open_reply(seal_request(HEADER, StatusRequest(), PUBLIC, SIGNER), [PUBLIC])


def test_attack_a_freeze_order_is_shown_as_a_log_seal() -> None:
    order = sign_statement(FreezeOrder(bytes(32), "", 0), PUBLIC, SIGNER)
    with pytest.raises(CoseError, match="content type"):
        open_statement(LogSeal, order, [PUBLIC])


def test_attack_the_body_of_one_request_under_the_name_of_another() -> None:
    batch = examples.messages()["BatchRequest"]
    data = cose.sign(
        "undercroft/1/request/LockRequest",
        cbor.encode((dict(enumerate_fields(HEADER)), dict(enumerate_fields(batch)))),
        PUBLIC,
        SIGNER,
    )
    with pytest.raises(ProtocolError):
        open_request(data, cose.read(data), [PUBLIC])


def enumerate_fields(value: object) -> list[tuple[int, cbor.Plain]]:
    plain = to_plain(value)
    assert isinstance(plain, dict)
    return list(plain.items())


def test_attack_the_signature_is_checked_before_the_payload_is_parsed() -> None:
    """A forged message with a payload that no parser accepts must fail on its signature, not in the parser."""
    data = cose.sign("undercroft/1/request/BatchRequest", b"\xff" * 100, PUBLIC, examples.signer(OTHER))
    with pytest.raises(SignatureError):
        open_request(data, cose.read(data), [PUBLIC])


def test_a_statement_tells_who_signed_it() -> None:
    clearance = examples.messages()["Clearance"]
    data = sign_statement(clearance, PUBLIC, SIGNER)
    assert open_statement(Clearance, data, [bytes(OTHER.verify_key), PUBLIC]) == (clearance, PUBLIC)


def test_every_request_name_is_its_own_domain() -> None:
    batch = examples.messages()["BatchRequest"]
    data = seal_request(HEADER, batch, PUBLIC, SIGNER)
    assert cose.read(data).content_type == f"undercroft/1/request/{BatchRequest.__name__}"
    report = seal_reply(REPLY_HEADER, examples.messages()["StatusReport"], PUBLIC, SIGNER)
    assert cose.read(report).content_type == f"undercroft/1/reply/{StatusReport.__name__}"
