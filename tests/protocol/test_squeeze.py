"""Compression of messages: what went in comes out, and nothing makes a receiver allocate more than it allows."""

from __future__ import annotations

import lzma
import random
import zlib

import pytest

from undercroft_protocol.errors import SqueezeError
from undercroft_protocol.squeeze import Method, squeeze, unsqueeze

_NOISE = random.Random(4).randbytes(5000)
_FILTERS = ({"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20, "lc": 4, "lp": 0, "pb": 0},)


@pytest.mark.parametrize("message", [b"", b"a", b"a" * 100_000, _NOISE, b"batch " * 500 + _NOISE[:900]])
def test_a_message_comes_out_as_it_went_in_and_is_never_longer_by_more_than_a_byte(message: bytes) -> None:
    squeezed = squeeze(message)
    assert len(squeezed) <= len(message) + 1
    assert unsqueeze(squeezed, limit=len(message)) == message


def test_a_long_message_is_squeezed_in_a_time_in_which_a_line_stays_alive() -> None:
    batch = random.Random(5).randbytes(900) + b"batch " * 50
    longest, longer = batch * 800, batch * 1000
    assert len(longest) < 1 << 20 < len(longer)
    assert [squeeze(message)[0] for message in (longest, longer)] == [Method.LZMA2, Method.DEFLATE]


def _bomb(method: Method) -> bytes:
    zeros = bytes(50_000_000)
    if method is Method.DEFLATE:
        deflate = zlib.compressobj(9, wbits=-15)
        return bytes((method,)) + deflate.compress(zeros) + deflate.flush()
    return bytes((method,)) + lzma.compress(zeros, format=lzma.FORMAT_RAW, filters=_FILTERS)


@pytest.mark.parametrize("method", [Method.DEFLATE, Method.LZMA2])
def test_attack_a_bomb_is_refused_after_its_limit(method: Method) -> None:
    with pytest.raises(SqueezeError, match="more than 1000 bytes"):
        unsqueeze(_bomb(method), limit=1000)


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("limit", [0, 1, 4999])
def test_attack_one_byte_over_the_limit_is_refused(method: Method, limit: int) -> None:
    message = _NOISE[: limit + 1]
    body = {
        Method.PLAIN: message,
        Method.DEFLATE: zlib.compress(message, wbits=-15),
        Method.LZMA2: lzma.compress(message, format=lzma.FORMAT_RAW, filters=_FILTERS),
    }[method]
    with pytest.raises(SqueezeError):
        unsqueeze(bytes((method,)) + body, limit=limit)
    assert unsqueeze(bytes((method,)) + body, limit=limit + 1) == message


@pytest.mark.parametrize("message", [b"a" * 3000, b"batch " * 500 + _NOISE[:900]])
def test_attack_cut_or_lengthened_bytes_are_refused(message: bytes) -> None:
    squeezed = squeeze(message)
    assert squeezed[0] != Method.PLAIN
    for cut in range(len(squeezed)):
        with pytest.raises(SqueezeError):
            unsqueeze(squeezed[:cut], limit=1 << 20)
    with pytest.raises(SqueezeError, match="behind its end"):
        unsqueeze(squeezed + b"\0", limit=1 << 20)


@pytest.mark.parametrize("data", [b"\x03abc", b"\xff", b"\x01\xff\xff", b"\x02\xff\xff"])
def test_attack_an_unknown_method_or_a_broken_stream_is_refused(data: bytes) -> None:
    with pytest.raises(SqueezeError):
        unsqueeze(data, limit=1 << 20)
