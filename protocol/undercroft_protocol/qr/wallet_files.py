"""The quorum and its owners' accounts in the forms that other wallets import; nothing in them is secret."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from undercroft_protocol.bitcoin import base58
from undercroft_protocol.bitcoin.descriptor import CosignerKey, QuorumDescriptor
from undercroft_protocol.bitcoin.extended_key import HARDENED
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import QrError

from .stream import Kind
from .ur.registry import AccountDescriptor, OutputDescriptor

MAX_NAME_CHARACTERS: Final = 20
"""What a Coldcard takes as the name of a wallet."""

# SLIP 132: Zpub and Vpub, keys for P2WSH of several owners.
_VERSION_MAINNET: Final = bytes.fromhex("02aa7ed3")
_VERSION_TEST: Final = bytes.fromhex("02575483")


class QuorumForm(StrEnum):
    """A whole quorum, as another wallet imports it."""

    DESCRIPTOR = "descriptor"
    COLDCARD = "coldcard"
    OUTPUT = "output"


class AccountForm(StrEnum):
    """One owner's account, as another wallet imports it."""

    KEY = "key"
    ACCOUNT = "account"
    ACCOUNT_JSON = "account-json"


@dataclass(frozen=True, slots=True)
class WalletFile:
    """What a wallet imports, and as which kind of payload codes carry it."""

    kind: Kind
    data: bytes


def quorum_file(form: QuorumForm, descriptor: QuorumDescriptor, name: str) -> WalletFile:
    """A whole quorum.

    DESCRIPTOR is its text with checksum (BIP 380, 389). COLDCARD is the set-up file that Coldcard began and that
    Passport, Keystone and Sparrow read as well; ``name`` (1 to 20 printable ASCII characters) stands in it. OUTPUT is
    the CBOR item of `ur:crypto-output` (BCR-2020-010). Raises QrError for a name that is none.
    """
    match form:
        case QuorumForm.DESCRIPTOR:
            return _text(descriptor.text() + "\n")
        case QuorumForm.COLDCARD:
            return _text(_config_text(descriptor, name))
        case QuorumForm.OUTPUT:
            return WalletFile(Kind.OUTPUT, OutputDescriptor(descriptor).to_item())


def account_file(form: AccountForm, cosigner: CosignerKey, network: Network) -> WalletFile:
    """One owner's account key for quorums.

    KEY is the key with its origin, as in a descriptor. ACCOUNT is the CBOR item of `ur:crypto-account` (BCR-2020-015).
    ACCOUNT_JSON is what a Coldcard exports for a multisig wallet, with the key as Zpub or Vpub (SLIP 132).
    """
    match form:
        case AccountForm.KEY:
            return _text(cosigner.text() + "\n")
        case AccountForm.ACCOUNT:
            return WalletFile(Kind.ACCOUNT, AccountDescriptor(network, cosigner).to_item())
        case AccountForm.ACCOUNT_JSON:
            return WalletFile(Kind.JSON, _account_json(cosigner, network).encode())


def path_text(path: tuple[int, ...]) -> str:
    """``m/48'/1'/0'/2'``, as these files write a path (BIP 32)."""
    return "/".join(("m", *(f"{step & ~HARDENED}{chr(39) if step & HARDENED else ''}" for step in path)))


def _text(text: str) -> WalletFile:
    return WalletFile(Kind.TEXT, text.encode("ascii"))


def _config_text(descriptor: QuorumDescriptor, name: str) -> str:
    # Attack: a name with a line's end in it, behind which another key or policy follows.
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not (name.isascii() and name.isprintable()) or name != name.strip():
        raise QrError(f"a wallet's name is 1 to {MAX_NAME_CHARACTERS} printable ASCII characters")
    # Every owner's key has the same path (`QuorumDescriptor` sees to it), so that it stands in the file once.
    head = (
        f"Name: {name}",
        f"Policy: {descriptor.threshold} of {len(descriptor.cosigners)}",
        "Format: P2WSH",
        f"Derivation: {path_text(descriptor.cosigners[0].path)}",
    )
    keys = (f"{one.fingerprint.hex().upper()}: {one.xpub.text()}" for one in descriptor.cosigners)
    return "\n".join((*head, "", *keys, ""))


def _account_json(cosigner: CosignerKey, network: Network) -> str:
    version = _VERSION_MAINNET if network is Network.MAINNET else _VERSION_TEST
    fields = {
        "p2wsh_deriv": path_text(cosigner.path),
        "p2wsh": base58.encode_check(version + cosigner.xpub.serialize()[4:]),
        "account": str(cosigner.path[2] & ~HARDENED),
        "xfp": cosigner.fingerprint.hex().upper(),
    }
    return json.dumps(fields, indent=1) + "\n"
