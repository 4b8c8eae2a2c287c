"""Sending a signed payment to the network: the stored bytes, only these, as often as it takes.

Intent, act, outcome: whatever dies between two of them, `finish_intents` looks at the world first and goes on.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import Transaction, txid_to_hex

from ..clock import Clock
from ..errors import BroadcastRefused, NodeAnswerStrange, NodeRefused, PaymentState, PaymentTampered, PaymentUnknown
from ..store import audit, intents
from ..store.engine import Store
from ..store.tables import ChainTransaction, Payment, Withdrawal
from .follower import ACTOR
from .rpc import RPC_INVALID_ADDRESS_OR_KEY, RPC_VERIFY_ALREADY_IN_UTXO_SET, NodeRpc

KIND: Final = "broadcast"

_SENDABLE: Final = ("signed", "broadcast", "settled")


def broadcast(store: Store, node: NodeRpc, payment_id: int, *, clock: Clock) -> str:
    """Send a signed payment; its txid (hexadecimal). One that the network has already is a success.

    Sending again is safe and is how an evicted transaction comes back. Raises PaymentUnknown, PaymentState,
    BroadcastRefused (the payment stays signed, with the node's reason), and as NodeRpc (the intent stays open).
    """
    with store.begin(ACTOR) as session:
        payment = _sendable(session, payment_id)
        transaction = _signed_bytes(payment)
        on_chain = _on_chain(session, payment.txid)
        intent_id = intents.start(session, kind=KIND, subject=str(payment_id), clock=clock).id
    try:
        if not on_chain:
            _announce(node, transaction)
    except BroadcastRefused as error:
        with store.begin(ACTOR) as session:
            payment = _sendable(session, payment_id)
            payment.reason = error.detail[:200]
            intents.finish(session, intent_id, outcome=f"refused: {error.detail}", clock=clock)
            _note(session, payment, "broadcast-refused", clock)
        raise
    with store.begin(ACTOR) as session:
        payment = _sendable(session, payment_id)
        if payment.state == "signed":
            payment.state, payment.reason = "broadcast", None
            for withdrawal in _withdrawals(session, payment_id):
                withdrawal.state = "paying"
            _note(session, payment, "broadcast", clock)
        intents.finish(session, intent_id, outcome="broadcast", clock=clock)
    return transaction.txid_hex


def finish_intents(store: Store, node: NodeRpc, clock: Clock) -> list[int]:
    """Finish every broadcast that was begun and not finished; the ids of the payments that are out now.

    One that the node refuses is written down as refused, and the next one is still finished. Raises as NodeRpc.
    """
    with store.read() as session:
        open_ids = [int(intent.subject) for intent in intents.unfinished(session, KIND)]
    done = []
    for payment_id in open_ids:
        try:
            broadcast(store, node, payment_id, clock=clock)
        except BroadcastRefused:
            # Its reason stands in the payment and in the audit log.
            continue
        except PaymentState:
            # Another payment has spent its coins meanwhile; it is not to be sent, and must not stop the others.
            with store.begin(ACTOR) as session:
                for intent in intents.unfinished(session, KIND):
                    if intent.subject == str(payment_id):
                        intents.finish(session, intent.id, outcome="cancelled", clock=clock)
            continue
        done.append(payment_id)
    return done


def _announce(node: NodeRpc, transaction: Transaction) -> None:
    if _known_to_node(node, transaction):
        return
    raw = transaction.serialize().hex()
    verdict = node.call("testmempoolaccept", [raw])[0]
    if not verdict["allowed"]:
        raise BroadcastRefused(f"{transaction.txid_hex}: {verdict.get('reject-reason', 'no reason given')}")
    try:
        answer = node.call("sendrawtransaction", raw)
    except NodeRefused as error:
        # Between the look and the act somebody else, or we ourselves before a crash, had sent it.
        if error.node_code == RPC_VERIFY_ALREADY_IN_UTXO_SET or _known_to_node(node, transaction):
            return
        raise BroadcastRefused(f"{transaction.txid_hex}: {error.node_message}") from error
    # Attack: a node that answers for another transaction than the one it was given.
    if answer != transaction.txid_hex:
        raise NodeAnswerStrange(f"sent {transaction.txid_hex}, the node says {answer}")


def _known_to_node(node: NodeRpc, transaction: Transaction) -> bool:
    """Whether the node has this very txid in its mempool, or an output of it among the unspent ones."""
    try:
        node.call("getmempoolentry", transaction.txid_hex)
    except NodeRefused as error:
        if error.node_code != RPC_INVALID_ADDRESS_OR_KEY:
            raise
    else:
        return True
    return any(
        node.call("gettxout", transaction.txid_hex, vout, False) is not None for vout in range(len(transaction.outputs))
    )


def _on_chain(session: Session, txid: bytes) -> bool:
    row = session.get(ChainTransaction, txid)
    return row is not None and row.height is not None


def _sendable(session: Session, payment_id: int) -> Payment:
    payment = session.get(Payment, payment_id)
    if payment is None:
        raise PaymentUnknown(str(payment_id))
    if payment.state not in _SENDABLE or payment.signed is None:
        raise PaymentState(f"payment {payment_id} is {payment.state}, not signed")
    return payment


def _signed_bytes(payment: Payment) -> Transaction:
    transaction = Transaction.parse(payment.signed or b"")
    # Attack: other bytes put in the place of what two owners signed.
    if transaction.txid != payment.txid:
        raise PaymentTampered(f"payment {payment.id}: its signed bytes are of {transaction.txid_hex}")
    return transaction


def _withdrawals(session: Session, payment_id: int) -> list[Withdrawal]:
    return list(session.scalars(select(Withdrawal).where(Withdrawal.payment == payment_id)))


def _note(session: Session, payment: Payment, action: str, clock: Clock) -> None:
    facts = {"txid": txid_to_hex(payment.txid), "reason": payment.reason}
    audit.record(session, clock=clock, action=action, subject=f"payment:{payment.id}", facts=facts)
