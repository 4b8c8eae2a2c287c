"""Payments: built from cleared orders and free coins, taken back while nobody has signed, finished at two of three."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select, text

from exchange import OUTSIDER, OWNERS, Ticking, endow, make_quorum, sign_with
from undercroft_host.errors import (
    CoinsExhausted,
    FeerateInvalid,
    HostError,
    NothingToPay,
    PaymentSigned,
    PaymentState,
    PaymentTampered,
    PaymentUnknown,
    SignaturesMissing,
    UsageProblem,
    WithdrawalState,
    WithdrawalUnknown,
)
from undercroft_host.store import audit
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import (
    Activation,
    Appliance,
    Batch,
    BatchPayment,
    BatchSend,
    Block,
    ChainTransaction,
    Coin,
    Deposit,
    Payment,
    PolicyRecord,
    Signature,
    Withdrawal,
)
from undercroft_host.treasury import ledger
from undercroft_host.vault.payment_records import load_payment
from undercroft_host.vault.payments import build_payment, cancel_payment, finalise_payment, payment_psbt
from undercroft_host.vault.withdrawals import request_withdrawal
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.messages import Quorum

CLOCK = Ticking()
HEIGHT = 105


@pytest.fixture
def ready(store: Store, quorum: Quorum) -> Store:
    """Four coins of Alice's, and three cleared orders."""
    endow(store, quorum, "alice", 100_000, 80_000, 60_000, 40_000)
    order(store, quorum, "w1", 20_000)
    order(store, quorum, "w2", 30_000)
    order(store, quorum, "w3", 35_000)
    return store


def order(store: Store, quorum: Quorum, id: str, amount_sats: int, state: str = "cleared") -> None:
    with store.begin("test") as session:
        request_withdrawal(
            session,
            quorum=quorum,
            id=id,
            account="alice",
            address=OUTSIDER,
            amount_sats=amount_sats,
            clock=CLOCK,
        ).state = state


def build(store: Store, quorum: Quorum, ids: Sequence[str] | None = None, **changes: Any) -> int:
    with store.begin("vault") as session:
        arguments: dict[str, Any] = {"feerate_sat_per_kvb": 3000, "height": HEIGHT}
        return build_payment(session, quorum=quorum, withdrawals=ids, clock=CLOCK, **(arguments | changes)).id


def cancel(store: Store, payment: int, **options: Any) -> None:
    with store.begin("vault") as session:
        cancel_payment(session, payment, clock=CLOCK, **options)


def states(store: Store) -> dict[str, str]:
    with store.read() as session:
        return {one.id: one.state for one in session.scalars(select(Withdrawal))}


def locked(store: Store) -> list[int | None]:
    with store.read() as session:
        return list(session.scalars(select(Coin.payment).where(Coin.payment.is_not(None))))


# --- building ----------------------------------------------------------------------------------------------------


def test_payment_pays_the_orders_and_keeps_the_change(ready: Store, quorum: Quorum) -> None:
    number = build(ready, quorum, ["w1", "w2"])
    with ready.read() as session:
        records = load_payment(session, number)
        payment, transaction = records.payment, records.transaction
        assert (payment.state, transaction.version, transaction.locktime) == ("built", 2, HEIGHT)
        assert {one.sequence for one in transaction.inputs} == {0xFFFFFFFD}
        paid = {one.withdrawal: one.amount_sats for one in records.outputs if one.withdrawal}
        assert paid == {"w1": 20_000, "w2": 30_000}
        [change] = [one for one in records.outputs if one.withdrawal is None]
        assert change.script == quorum.descriptor().script(1, change.change_index or 0)
        spent_sats = sum(one.amount_sats for one in records.inputs)
        assert spent_sats == 50_000 + change.amount_sats + payment.fee_sats
        audit.verify(session)
    assert states(ready) == {"w1": "assigned", "w2": "assigned", "w3": "cleared"}
    assert locked(ready) == [number] * len(records.inputs)


def test_all_cleared_orders_are_paid_when_none_are_named(ready: Store, quorum: Quorum) -> None:
    build(ready, quorum)
    assert set(states(ready).values()) == {"assigned"}
    with pytest.raises(NothingToPay):
        build(ready, quorum)


def test_same_records_give_the_same_transaction(ready: Store, quorum: Quorum) -> None:
    first = build(ready, quorum, ["w1", "w2"])
    with ready.read() as session:
        before = session.get_one(Payment, first).unsigned
    ready.close()
    with pytest.raises(ZeroDivisionError), ready.begin("test") as session:
        cancel_payment(session, first, clock=CLOCK)
        session.execute(text("DELETE FROM payment_input"))
        session.execute(text("DELETE FROM payment_output"))
        session.execute(text("DELETE FROM payment"))
        session.execute(text("DELETE FROM address WHERE branch = 1"))
        session.expunge_all()
        again = build_payment(
            session, quorum=quorum, withdrawals=["w1", "w2"], feerate_sat_per_kvb=3000, height=HEIGHT, clock=CLOCK
        )
        assert again.unsigned == before
        raise ZeroDivisionError


def test_change_has_no_fixed_place(ready: Store, quorum: Quorum) -> None:
    places = set()
    for _ in range(12):
        number = build(ready, quorum, ["w1", "w2", "w3"])
        with ready.read() as session:
            outputs = load_payment(session, number).outputs
            places.add(next(one.position for one in outputs if one.withdrawal is None))
        cancel(ready, number)
    assert len(places) > 1


def test_two_payments_never_share_a_coin(ready: Store, quorum: Quorum) -> None:
    numbers = [build(ready, quorum, [id]) for id in ("w1", "w2", "w3")]
    with ready.read() as session:
        spent = [(one.txid, one.vout) for number in numbers for one in load_payment(session, number).inputs]
    assert len(spent) == len(set(spent))


def test_payment_without_change_built_again_after_cancelling_has_another_txid(ready: Store, quorum: Quorum) -> None:
    order(ready, quorum, "all", 100_000 + 80_000 + 60_000 + 40_000 - 20_000 - 30_000 - 35_000 - 1_700)
    ids = ["w1", "w2", "w3", "all"]
    first = build(ready, quorum, ids)
    cancel(ready, first)
    second = build(ready, quorum, ids)
    with ready.read() as session:
        one, other = load_payment(session, first), load_payment(session, second)
    assert all(output.withdrawal for output in one.outputs)
    assert one.payment.txid != other.payment.txid
    assert other.transaction.locktime == HEIGHT - 1


@pytest.mark.parametrize("state", ["requested", "delayed", "denied", "assigned", "paying", "settled", "cancelled"])
def test_attack_order_that_risk_has_not_cleared_is_not_paid(ready: Store, quorum: Quorum, state: str) -> None:
    order(ready, quorum, "w4", 1_000, state)
    with pytest.raises(WithdrawalState, match=f"w4 is {state}"):
        build(ready, quorum, ["w1", "w4"])
    assert states(ready)["w1"] == "cleared"


@pytest.mark.parametrize(
    ("ids", "changes", "error"),
    [
        (["w1", "w1"], {}, UsageProblem),
        (["w1", "nothing"], {}, WithdrawalUnknown),
        ([], {}, NothingToPay),
        (None, {"feerate_sat_per_kvb": 999}, FeerateInvalid),
        (None, {"feerate_sat_per_kvb": 1_000_001}, FeerateInvalid),
        (None, {"feerate_sat_per_kvb": 900_000}, CoinsExhausted),
        (None, {"height": 99}, CoinsExhausted),
    ],
)
def test_payment_that_cannot_be_built_changes_nothing(
    ready: Store, quorum: Quorum, ids: list[str] | None, changes: dict[str, Any], error: type[HostError]
) -> None:
    with pytest.raises(error):
        build(ready, quorum, ids, **changes)
    assert set(states(ready).values()) == {"cleared"}
    assert locked(ready) == []


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE coin SET frozen = 'evidence'",
        "UPDATE coin SET spent_by = x'00'",
        "UPDATE chain_transaction SET height = NULL",
        "UPDATE deposit SET state = 'delayed'",
        "UPDATE deposit SET state = 'gone'",
        "DELETE FROM deposit",
    ],
)
def test_attack_coin_that_is_not_ours_to_spend_is_not_chosen(ready: Store, quorum: Quorum, spoil: str) -> None:
    with ready.begin("test") as session:
        session.execute(text(spoil))
    with pytest.raises(CoinsExhausted, match=" 0 sats can be spent"):
        build(ready, quorum)


# --- taking back -------------------------------------------------------------------------------------------------


def test_cancelled_payment_frees_its_coins_and_orders(ready: Store, quorum: Quorum) -> None:
    number = build(ready, quorum)
    for _ in range(2):
        cancel(ready, number)
    assert set(states(ready).values()) == {"cleared"}
    assert locked(ready) == []
    assert build(ready, quorum) > number


def test_payment_and_its_orders_are_cancelled_together(ready: Store, quorum: Quorum) -> None:
    cancel(ready, build(ready, quorum), cancel_withdrawals=True)
    assert set(states(ready).values()) == {"cancelled"}
    with ready.read() as session:
        assert ledger.balance(session, ledger.PENDING) == 0


def test_attack_payment_with_a_signature_is_not_taken_back(ready: Store, quorum: Quorum) -> None:
    number = build(ready, quorum)
    with ready.begin("desk") as session:
        sign_with(session, number, quorum, "ada")
    with pytest.raises(PaymentSigned):
        cancel(ready, number)
    assert set(states(ready).values()) == {"assigned"}


def test_attack_payment_that_is_on_the_network_is_not_taken_back(ready: Store, quorum: Quorum) -> None:
    """Somebody else gathered the signatures, or we died before we stored them."""
    number = build(ready, quorum)
    with ready.begin("gateway") as session:
        payment = session.get_one(Payment, number)
        session.add(ChainTransaction(txid=payment.txid, raw=payment.unsigned, first_seen=0))
    with pytest.raises(PaymentSigned, match="on the network"):
        cancel(ready, number)


@pytest.mark.parametrize("reply", [None, b"no answer"])
@pytest.mark.parametrize("ended", [False, True])
def test_attack_payment_whose_answer_is_still_out_is_not_taken_back_before_the_activation_is_over(
    ready: Store, quorum: Quorum, reply: bytes | None, ended: bool
) -> None:
    number = build(ready, quorum)
    batch, activation = b"b" * 16, b"a" * 16
    with ready.begin("desk") as session:
        session.add_all([Appliance(name="ada", link="x", added=0), Batch(id=batch, body=b"", created=0)])
        session.flush()
        session.add(BatchPayment(batch=batch, position=0, payment=number))
        send = BatchSend(batch=batch, activation_id=activation, appliance="ada", request=b"", reply=reply, sent=0)
        session.add(send)
        session.get_one(Payment, number).state = "signing"
        policy = PolicyRecord(hash=b"p" * 32, quorum_id=quorum.id, version=1, cbor=b"", text="", proposed=0)
        session.add(policy)
        session.flush()
        session.add(
            Activation(
                id=activation,
                appliance="ada",
                quorum_id=quorum.id,
                policy_hash=policy.hash,
                site="",
                request=b"",
                state="ended" if ended else "armed",
                requested=0,
            )
        )
    if ended:
        cancel(ready, number)
        assert locked(ready) == []
    else:
        with pytest.raises(PaymentSigned, match="not answered"):
            cancel(ready, number)


@pytest.mark.parametrize("state", ["signed", "broadcast", "settled"])
def test_attack_signed_payment_is_not_taken_back(ready: Store, quorum: Quorum, state: str) -> None:
    number = build(ready, quorum)
    with ready.begin("test") as session:
        session.get_one(Payment, number).state = state
    with pytest.raises(PaymentState, match=state):
        cancel(ready, number)


def test_unknown_payment_is_named(ready: Store) -> None:
    with pytest.raises(PaymentUnknown, match="7"):
        cancel(ready, 7)


# --- signatures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owners", [("ada", "ben"), ("cleo", "ada"), OWNERS])
def test_payment_is_finished_with_any_two_owners(ready: Store, quorum: Quorum, owners: tuple[str, ...]) -> None:
    number = build(ready, quorum)
    with ready.begin("desk") as session:
        for owner in owners:
            sign_with(session, number, quorum, owner)
        payment = finalise_payment(session, number, quorum, clock=CLOCK)
        signed = payment.signed
        assert payment.state == "signed"
        assert signed is not None
        transaction = Transaction.parse(signed)
        assert transaction.txid == payment.txid
        assert {len(one.witness) for one in transaction.inputs} == {4}
        size_sats = -(-transaction.vsize * payment.feerate_sat_per_kvb // 1000)
        assert size_sats <= payment.fee_sats
        assert finalise_payment(session, number, quorum, clock=CLOCK).signed == signed


def test_one_owner_is_not_enough(ready: Store, quorum: Quorum) -> None:
    number = build(ready, quorum)
    with ready.begin("desk") as session:
        sign_with(session, number, quorum, "ben")
        with pytest.raises(SignaturesMissing, match="1 of 2"):
            finalise_payment(session, number, quorum, clock=CLOCK)
        assert session.get_one(Payment, number).signed is None


def test_every_input_needs_its_signatures(ready: Store, quorum: Quorum) -> None:
    order(ready, quorum, "big", 150_000)
    number = build(ready, quorum, ["big"])
    with ready.begin("desk") as session:
        for owner in ("ada", "ben"):
            sign_with(session, number, quorum, owner)
        session.execute(text("DELETE FROM signature WHERE position = 1 AND identity = :of"), {"of": identity("ada")})
        session.expire_all()
        with pytest.raises(SignaturesMissing, match="input 1"):
            finalise_payment(session, number, quorum, clock=CLOCK)


def identity(owner: str) -> bytes:
    return next(one.identity for one in make_quorum().owners if one.name == owner)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE signature SET der = (SELECT der FROM signature WHERE identity = :ada)",
        "UPDATE signature SET public_key = :stranger WHERE identity = :ada",
        "UPDATE payment SET fee_sats = fee_sats + 1",
        "UPDATE payment_output SET amount_sats = amount_sats + 1 WHERE position = 0",
        "UPDATE payment_output SET script = x'0014' WHERE position = 0",
        'UPDATE payment_input SET "index" = "index" + 1 WHERE position = 0',
        "UPDATE payment_input SET branch = 1 WHERE position = 0",
        "UPDATE payment_input SET amount_sats = amount_sats + 1 WHERE position = 0",
        "UPDATE payment SET txid = zeroblob(32)",
        "UPDATE payment SET unsigned = x'00'",
        "DELETE FROM payment_output WHERE position = 0",
        "UPDATE chain_transaction SET raw = (SELECT unsigned FROM payment)",
    ],
)
def test_attack_changed_records_are_an_alarm_and_not_a_transaction(ready: Store, quorum: Quorum, change: str) -> None:
    number = build(ready, quorum)
    with ready.begin("desk") as session:
        for owner in ("ada", "ben"):
            sign_with(session, number, quorum, owner)
    with ready.begin("intruder") as session:
        session.execute(text(change), {"ada": identity("ada"), "stranger": b"\x02" * 33} if ":" in change else {})
    with pytest.raises(PaymentTampered), ready.begin("desk") as session:
        finalise_payment(session, number, quorum, clock=CLOCK)


def test_attack_payment_of_another_quorum_is_not_finished(ready: Store, quorum: Quorum) -> None:
    number = build(ready, quorum)
    with ready.begin("desk") as session, pytest.raises(PaymentTampered, match="another quorum"):
        finalise_payment(session, number, make_quorum("other"), clock=CLOCK)


def test_attack_cancelled_payment_is_not_finished(ready: Store, quorum: Quorum) -> None:
    number = build(ready, quorum)
    cancel(ready, number)
    with ready.begin("desk") as session:
        for owner in ("ada", "ben"):
            sign_with(session, number, quorum, owner)
        with pytest.raises(PaymentState, match="cancelled"):
            finalise_payment(session, number, quorum, clock=CLOCK)


def test_psbt_holds_what_other_wallets_need(ready: Store, quorum: Quorum) -> None:
    number = build(ready, quorum)
    with ready.begin("desk") as session:
        sign_with(session, number, quorum, "ada")
        psbt = payment_psbt(session, number, quorum)
        assert session.query(Signature).count() == len(psbt.inputs)
    assert Psbt.parse_base64(psbt.base64()).base64() == psbt.base64()
    assert {len(one.partial_signatures) for one in psbt.inputs} == {1}
    assert {len(one.derivations) for one in psbt.inputs} == {3}
    assert sum(bool(one.witness_script) for one in psbt.outputs) == 1


def test_support_wrote_what_a_chain_would(ready: Store) -> None:
    with ready.read() as session:
        assert session.query(Block).count() == 1
        assert session.query(ChainTransaction).count() == session.query(Deposit).count() == 4
