"""What the commands are given: a quorum, a policy, and bytes of any origin, read up to a bound and no further."""

from __future__ import annotations

import base64
import binascii
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.keeper.refusals import MALFORMED_MESSAGE, PSBT_MALFORMED, Refusal
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor, descriptor_checksum
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt_records import MAGIC as PSBT_MAGIC
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.messages import Policy, Quorum
from undercroft_protocol.messages.policy_text import policy_from_toml

_STDIN: Final = "-"
_DESCRIPTOR_BEGINS: Final = "wsh("
_NO_QUORUM_ID: Final = bytes(32)
_MOST_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
_MOST_BASE64_BYTES: Final = MAX_MESSAGE_BYTES // 3 * 4 + 1024
"""A message in base 64, and some white space around it."""
_BASE64_BEGINS: Final = base64.b64encode(PSBT_MAGIC + b"\x01")[:6]
_CBOR_MAPS: Final = range(0xA0, 0xC0)
"""First bytes of a map in CBOR (RFC 8949); no text in UTF-8 begins with one of them."""


@dataclass(frozen=True, slots=True)
class KnownQuorum:
    """Whose coins are whose: a whole quorum, or only its descriptor, which knows no vault and no risk service."""

    network: Network
    descriptor: QuorumDescriptor
    quorum: Quorum | None

    @property
    def id(self) -> bytes:
        """The quorum's id; for a descriptor, which has none, 32 zero bytes."""
        return _NO_QUORUM_ID if self.quorum is None else self.quorum.id


def read_quorum(text: str, network: str | None) -> KnownQuorum:
    """The quorum in a file (canonical CBOR, or a descriptor's text), or in this very text, which is a descriptor.

    ``network`` says which of the networks with tpub keys a descriptor is for (None: regtest). Raises
    ConfigurationError.
    """
    data = os.fsencode(text) if text.startswith(_DESCRIPTOR_BEGINS) else read_document(text, "quorum")
    try:
        if data[:1] and data[0] in _CBOR_MAPS:
            return _from_quorum(Quorum.from_bytes(data), network)
        return _from_descriptor(data.decode("ascii").strip(), network)
    except UnicodeDecodeError:
        raise ConfigurationError("the quorum is neither canonical CBOR nor a descriptor") from None
    except ProtocolError as error:
        raise ConfigurationError(f"the quorum cannot be used: {error}") from error


def read_policy(path: str, known: KnownQuorum) -> Policy:
    """The policy in a file, as people write it (TOML) or in canonical CBOR. Raises ConfigurationError."""
    data = read_document(path, "policy")
    try:
        if data[:1] and data[0] in _CBOR_MAPS:
            policy = Policy.from_bytes(data)
        else:
            # A draft need not say what it replaces; no judgement depends on it.
            policy = policy_from_toml(data.decode("utf-8"), known.id, known.network, bytes(32))
    except (UnicodeDecodeError, RecursionError):
        raise ConfigurationError("the policy is neither TOML in UTF-8 nor canonical CBOR") from None
    except ProtocolError as error:
        raise ConfigurationError(f"the policy cannot be used: {error}") from error
    # A descriptor has no id to compare with.
    if known.quorum is not None and policy.quorum_id != known.id:
        raise ConfigurationError("the policy was written for another quorum")
    return policy


def read_document(path: str, what: str) -> bytes:
    """A whole file of at most 4 MiB. Raises ConfigurationError, naming ``what`` it should have been."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MOST_DOCUMENT_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the {what} cannot be read: {error}") from error
    if len(data) > _MOST_DOCUMENT_BYTES:
        raise ConfigurationError(f"the {what} is larger than {_MOST_DOCUMENT_BYTES} bytes")
    return data


def read_message(path: str) -> tuple[bytes, bool]:
    """The bytes of a file (``-``: standard input) as they would come over the line, and whether they were in base 64.

    Raises Refusal for more bytes than any message has, and for a PSBT in broken base 64; ConfigurationError for a file
    that is not there.
    """
    try:
        if path == _STDIN:
            data = _read(sys.stdin.buffer)
        else:
            with Path(path).open("rb") as file:
                data = _read(file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    text = data.strip()
    is_base64 = text.startswith(_BASE64_BEGINS)
    if is_base64:
        try:
            data = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise Refusal(PSBT_MALFORMED, f"base 64: {error}") from error
        # Attack: spare bits in the last character, which one program keeps and another drops.
        if base64.b64encode(data) != text:
            raise Refusal(PSBT_MALFORMED, "base 64 in another than its one form")
    # The line carries nothing longer.
    if len(data) > MAX_MESSAGE_BYTES:
        raise Refusal(MALFORMED_MESSAGE, f"more than {MAX_MESSAGE_BYTES} bytes")
    return data, is_base64


def _read(file: BinaryIO) -> bytes:
    # Attack: a file without an end.
    return file.read(_MOST_BASE64_BYTES + 1)[: _MOST_BASE64_BYTES + 1]


def _from_quorum(quorum: Quorum, network: str | None) -> KnownQuorum:
    if network not in (None, quorum.network):
        raise ConfigurationError(f"the quorum is one of {quorum.network}, not of {network}")
    return KnownQuorum(quorum.bitcoin_network, quorum.descriptor(), quorum)


def _from_descriptor(text: str, network: str | None) -> KnownQuorum:
    wanted = Network(network) if network else Network.MAINNET if "]xpub" in text else Network.REGTEST
    # People leave the checksum out; one that is there must be right.
    whole = text if "#" in text else f"{text}#{descriptor_checksum(text)}"
    return KnownQuorum(wanted, QuorumDescriptor.parse(whole, wanted), None)
