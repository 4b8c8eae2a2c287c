"""Sweep-only: the scripts of the one descriptor that a policy lets payees have."""

from __future__ import annotations

import functools
from typing import Final

from undercroft_protocol.bitcoin.descriptor import BRANCHES, QuorumDescriptor
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import Policy

from .refusals import POLICY_UNUSABLE, Refusal

SWEEP_INDEXES: Final = 1000
"""How far a descriptor is searched, on each of its two branches."""


def check_sweep(policy: Policy, network: Network) -> None:
    """Raises Refusal (policy-unusable) when ``sweep_to`` is no descriptor of this network."""
    if policy.sweep_to is None:
        return
    try:
        QuorumDescriptor.parse(policy.sweep_to, network)
    except ProtocolError as error:
        # Attack: owners approve a policy that can sweep to nowhere, or to the same keys on another network.
        raise Refusal(POLICY_UNUSABLE, f"sweep_to: {error}") from error


@functools.lru_cache(maxsize=4)
def sweep_scripts(text: str) -> frozenset[bytes]:
    """The locking scripts of both branches below index 1000; raises Refusal (policy-unusable).

    Scripts are the same on all test networks, and a descriptor says by its keys whether it is of one of them.
    """
    descriptor = _parsed(text)
    return frozenset(descriptor.script(branch, index) for branch in BRANCHES for index in range(SWEEP_INDEXES))


def _parsed(text: str) -> QuorumDescriptor:
    reasons = []
    for network in (Network.MAINNET, Network.TESTNET):
        try:
            return QuorumDescriptor.parse(text, network)
        except ProtocolError as error:
            reasons.append(str(error))
    raise Refusal(POLICY_UNUSABLE, f"sweep_to: {'; '.join(reasons)}")
