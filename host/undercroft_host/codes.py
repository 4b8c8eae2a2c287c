"""What a file holds, as a payload for codes: its kind, and the form in which a format or a wallet wants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.qr.presets import PRESETS, preset, source_for
from undercroft_protocol.qr.sources import source_of
from undercroft_protocol.qr.stream import Format, Kind, Payload, SymbolSource
from undercroft_protocol.qr.ur.registry import AccountDescriptor, OutputDescriptor
from undercroft_protocol.qr.wallet_files import QuorumForm, quorum_file

from .errors import UsageProblem
from .psbt_text import decoded_psbt, is_psbt

T = TypeVar("T")

WALLETS: Final = tuple(PRESETS)
SHOWN_FORMATS: Final = (Format.FAST, Format.UR, Format.BBQR)
SHOWN_KINDS: Final = (Kind.MESSAGE, Kind.PSBT, Kind.OUTPUT, Kind.ACCOUNT, Kind.BYTES, Kind.TEXT, Kind.JSON)

_WALLET_NAME: Final = "undercroft"
_DESCRIPTOR: Final = b"wsh("


@dataclass(frozen=True, slots=True)
class Shown:
    """A payload and its codes."""

    payload: Payload
    source: SymbolSource


def shown(
    data: bytes,
    *,
    form: Format | None,
    kind: Kind | None,
    wallet: str | None,
    version: int,
    entropy: Callable[[int], bytes],
) -> Shown:
    """The codes of what a file holds. Raises UsageProblem.

    Without ``kind`` a PSBT is one, and anything else a message in the fast format or plain bytes in another. Without
    ``form`` it is what the wallet reads, else the fast format for messages and UR for what is for other wallets. An
    output is the text of a quorum's descriptor or, as an account, the CBOR item of the registry.
    """
    if wallet is not None:
        form = _same(form, preset(wallet).format, wallet)
    kind = kind or _guessed(data, form)
    form = form or (Format.FAST if kind is Kind.MESSAGE else Format.UR)
    try:
        payload = _payload(data, form, kind)
        if wallet is None:
            return Shown(payload, source_of(payload, version=version, entropy=entropy))
        return Shown(payload, source_for(preset(wallet), payload.kind, payload.data))
    except ProtocolError as error:
        raise UsageProblem(error.detail or str(error)) from error


def _same(form: Format | None, wanted: Format, wallet: str) -> Format:
    if form not in (None, wanted):
        raise UsageProblem(f"{wallet} reads {wanted.value}")
    return wanted


def _guessed(data: bytes, form: Format | None) -> Kind:
    if is_psbt(data):
        return Kind.PSBT
    return Kind.MESSAGE if form in (None, Format.FAST) else Kind.BYTES


def _payload(data: bytes, form: Format, kind: Kind) -> Payload:
    if not data:
        raise UsageProblem("it is empty")
    if kind is Kind.PSBT:
        data, _ = decoded_psbt(data)
        if not data.startswith(PSBT_MAGIC):
            raise UsageProblem("it is no PSBT")
    if len(data) > MAX_MESSAGE_BYTES:
        raise UsageProblem(f"{len(data)} bytes; {MAX_MESSAGE_BYTES} is the most that is read again")
    if form is Format.FAST:
        if kind in (Kind.OUTPUT, Kind.ACCOUNT):
            raise UsageProblem(f"{kind.value} is for other wallets, which do not read the fast format")
        # The fast format carries bytes to the other side, which knows a PSBT by its first five.
        return Payload(form, Kind.MESSAGE, data)
    if kind is Kind.OUTPUT:
        return _output(data, form)
    if kind is Kind.ACCOUNT:
        _on_either_network(lambda network: AccountDescriptor.from_item(data, network))
    if kind in (Kind.TEXT, Kind.JSON):
        _check_utf8(data)
    # UR has no type of its own for a text: it travels as bytes, in which wallets look for the files that they know.
    return Payload(form, Kind.BYTES if form is Format.UR and kind in (Kind.TEXT, Kind.JSON) else kind, data)


def _output(data: bytes, form: Format) -> Payload:
    """A quorum in the form in which wallets import it by this format; ``data`` is its descriptor, or the CBOR item."""
    if not data.startswith(_DESCRIPTOR):
        _on_either_network(lambda network: OutputDescriptor.from_item(data, network))
        return Payload(form, Kind.OUTPUT, data)
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise UsageProblem("the descriptor is no ASCII text") from None
    descriptor = _on_either_network(lambda network: QuorumDescriptor.parse(text, network))
    found = quorum_file(QuorumForm.OUTPUT if form is Format.UR else QuorumForm.COLDCARD, descriptor, _WALLET_NAME)
    return Payload(form, found.kind, found.data)


def _on_either_network(read: Callable[[Network], T]) -> T:
    """What it is on mainnet or on a test network, whose keys are all written alike. Raises what ``read`` raises."""
    try:
        return read(Network.MAINNET)
    except ProtocolError:
        return read(Network.TESTNET)


def _check_utf8(data: bytes) -> None:
    # No reader takes other bytes for a text, ours neither.
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageProblem("it is no text in UTF-8") from None
