"""Our quorum and its account keys as other wallets import and export them by UR.

`crypto-output` (BCR-2020-010) and `crypto-account` (BCR-2020-015) are written, in the form that existing wallets read;
`output-descriptor` (BCR-2023-010) and `account-descriptor` (BCR-2023-019), which replace them, are read too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.descriptor import CosignerKey, QuorumDescriptor, account_path, format_path
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import CborError, DescriptorError

from .hdkey import fingerprint_item, key_item, read_fingerprint, read_key
from .registry_cbor import Item, Tag, decode, encode

_OUTPUT: Final = 308
_OUTPUT_DESCRIPTOR: Final = 40308
_WSH: Final = 401
_SORTED_MULTI: Final = 407
_COSIGNER: Final = 410
_SOURCE: Final = re.compile(r"wsh\(sortedmulti\(([1-9][0-9]?)((?:,@[0-9]{1,2})+)\)\)", re.ASCII)
_COSIGNER_SOURCES: Final = ("wsh(cosigner(@0))", "wsh(@0)")


@dataclass(frozen=True, slots=True)
class OutputDescriptor:
    """`wsh(sortedmulti(m,…))` of account keys: a whole quorum, for a wallet that is to watch or to sign with it."""

    quorum: QuorumDescriptor

    def to_item(self) -> bytes:
        """The CBOR item of `ur:crypto-output`."""
        keys = [key_item(key, self.quorum.network) for key in self.quorum.cosigners]
        return encode(Tag(_WSH, Tag(_SORTED_MULTI, {1: self.quorum.threshold, 2: keys})))

    @classmethod
    def from_item(cls, data: bytes, network: Network) -> OutputDescriptor:
        """The quorum behind an item of `ur:crypto-output` or `ur:output-descriptor`.

        Raises DescriptorError or KeyFormatError for everything that is no such quorum on ``network``.
        """
        item = _decoded(data)
        threshold, keys = _text_form(item) if isinstance(item, Mapping) else _tag_form(item)
        if not isinstance(keys, tuple) or type(threshold) is not int:
            raise DescriptorError("not wsh(sortedmulti(m,key,…))")
        return cls(QuorumDescriptor(network, threshold, tuple(read_key(key, network, None) for key in keys)))


@dataclass(frozen=True, slots=True)
class AccountDescriptor:
    """One cosigner's account key for a quorum, at m/48h/coin/0h/2h. Raises DescriptorError for another path."""

    network: Network
    key: CosignerKey

    def __post_init__(self) -> None:
        if self.key.path != account_path(self.network):
            raise DescriptorError(f"the path of the key is not m{format_path(account_path(self.network))}")
        if self.key.xpub.version != self.network.xpub_version:
            raise DescriptorError("the key belongs to another network")

    def to_item(self) -> bytes:
        """The CBOR item of `ur:crypto-account`."""
        output = Tag(_WSH, key_item(self.key, self.network))
        return encode({1: fingerprint_item(self.key.fingerprint), 2: [output]})

    @classmethod
    def from_item(cls, data: bytes, network: Network) -> AccountDescriptor:
        """The account key for quorums behind an item of `ur:crypto-account` or `ur:account-descriptor`.

        Wallets list a key for each kind of script that they know; the others are passed over. Raises DescriptorError or
        KeyFormatError when there is not exactly one native segwit multisig key at the path of ``network``.
        """
        item = _decoded(data)
        outputs = item.get(2) if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(outputs, tuple):
            raise DescriptorError("not an account with a list of outputs")
        fingerprint = read_fingerprint(item.get(1))
        found = [key for key in map(_wsh_key, outputs) if key is not None]
        # Attack: two keys for the same purpose; which of them a wallet takes would be chance.
        if len(found) != 1:
            raise DescriptorError(f"{len(found)} keys for a native segwit multisig; exactly one is needed")
        return cls(network, read_key(found[0], network, fingerprint))


def _decoded(data: bytes) -> Item:
    try:
        return decode(data)
    except CborError as error:
        raise DescriptorError(f"not a CBOR item of the registry ({error.detail})") from None


def _tag_form(item: Item) -> tuple[Item | None, Item | None]:
    """Threshold and keys of `401(407({1: m, 2: [key, …]}))`."""
    inner = item.value if isinstance(item, Tag) and item.number == _WSH else None
    fields = inner.value if isinstance(inner, Tag) and inner.number == _SORTED_MULTI else None
    if not isinstance(fields, Mapping):
        raise DescriptorError("not of the form wsh(sortedmulti(m,key,…))")
    return fields.get(1), fields.get(2)


def _text_form(fields: Mapping[int, Item]) -> tuple[int, Item]:
    """Threshold and keys of `{1: "wsh(sortedmulti(m,@0,@1,…))", 2: [key, …]}`."""
    source, keys = fields.get(1), fields.get(2)
    found = _SOURCE.fullmatch(source) if isinstance(source, str) else None
    if found is None or not isinstance(keys, tuple):
        raise DescriptorError("not of the form wsh(sortedmulti(m,@0,…))")
    # Attack: a key named twice or not at all, so that the quorum is another than the list of keys shows.
    if found[2] != "".join(f",@{at}" for at in range(len(keys))):
        raise DescriptorError("the keys are not named once each, in their order")
    return int(found[1]), keys


def _wsh_key(output: Item) -> Item | None:
    """The key of an output that is for a native segwit multisig; None for any other."""
    if isinstance(output, Tag) and output.number == _OUTPUT_DESCRIPTOR:
        fields = output.value
        if not isinstance(fields, Mapping) or fields.get(1) not in _COSIGNER_SOURCES:
            return None
        keys = fields.get(2)
        return keys[0] if isinstance(keys, tuple) and len(keys) == 1 else None
    if isinstance(output, Tag) and output.number == _OUTPUT:
        output = output.value
    if not isinstance(output, Tag) or output.number != _WSH:
        return None
    inner = output.value
    return inner.value if isinstance(inner, Tag) and inner.number == _COSIGNER else inner
