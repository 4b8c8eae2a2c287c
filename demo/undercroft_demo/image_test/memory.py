"""The secrets of an appliance of the stage, and where in its RAM they are, seen from outside.

The host's store has the envelopes, the played owner the passphrase and the dice: from these all others follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from undercroft_appliance.devtools.key_secrets import KeySecrets, Signed
from undercroft_appliance.devtools.secret_forms import Secret
from undercroft_host.config import load_config
from undercroft_host.custody.quorum import active_quorum, draft_envelope, envelope_of
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Appliance, Payment, PaymentInput, Signature
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.messages import Quorum

from ..stage import Stage

_NETWORK: Final = Network.REGTEST
_WATCHED: Final = 25
"""Every so many inputs one is looked for in every form; the keys and nonces of the others raw and reversed."""


def secrets_of(stage: Stage, name: str) -> tuple[Secret, ...]:
    """All secrets that this appliance ever had in its hands, down to the nonces of its signatures."""
    owner = stage.sites[name].owner
    store = Store.open(load_config(stage.operator.home).database_url)
    with store.read() as session:
        quorum = active_quorum(session)
        appliance = session.get_one(Appliance, name)
        identity = appliance.identity
        if identity is None:
            raise LookupError(f"{name} has no key")
        envelopes = (draft_envelope(session, appliance, _NETWORK), envelope_of(session, quorum, identity))
        signed = tuple(_signed(session, quorum, identity))
    behind = KeySecrets(envelopes[-1], owner.passphrase, _NETWORK)
    inputs = (
        secret for number, one in enumerate(signed) for secret in behind.of_input(one, brief=number % _WATCHED != 0)
    )
    dice = (Secret.of_text("dice", rolls) for rolls in owner.rolls)
    return (*behind.everything(envelopes), *dice, *inputs)


def _signed(session: Session, quorum: Quorum, identity: bytes) -> Iterator[Signed]:
    descriptor = quorum.descriptor()
    for payment in session.scalars(select(Payment).where(Payment.state == "settled")):
        sighash = SegwitV0Sighash(Transaction.parse(payment.unsigned))
        inputs = {one.position: one for one in session.scalars(
            select(PaymentInput).where(PaymentInput.payment == payment.id))}  # fmt: skip
        ours = select(Signature).where(Signature.payment == payment.id, Signature.identity == identity)
        for signature in session.scalars(ours):
            coin = inputs[signature.position]
            script = descriptor.witness_script(coin.branch, coin.index)
            digest = sighash.digest(signature.position, script, coin.amount_sats)
            yield Signed(coin.branch, coin.index, digest, signature.der)
