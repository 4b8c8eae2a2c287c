"""What each wallet is shown fits into the codes that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.qr.bbqr_examples import noise, psbt
from undercroft_protocol.errors import QrError, QrSizeError
from undercroft_protocol.qr.bbqr import BbqrSink
from undercroft_protocol.qr.capacity import ALPHANUMERIC, capacity_alphanumeric
from undercroft_protocol.qr.presets import PRESETS, Preset, preset, source_for
from undercroft_protocol.qr.stream import Format, Kind
from undercroft_protocol.qr.ur import UrSink

WALLETS = {"coldcard-q", "jade", "keystone", "krux", "passport", "seedsigner", "sparrow", "specter"}
ALL = pytest.mark.parametrize("chosen", PRESETS.values(), ids=lambda one: one.name)
# Not every one reads BBQr, and Coldcard reads nothing else.
BBQR_READERS = {"coldcard-q", "krux", "sparrow"}


def test_every_wallet_has_a_preset() -> None:
    assert set(PRESETS) >= WALLETS
    assert all(preset(name).name == name for name in PRESETS)


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(QrError, match="'ledger'") as caught:
        preset("ledger")
    assert all(name in str(caught.value) for name in PRESETS)


@ALL
def test_a_wallet_is_shown_only_what_it_reads(chosen: Preset) -> None:
    assert chosen.format is Format.UR or chosen.name in BBQR_READERS
    assert chosen.format is Format.BBQR or chosen.name != "coldcard-q"


@ALL
@pytest.mark.parametrize("size", [300, 5000, 50_000])
def test_every_code_fits_the_version_and_the_sink_gets_the_psbt_back(chosen: Preset, size: int) -> None:
    data = psbt(size)
    source = source_for(chosen, Kind.PSBT, data)
    sink = BbqrSink(limit=size) if chosen.format is Format.BBQR else UrSink(limit=size)
    found = None
    for _ in range(source.count):
        text = source.next_symbol()
        assert len(text) <= capacity_alphanumeric(chosen.version) and ALPHANUMERIC.issuperset(text)
        found = found or sink.take(text)
    assert found is not None and (found.kind, found.data) == (Kind.PSBT, data)
    # The next smaller version would not do: the table names the one that is needed.
    assert size < 50_000 or len(text) > capacity_alphanumeric(chosen.version - 2)


@ALL
@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.JSON, Kind.BYTES, Kind.TRANSACTION])
def test_texts_and_transactions_reach_every_wallet(chosen: Preset, kind: Kind) -> None:
    source = source_for(chosen, kind, b'{"a": 1}')
    sink = BbqrSink(limit=100) if chosen.format is Format.BBQR else UrSink(limit=100)
    found = sink.take(source.next_symbol())
    assert found is not None and found.data == b'{"a": 1}'
    assert found.kind is (kind if chosen.format is Format.BBQR else Kind.BYTES)


@ALL
def test_nothing_cannot_be_shown(chosen: Preset) -> None:
    with pytest.raises(QrError, match="nothing"):
        source_for(chosen, Kind.PSBT, b"")


@ALL
def test_more_than_the_format_can_carry_is_refused(chosen: Preset) -> None:
    with pytest.raises(QrSizeError):
        source_for(chosen, Kind.PSBT, noise(4_000_000))


def test_the_document_has_the_same_table() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "qr.md").read_text(encoding="utf-8")
    units = {Format.BBQR: "characters", Format.UR: "bytes"}
    for one in PRESETS.values():
        amount = f"{one.portion} {units[one.format]}"
        cells = (f"`{one.name}`", one.title, one.format.value, amount, one.version, one.pictures_per_second)
        assert text.count(f"| {' | '.join(map(str, cells))} |") == 1
