"""Rules over the fee: all caps must hold, for each alone lets one kind of theft by fee through (signers.md 11)."""

from __future__ import annotations

from collections.abc import Iterator

from undercroft_protocol.messages import Policy

from .findings import Finding, refused
from .proven import ProvenTransaction
from .refusals import CONSOLIDATION_FEERATE, FEE_LIMIT, FEE_SHARE, FEERATE
from .rules_shape import MILLION
from .standing import Case


def fees(case: Case) -> Iterator[Finding]:
    """``most_fee_sats``, ``most_fee_ppm``, ``most_feerate_sat_per_kvb`` and the lower one for consolidations."""
    proven, policy = case.proven, case.policy
    fee_sats = proven.fee_sats
    # Attack: one transaction that burns a fortune at a modest share of a huge payment.
    if fee_sats > policy.most_fee_sats:
        yield refused(FEE_LIMIT, f"{fee_sats} > {policy.most_fee_sats} sats")
    # A consolidation pays nobody; its fee is measured against what it moves.
    base_sats = proven.paid_sats or proven.own_sats
    # Attack: a fee below the absolute cap that is many times what is paid.
    if fee_sats * MILLION > policy.most_fee_ppm * base_sats:
        yield refused(FEE_SHARE, f"{fee_sats} of {base_sats} sats > {policy.most_fee_ppm} ppm")
    yield from _feerates(proven, policy)


def _feerates(proven: ProvenTransaction, policy: Policy) -> Iterator[Finding]:
    rate = proven.fee_sats * 1000 // proven.vsize
    # Attack: a small transaction that pays miners the whole of the absolute cap (Paxos 2023).
    if proven.fee_sats * 1000 > policy.most_feerate_sat_per_kvb * proven.vsize:
        yield refused(FEERATE, f"{rate} > {policy.most_feerate_sat_per_kvb} sats per 1000 vB")
    least = policy.most_consolidation_feerate_sat_per_kvb
    # Attack: coins are moved to ourselves at the price of a hurried payment (OKX 2024: 254 BTC burned).
    if least is not None and not proven.payees and proven.fee_sats * 1000 > least * proven.vsize:
        yield refused(CONSOLIDATION_FEERATE, f"{rate} > {least} sats per 1000 vB")
