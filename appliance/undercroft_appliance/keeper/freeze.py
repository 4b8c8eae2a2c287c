"""Freezing: any one owner, or the vault, stops the signing at once; only a fresh activation goes on from there.

An order that was obeyed here, or made here, is remembered and told with every status, so that a host that hears of it
passes it on to the other appliances.
"""

from __future__ import annotations

from typing import Final

from undercroft_protocol.errors import ProtocolError
from undercroft_protocol.messages import EMPTY, Done, FreezeOrder, FreezeRequest, grouped_code, open_statement

from .parts import Outcome, Parts
from .refusals import FREEZE_OLD, FREEZE_UNTRUSTED, NO_QUORUM, OTHER_QUORUM, Refusal
from .text import LINE_CHARACTERS, ascii_text, moment

SKEW_SECONDS: Final = 600
"""By so much the clocks of two sites may differ, as their owners confirmed them."""
REASON_HERE: Final = "frozen by the owner"


def obey(parts: Parts, request: FreezeRequest) -> Outcome:
    """sealed, unlocked or armed: an order by an owner or the vault locks at once. Raises Refusal."""
    session = parts.session
    quorum = session.quorum
    if quorum is None:
        raise Refusal(NO_QUORUM)
    try:
        order, signer = open_statement(FreezeOrder, request.order, (*quorum.identities, quorum.vault_key))
    except ProtocolError as error:
        # Attack: a stranger on the line stops the payments.
        raise Refusal(FREEZE_UNTRUSTED, str(error)) from error
    # Attack: an order for one quorum stops another.
    if order.quorum_id != quorum.id:
        raise Refusal(OTHER_QUORUM, f"quorum {grouped_code(order.quorum_id)}")
    since = None if session.current is None else session.current.since_utc
    # Attack: an order that was obeyed months ago is brought again, and every new activation stops.
    if since is not None and order.time + SKEW_SECONDS < since:
        raise Refusal(FREEZE_OLD, f"{moment(order.time)}, unlocked {moment(since)}")
    by = "the vault" if signer == quorum.vault_key else quorum.owner_of(signer).name
    session.freeze(quorum.id, f"by {by}, {moment(order.time)}: {order.reason}", request.order)
    return Outcome(Done(EMPTY), "Frozen", lock=f"frozen by {by}: {order.reason}")


def order_here(parts: Parts, reason: str) -> str:
    """The owner at the panel freezes: the order for the others is signed while the key is still open.

    Returns why to lock. Without a quorum, or before any owner has confirmed the time, there is nothing to order.
    """
    session = parts.session
    reason = ascii_text(reason)[:LINE_CHARACTERS] or REASON_HERE
    quorum, utc = session.quorum, session.clock.utc
    if quorum is None:
        return f"by the owner: {reason}"
    why = f"by the owner of this appliance: {reason}"
    session.freeze(quorum.id, why, None)
    if session.current is not None and utc is not None:
        session.freeze(quorum.id, why, parts.state(FreezeOrder(quorum.id, reason, utc)))
    return f"frozen {why}"
