"""``undercroft payment``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.transaction import Outpoint, txid_to_hex
from undercroft_protocol.messages import BatchRequest

from ...custody.policies import active_policy
from ...custody.quorum import active_quorum
from ...desk.batches import build_batch, newest_batch, payments_by_id
from ...errors import HostError, IntegrityAlarm, PaymentHeld, PaymentRefused, PaymentState
from ...gateway.broadcast import broadcast
from ...gateway.follower import tip_height, transaction_confirmations
from ...store.tables import Appliance, Payment, PaymentVerdict, Signature
from ...vault.finalise import payment_psbt
from ...vault.payment_records import UNSIGNED_STATES, find_payment, load_payment
from ...vault.payments import build_payment, cancel_payment
from ..app import App, pass_app
from ..feerate import chosen_feerate
from ..options import ROW_NUMBER, SECONDS, link_option
from ..output import moment
from ..program import Noun
from ..sending import Answer, send_to

_STATES = ("built", "signing", "held", "refused", "signed", "broadcast", "settled", "cancelled")
_TIMEOUT = click.option(
    "--timeout", type=SECONDS, default=120, show_default=True, help="Seconds to wait for each appliance."
)


@click.group("payment", cls=Noun)
def command() -> None:
    """Transactions: build, have signed, broadcast."""


@command.command("build")
@click.option("--feerate", metavar="SAT_PER_VB", help="Else the node's estimate for about an hour.")
@click.option("--withdrawal", "withdrawals", multiple=True, metavar="ID", help="Only these; else all that are cleared.")
@pass_app
def build(app: App, feerate: str | None, withdrawals: tuple[str, ...]) -> None:
    """Build the unsigned transaction of cleared withdrawals and lock its coins."""
    rate = chosen_feerate(app, feerate)
    with app.store.begin(app.actor) as session:
        payment = build_payment(
            session,
            quorum=active_quorum(session),
            withdrawals=list(withdrawals) or None,
            feerate_sat_per_kvb=rate,
            height=tip_height(session),
            clock=app.clock,
        )
        data = payment_details(session, payment)
    app.put(data)


@command.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@pass_app
def list_payments(app: App, state: str | None) -> None:
    """All payments, oldest first."""
    query = select(Payment).order_by(Payment.id)
    if state is not None:
        query = query.where(Payment.state == state)
    with app.store.read() as session:
        app.put([payment_data(session, payment) for payment in session.scalars(query)])


@command.command("show")
@click.argument("payment_id", metavar="ID", type=ROW_NUMBER)
@pass_app
def show(app: App, payment_id: int) -> None:
    """One payment: inputs, outputs, verdicts, signatures."""
    with app.store.read() as session:
        payment = find_payment(session, payment_id)
        app.put(payment_details(session, payment))


@command.command("send")
@click.argument("payment_ids", metavar="ID...", type=ROW_NUMBER, nargs=-1, required=True)
@click.option("--to", "names", required=True, multiple=True, metavar="NAME", help="An armed appliance; give two.")
@_TIMEOUT
@link_option
@pass_app
def send(app: App, payment_ids: tuple[int, ...], names: tuple[str, ...], timeout: int) -> None:
    """Send payments as one batch to each appliance; exit code 6 when one is held, 5 when one is refused."""
    quorum = app.quorum()
    with app.store.begin(app.actor) as session:
        payments = payments_by_id(session, payment_ids)
        policy = active_policy(session, quorum, app.clock())
        batch = build_batch(session, payments, quorum, policy.hash, clock=app.clock, entropy=app.entropy)
    _send(app, batch, payment_ids, names, timeout)


@command.command("resend")
@click.argument("payment_id", metavar="ID", type=ROW_NUMBER)
@click.option("--to", "names", required=True, multiple=True, metavar="NAME")
@_TIMEOUT
@link_option
@pass_app
def resend(app: App, payment_id: int, names: tuple[str, ...], timeout: int) -> None:
    """Send a payment's last batch again, the same bytes: after a lost answer, or when an owner has decided."""
    with app.store.read() as session:
        payment = find_payment(session, payment_id)
        # What is final needs no further signature.
        if payment.state not in UNSIGNED_STATES:
            raise PaymentState(f"payment {payment_id} is {payment.state}")
        batch = newest_batch(session, payment_id)
    _send(app, batch, (payment_id,), names, timeout)


@command.command("broadcast")
@click.argument("payment_id", metavar="ID", type=ROW_NUMBER)
@pass_app
def broadcast_command(app: App, payment_id: int) -> None:
    """Give the signed bytes to the network; again is safe."""
    app.node.check_chain(app.config.network)
    txid = broadcast(app.store, app.node, payment_id, clock=app.clock)
    app.put({"payment": payment_id, "txid": txid, "state": "broadcast"})


@command.command("cancel")
@click.argument("payment_id", metavar="ID", type=ROW_NUMBER)
@click.option("--cancel-withdrawals", is_flag=True, help="Cancel its withdrawals too, and give the money back.")
@pass_app
def cancel(app: App, payment_id: int, cancel_withdrawals: bool) -> None:
    """Take back a payment of which no signature can exist; its withdrawals can be paid anew."""
    with app.store.begin(app.actor) as session:
        payment = cancel_payment(session, payment_id, clock=app.clock, cancel_withdrawals=cancel_withdrawals)
        data = payment_data(session, payment)
    app.put(data)


@command.command("psbt")
@click.argument("payment_id", metavar="ID", type=ROW_NUMBER)
@pass_app
def psbt(app: App, payment_id: int) -> None:
    """The payment as a PSBT (BIP 174) in base64, with the signatures there are."""
    with app.store.read() as session:
        text = payment_psbt(session, payment_id, active_quorum(session)).base64()
    app.put({"payment": payment_id, "psbt": text}, text=text)


def payment_data(session: Session, payment: Payment) -> dict[str, Any]:
    """A payment for output, in one line."""
    return {
        "id": payment.id,
        "txid": txid_to_hex(payment.txid),
        "state": payment.state,
        "fee_sats": payment.fee_sats,
        "feerate_sat_per_kvb": payment.feerate_sat_per_kvb,
        "confirmations": transaction_confirmations(session, payment.txid),
        "built": moment(payment.built),
        "reason": payment.reason,
    }


def payment_details(session: Session, payment: Payment) -> dict[str, Any]:
    """A payment for output, with its parts."""
    records = load_payment(session, payment.id)
    verdicts = session.scalars(select(PaymentVerdict).where(PaymentVerdict.payment == payment.id)).all()
    signed = session.scalars(select(Signature.identity).where(Signature.payment == payment.id)).all()
    return payment_data(session, payment) | {
        "paid_sats": sum(output.amount_sats for output in records.outputs if output.withdrawal is not None),
        "signed_by": sorted({_name_of(session, identity) for identity in signed}),
        "inputs": [
            {"coin": str(Outpoint(spent.txid, spent.vout)), "amount_sats": spent.amount_sats}
            for spent in records.inputs
        ],
        "outputs": [
            {"withdrawal": output.withdrawal, "change_index": output.change_index, "amount_sats": output.amount_sats}
            for output in records.outputs
        ],
        "verdicts": verdict_rows(session, verdicts),
    }


def verdict_rows(session: Session, verdicts: Iterable[PaymentVerdict]) -> list[dict[str, Any]]:
    """What the appliances said of a payment, for output."""
    return [
        {
            "appliance": _name_of(session, verdict.identity),
            "verdict": verdict.verdict,
            "code": verdict.code,
            "policy": verdict.policy_hash.hex(),
            "log_head": verdict.log_head.hex(),
            "time": moment(verdict.time),
        }
        for verdict in verdicts
    ]


def _name_of(session: Session, identity: bytes) -> str:
    name = session.scalar(select(Appliance.name).where(Appliance.identity == identity))
    return name or identity.hex()[:16]


def _send(app: App, batch: BatchRequest, payment_ids: Sequence[int], names: Sequence[str], timeout: int) -> None:
    answers: list[Answer] = []
    failure: HostError | None = None
    for name in names:
        try:
            answers += send_to(app, name, batch, payment_ids, timeout)
        except IntegrityAlarm:
            raise
        except HostError as error:
            # One appliance that is away must not keep the batch from the next.
            app.note(f"{name}: {error}")
            failure = failure or error
    with app.store.read() as session:
        payments = [payment_data(session, payment) for payment in payments_by_id(session, payment_ids)]
    app.put(
        {
            "payments": payments,
            "answers": [dataclasses.asdict(answer) for answer in answers],
        }
    )
    if failure is not None:
        raise failure
    _raise_for(payments)


def _raise_for(payments: Sequence[dict[str, Any]]) -> None:
    """Raises PaymentRefused or PaymentHeld for the strictest state."""
    for state, error in (("refused", PaymentRefused), ("held", PaymentHeld)):
        stopped = [f"payment {payment['id']}: {payment['reason']}" for payment in payments if payment["state"] == state]
        if stopped:
            raise error("; ".join(stopped))
