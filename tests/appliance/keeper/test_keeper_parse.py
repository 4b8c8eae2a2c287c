"""Stage 1: bytes that are no message, and messages that are not for this moment."""

from __future__ import annotations

import pytest
from nacl.signing import SigningKey

from appliance.builders import QUORUM, RISK, STRANGER, UTC, VAULT, good_batch, public, stated
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.parse import Expected, parse
from undercroft_appliance.keeper.refusals import Refusal, RefusalCode
from undercroft_protocol import cbor, cose
from undercroft_protocol.messages import (
    FreezeOrder,
    FreezeRequest,
    LockRequest,
    RequestHeader,
    StatusRequest,
    Value,
    seal_request,
)

ACTIVATION = b"\x05" * 16
EXPECTED = Expected((public(VAULT),), QUORUM.id, ACTIVATION, 5, UTC)
GOOD = RequestHeader(QUORUM.id, ACTIVATION, 6, UTC)


def sealed(body: Value, header: RequestHeader = GOOD, key: SigningKey = VAULT) -> bytes:
    return seal_request(header, body, public(key), lambda data: bytes(key.sign(data).signature))


def code_of(data: bytes, expected: Expected = EXPECTED) -> RefusalCode:
    with pytest.raises(Refusal) as caught:
        parse(data, expected)
    return caught.value.code


def test_a_good_request_is_read() -> None:
    batch = good_batch()
    assert parse(sealed(batch), EXPECTED).body == batch


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        bytes(1000),
        b"\xff" * 100,
        sealed(LockRequest())[:-1],
        sealed(LockRequest()) + b"\x00",
        sealed(LockRequest()) * 2,
        b"\xd2" + b"\x81" * 10_000 + b"\x00",
        stated(FreezeOrder(QUORUM.id, "a statement is no request", UTC), VAULT),
    ],
)
def test_attack_bytes_that_are_no_message(data: bytes) -> None:
    assert code_of(data) is refusals.MALFORMED_MESSAGE


def test_attack_signed_payload_of_another_shape() -> None:
    kind = "undercroft/1/request/LockRequest"
    for payload in (b"\x00", cbor.encode((1, 2, 3)), cbor.encode(({}, {})), b"\xbf\xff"):
        data = cose.sign(kind, payload, public(VAULT), lambda data: bytes(VAULT.sign(data).signature))
        assert code_of(data) is refusals.MALFORMED_MESSAGE


@pytest.mark.parametrize("key", [RISK, STRANGER])
def test_attack_batch_by_another_coordinator(key: SigningKey) -> None:
    assert code_of(sealed(good_batch(), key=key)) is refusals.UNTRUSTED_SIGNER


def test_attack_every_byte_of_a_signed_message_matters() -> None:
    good = sealed(LockRequest())
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1
        assert code_of(bytes(bad)) in (
            refusals.BAD_SIGNATURE,
            refusals.MALFORMED_MESSAGE,
            refusals.UNTRUSTED_SIGNER,
        )


def test_attack_signature_of_one_message_under_another() -> None:
    first, second = cose.read(sealed(LockRequest())), cose.read(sealed(good_batch()))
    mixed = cbor.encode(cbor.Tagged(18, (second.protected, {}, second.payload, first.signature)))
    assert code_of(mixed) is refusals.BAD_SIGNATURE


def test_attack_message_for_another_quorum() -> None:
    header = RequestHeader(b"\x01" * 32, ACTIVATION, 6, UTC)
    assert code_of(sealed(LockRequest(), header)) is refusals.OTHER_QUORUM
    assert code_of(sealed(LockRequest(), RequestHeader(None, ACTIVATION, 6, UTC))) is refusals.OTHER_QUORUM


def test_attack_message_of_an_earlier_activation() -> None:
    header = RequestHeader(QUORUM.id, b"\x04" * 16, 6, UTC)
    assert code_of(sealed(LockRequest(), header)) is refusals.OTHER_ACTIVATION


@pytest.mark.parametrize("sequence", [0, 4, 5])
def test_attack_older_message(sequence: int) -> None:
    header = RequestHeader(QUORUM.id, ACTIVATION, sequence, UTC)
    assert code_of(sealed(LockRequest(), header)) is refusals.STALE_SEQUENCE


def test_attack_message_held_back_until_it_suits() -> None:
    header = RequestHeader(QUORUM.id, ACTIVATION, 6, UTC - 1)
    assert code_of(sealed(LockRequest(), header)) is refusals.REQUEST_EXPIRED


def test_a_status_or_a_freeze_is_read_from_anybody_at_any_time() -> None:
    header = RequestHeader(None, bytes(16), 0, 0)
    for body in (StatusRequest(), FreezeRequest(bytes(80))):
        assert parse(sealed(body, header, STRANGER), EXPECTED).body == body


def test_without_a_quorum_any_key_may_speak_and_nothing_expires() -> None:
    empty = Expected(None, None, ACTIVATION, 0, None)
    assert parse(sealed(LockRequest(), RequestHeader(None, ACTIVATION, 1, 0), STRANGER), empty).sender == public(
        STRANGER
    )
