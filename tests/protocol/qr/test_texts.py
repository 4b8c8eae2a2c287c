"""PSBTs in the forms of older wallets: what is read, and one mutation each."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping

import pytest

from protocol.qr.bbqr_examples import LIMIT, psbt
from protocol.qr.collector_support import Pmofn
from undercroft_protocol.errors import QrError, QrMessageError, QrSymbolError
from undercroft_protocol.qr.stream import Format, Gathered, Kind, Payload
from undercroft_protocol.qr.texts import PlainSink, PmofnSink, plain_psbt

BASE43 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$*+-./:"


def base43(data: bytes) -> str:
    """As Electrum writes it: one big number."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, value = divmod(number, 43)
        text = BASE43[value] + text
    return text


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


FORMS: Mapping[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "hex in capitals": lambda data: data.hex().upper(),
    "base64": base64_text,
    "base64 and a line's end": lambda data: base64_text(data) + "\n",
    "base43": base43,
    "binary": lambda data: data.decode("latin-1"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [12, 13, 14, 100, 1501])
def test_a_whole_psbt_in_one_code_is_read(form: str, size: int) -> None:
    sink = PlainSink(limit=LIMIT)
    assert sink.take(FORMS[form](psbt(size))) == Payload(Format.PLAIN, Kind.PSBT, psbt(size))
    assert sink.gathered == Gathered(1, 1, size)


def test_base43_is_that_of_electrum() -> None:
    # The alphabet's own definition: the last character counts 1, the one before it 43.
    data = b"psbt\xff\x01"
    assert plain_psbt(base43(data), limit=LIMIT) == data
    assert sum(BASE43.index(c) * 43**at for at, c in enumerate(reversed(base43(data)))) == int.from_bytes(data, "big")


@pytest.mark.parametrize("fill", [b"\0", b"\xff"])
@pytest.mark.parametrize("size", [0, 1, 5, 6, 7, 50, 333])
def test_base43_is_told_by_its_first_characters_also_at_the_edges(fill: bytes, size: int) -> None:
    assert plain_psbt(base43(b"psbt\xff" + size * fill), limit=LIMIT) == b"psbt\xff" + size * fill
    for other in (b"psbt\xfe", b"psbu\0", b"psbs\xff", b"\1psbt\xff"):
        with pytest.raises(QrSymbolError, match="no PSBT"):
            plain_psbt(base43(other + size * fill), limit=LIMIT)


@pytest.mark.parametrize("form", FORMS)
def test_attack_a_psbt_longer_than_the_limit_is_refused(form: str) -> None:
    with pytest.raises(QrMessageError, match="more than 99 bytes"):
        plain_psbt(FORMS[form](psbt(100)), limit=99)
    assert plain_psbt(FORMS[form](psbt(100)), limit=100) == psbt(100)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "HELLO",
        "0" + base43(psbt(20)),
        base43(b"qsbt\xff" + bytes(20)),
        base64_text(b"psbu\xff" + bytes(20)),
        "https://example.com/",
        "\u0661\u0662",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    ],
)
def test_attack_what_is_no_psbt_is_refused(text: str) -> None:
    with pytest.raises(QrSymbolError, match="no PSBT"):
        plain_psbt(text, limit=LIMIT)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (psbt(20).hex()[:-1], "hex"),
        (psbt(20).hex()[:-1] + "g", "hex"),
        (psbt(20).hex() + " 00", "hex"),
        (base64_text(psbt(20))[:-1], "base64"),
        (base64_text(psbt(20)) + "=", "base64"),
        (base64_text(psbt(20)).replace("=", "") + "=A", "base64"),
        (base64_text(psbt(20))[:10] + "\n" + base64_text(psbt(20))[10:], "base64"),
        (base64_text(psbt(19))[:-3] + "/==", "base64"),
        ("psbt\xff\u0100", "changed the bytes"),
    ],
)
def test_attack_a_psbt_that_goes_on_badly_is_refused(text: str, match: str) -> None:
    with pytest.raises(QrMessageError, match=match):
        plain_psbt(text, limit=LIMIT)


@pytest.mark.parametrize("size", [10, 500, 4000])
@pytest.mark.parametrize("characters", [50, 77, 400])
def test_the_parts_of_a_pmofn_message_are_read_in_any_order(size: int, characters: int) -> None:
    texts = Pmofn(psbt(size), characters=max(characters, size // 60)).texts
    random.Random(size).shuffle(texts)
    sink = PmofnSink(limit=size)
    found = [sink.take(text) for text in texts]
    assert found[:-1] == [None] * (len(texts) - 1)
    assert found[-1] == Payload(Format.PMOFN, Kind.PSBT, psbt(size))
    assert sink.gathered == Gathered(len(texts), len(texts))


@pytest.mark.parametrize(
    "head",
    [
        *("p0of3", "p4of3", "p1of0", "p0of0", "p1of100", "p1of1000000", "p100of100", "p01of3", "p1of03"),
        *("p1of" + "9" * 5000, "p\u0661of3", "P1OF3", "p1 of3", "p-1of3", "p1of3.0", "q1of3"),
    ],
)
def test_attack_numbers_out_of_range_are_refused(head: str) -> None:
    sink = PmofnSink(limit=LIMIT)
    with pytest.raises(QrSymbolError):
        sink.take(f"{head} {base64_text(psbt(30))}")
    assert sink.gathered == Gathered(0, 0)


@pytest.mark.parametrize("body", ["", "cHNi dP8", "cHNi\n", "=cHNi", "é", "cHNi-_"])
def test_attack_a_part_that_is_not_base64_is_refused(body: str) -> None:
    with pytest.raises(QrSymbolError):
        PmofnSink(limit=LIMIT).take(f"p1of3 {body}")


def test_99_parts_are_read() -> None:
    texts = Pmofn(psbt(4 * 99 * 3), characters=16).texts
    assert len(texts) == 99
    sink = PmofnSink(limit=LIMIT)
    assert [one for one in map(sink.take, texts) if one] == [Payload(Format.PMOFN, Kind.PSBT, psbt(4 * 99 * 3))]


@pytest.mark.parametrize(
    "text", ["p2of3 QUJD", "p1of4 QUJD"], ids=["the same part with another content", "another total"]
)
def test_attack_a_part_that_contradicts_changes_nothing(text: str) -> None:
    texts = Pmofn(psbt(150), characters=80).texts
    assert len(texts) == 3
    sink = PmofnSink(limit=LIMIT)
    sink.take(texts[1])
    with pytest.raises(QrSymbolError):
        sink.take(text)
    assert [one.data for one in map(sink.take, texts) if one] == [psbt(150)]


def test_attack_parts_of_more_than_the_limit_are_refused_before_the_last() -> None:
    texts = Pmofn(psbt(900), characters=200).texts
    sink = PmofnSink(limit=300)
    with pytest.raises(QrError, match="more than 300 bytes"):
        for text in texts[:-1]:
            sink.take(text)


@pytest.mark.parametrize("data", [b"no PSBT at all", bytes(100)])
def test_attack_parts_that_carry_no_psbt_are_refused(data: bytes) -> None:
    sink = PmofnSink(limit=LIMIT)
    with pytest.raises(QrMessageError, match="no PSBT"):
        for text in Pmofn(data, characters=8).texts:
            sink.take(text)


def test_attack_parts_that_are_base64_alone_but_not_together_are_refused() -> None:
    sink = PmofnSink(limit=LIMIT)
    sink.take("p1of2 cHNidP8=")
    with pytest.raises(QrMessageError, match="base64"):
        sink.take("p2of2 AAAA")
