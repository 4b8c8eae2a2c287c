"""A policy as people write it: TOML, whose keys are the names of the rules."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from typing import Any

from ..bitcoin.address import parse_address
from ..bitcoin.descriptor import QuorumDescriptor
from ..bitcoin.network import Network
from ..codec import fields_of
from ..errors import AddressError, MessageError, ProtocolError
from .policy import Anomaly, Hours, Policy, Window


def policy_from_toml(text: str, quorum_id: bytes, network: Network, replaces: bytes | None = None) -> Policy:
    """Read the form that people write; raises MessageError for unknown, missing, or wrong entries.

    The keys are the field names of ``Policy``; ``[[windows]]``, ``[hours]`` and ``[anomaly]`` are tables with the names
    of theirs. An allowlist is written as addresses of ``network``, ``replaces`` in hex. The quorum's id (32 bytes) is
    not written by hand but given. ``replaces`` (32 bytes) is what a later version replaces when its text does not say.
    """
    try:
        document = tomllib.loads(text)
    # Attack: a number of thousands of digits (an error of its own), or arrays in arrays without an end.
    except (ValueError, RecursionError) as error:
        raise MessageError(f"policy file: {error}") from error
    if "quorum_id" in document:
        raise MessageError("policy file: quorum_id is not written by hand")
    document["quorum_id"] = quorum_id
    tables = document.get("windows", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise MessageError("policy file: windows must be [[windows]] tables")
    document["windows"] = tuple(Window(**_exactly(Window, table)) for table in tables)
    for name, kind in (("hours", Hours), ("anomaly", Anomaly)):
        if name in document:
            document[name] = _table(name, kind, document[name])
    types = document.get("payee_types")
    document["payee_types"] = tuple(types) if isinstance(types, list) else types
    if "allowlist" in document:
        document["allowlist"] = _scripts(document["allowlist"], network)
    if isinstance(document.get("sweep_to"), str):
        _check_descriptor(document["sweep_to"], network)
    if "replaces" in document:
        document["replaces"] = _hash(document["replaces"])
    elif document.get("version") != 1:
        document["replaces"] = replaces
    return Policy(**_exactly(Policy, document))


def _table(name: str, kind: type, table: object) -> Any:
    if not isinstance(table, dict):
        raise MessageError(f"policy file: {name} must be a [{name}] table")
    return kind(**_exactly(kind, table))


def _scripts(addresses: object, network: Network) -> tuple[bytes, ...]:
    if not isinstance(addresses, list) or not all(isinstance(one, str) for one in addresses):
        raise MessageError("policy file: allowlist must be a list of addresses")
    try:
        scripts = [parse_address(one, network) for one in addresses]
    except AddressError as error:
        # Attack: an address of another network, which looks the same to whoever reads the list (signers.md 87).
        raise MessageError(f"policy file: allowlist: {error}") from error
    # Attack: one address in two spellings (bech32 in capitals) makes the list look longer than it is.
    if len(set(scripts)) != len(scripts):
        raise MessageError("policy file: allowlist has an address twice")
    return tuple(sorted(scripts))


def _check_descriptor(text: str, network: Network) -> None:
    try:
        QuorumDescriptor.parse(text, network)
    except ProtocolError as error:
        raise MessageError(f"policy file: sweep_to: {error}") from error


def _hash(text: object) -> bytes:
    if not isinstance(text, str):
        raise MessageError("policy file: replaces must be a text")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise MessageError("policy file: replaces is the hash of the policy before, in hex") from None


def _exactly(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields_of(kind)}
    # A misspelt limit must not silently become "no limit".
    for name in sorted(set(table) - names):
        raise MessageError(f"policy file: {name} is not a rule")
    needed = {one.name for one in dataclasses.fields(kind) if one.default is dataclasses.MISSING}
    for name in sorted(needed - set(table)):
        raise MessageError(f"policy file: {name} is missing")
    return dict(table)
