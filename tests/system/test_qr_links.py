"""A real appliance with a line and a camera: wallets' PSBTs by distorted codes, the log, and a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from appliance.port.codes_support import SECONDS, Outside, fast
from undercroft_appliance.devtools.read_log import verify_log
from undercroft_demo.lone import LoneAppliance
from undercroft_demo.played_keys import NETWORK
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import LogFile, RefusalReply, open_reply
from undercroft_protocol.qr.bbqr import BbqrSource
from undercroft_protocol.qr.capacity import capacity_alphanumeric
from undercroft_protocol.qr.fast import FastSource
from undercroft_protocol.qr.stream import Format, Kind, Payload, SymbolSource
from undercroft_protocol.qr.ur import UrSource

COIN_SATS = 1_000_000
PAID_SATS = 600_000
FEE_SATS = 2_000
SEQUENCE = 0xFFFFFFFD
PAYEE = b"\x00\x14" + b"\x07" * 20
VERSION = 16
NUMBERS = count(1)


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    there = Outside(tmp_path_factory.mktemp("optics"))
    yield there
    there.close()


@pytest.fixture(scope="module")
def appliance(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneAppliance]:
    folder = tmp_path_factory.mktemp("appliance")
    with LoneAppliance.started(folder, "test passphrase, never real", more=outside.options) as one:
        one.owner.rules.insert(0, (r"^PSBT\n", "approve"))
        for step in (one.create, one.bind, one.lock, one.unlock, one.arm):
            step()
        yield one


def unsigned(appliance: LoneAppliance) -> bytes:
    """A PSBT over a coin of the quorum, as a coordinator's wallet makes it; each time another."""
    assert appliance.quorum is not None
    number, descriptor = next(NUMBERS), appliance.quorum.descriptor()
    coin = TxOutput(COIN_SATS, descriptor.script(0, number))
    previous = Transaction(2, (TxInput(Outpoint(number.to_bytes(32, "big"), 0), SEQUENCE),), (coin,), 0)
    change = TxOutput(COIN_SATS - PAID_SATS - FEE_SATS, descriptor.script(1, 0))
    spent = TxInput(Outpoint(previous.txid, 0), SEQUENCE)
    transaction = Transaction(2, (spent,), (TxOutput(PAID_SATS, PAYEE), change), 0)
    known = PsbtInput(previous, descriptor.witness_script(0, number), key_derivations(descriptor, 0, number))
    own = PsbtOutput(descriptor.witness_script(1, 0), key_derivations(descriptor, 1, 0))
    return Psbt(transaction, (known,), (PsbtOutput(), own)).serialize()


def by_ur(psbt: bytes) -> SymbolSource:
    return UrSource(Kind.PSBT, psbt, fragment_bytes=200)


def by_bbqr(psbt: bytes) -> SymbolSource:
    return BbqrSource(Kind.PSBT, psbt, characters=capacity_alphanumeric(VERSION) // 2)


def answered(outside: Outside, source: SymbolSource) -> Payload:
    """What the appliance shows once it was shown this; what it showed before has vanished by then."""
    # One clears the screen of the old codes, where there are any, one makes room for the new.
    clears = outside.clears + (1 if outside.is_dark() else 2)
    version = None if source.count == 1 else VERSION
    outside.show_source(source, lambda: outside.clears >= clears and not outside.is_dark(), version=version)
    return outside.read()


def by_line(appliance: LoneAppliance, message: bytes) -> bytes:
    appliance.link.send(message, timeout=SECONDS)
    return appliance.link.receive(timeout=SECONDS)


@pytest.mark.parametrize(("shown", "format_"), [(by_ur, Format.UR), (by_bbqr, Format.BBQR)], ids=["UR", "BBQr"])
def test_a_wallets_psbt_comes_back_signed_in_its_format_and_the_same_as_by_the_line(
    appliance: LoneAppliance, outside: Outside, shown: Callable[[bytes], SymbolSource], format_: Format
) -> None:
    psbt = unsigned(appliance)
    payload = answered(outside, shown(psbt))
    assert (payload.format, payload.kind) == (format_, Kind.PSBT)
    assert [len(each) for each in Psbt.parse(payload.data).verified_signatures()] == [1]
    assert by_line(appliance, psbt) == payload.data
    assert f"Network {NETWORK.value}" in appliance.owner.transcript


def test_a_fast_message_gets_a_fast_reply_that_is_the_same_as_by_the_line(
    appliance: LoneAppliance, outside: Outside
) -> None:
    psbt = unsigned(appliance)
    signed = by_line(appliance, psbt)
    assert answered(outside, FastSource(psbt, version=VERSION, session=b"once")) == fast(signed)


def test_the_owner_takes_the_log_out_as_codes(appliance: LoneAppliance, outside: Outside) -> None:
    appliance.owner.command("log")
    appliance.owner.wait_for("undercroft qr scan", SECONDS)
    # The reply of the test before may still stand there.
    shown = outside.read(lambda payload: payload.format is Format.FAST and not payload.data.startswith(PSBT_MAGIC))
    file = LogFile.from_bytes(shown.data)
    gaps, (seal,) = verify_log(file)
    assert gaps == ()
    assert seal.length == len(file.entries)


def test_a_locked_appliance_shows_nothing_and_refuses_so_that_the_host_can_read_why(
    appliance: LoneAppliance, outside: Outside
) -> None:
    appliance.lock()
    assert outside.goes_dark()
    refusal = answered(outside, by_bbqr(unsigned(appliance)))
    assert (refusal.format, refusal.kind) == (Format.UR, Kind.BYTES)
    assert isinstance(open_reply(refusal.data, None).body, RefusalReply)
