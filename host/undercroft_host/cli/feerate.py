"""The feerate of a payment: as the operator says it, or as the node estimates it."""

from __future__ import annotations

import re
from decimal import Decimal

from undercroft_protocol.bitcoin.network import Network

from ..errors import FeerateInvalid
from ..gateway.rpc import amount_to_sats
from .app import App

_TEXT = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?", re.ASCII)
_TARGET_BLOCKS = 6
_LEAST_SAT_PER_KVB = 1_000
_REGTEST_SAT_PER_KVB = 2_000


def feerate_from_text(text: str) -> int:
    """Sats per 1000 virtual bytes of a feerate in sat/vB, with three decimals at most; raises FeerateInvalid."""
    if _TEXT.fullmatch(text) is None:
        raise FeerateInvalid(f"{text[:40]!r}; sat/vB, with three decimals at most")
    return int(Decimal(text) * 1000)


def chosen_feerate(app: App, text: str | None) -> int:
    """Sats per 1000 virtual bytes: ``text``, or the node's estimate. Raises FeerateInvalid when there is neither."""
    if text is not None:
        return feerate_from_text(text)
    app.node.check_chain(app.config.network)
    estimate = app.node.call("estimatesmartfee", _TARGET_BLOCKS).get("feerate")
    if estimate is not None:
        return max(_LEAST_SAT_PER_KVB, amount_to_sats(estimate))
    if app.config.network is Network.REGTEST:
        return _REGTEST_SAT_PER_KVB
    raise FeerateInvalid("the node has no estimate yet", hint="name one with --feerate")
