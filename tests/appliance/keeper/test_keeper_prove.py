"""Stage 2: what a hostile host may say about coins, payees and change, and what becomes of it."""

from __future__ import annotations

import dataclasses

import pytest
from nacl.signing import SigningKey

from appliance.builders import (
    BOOK,
    COIN_SATS,
    DESCRIPTOR,
    FEE_SATS,
    HEIGHT,
    P2WPKH,
    PAID_SATS,
    QUORUM,
    STRANGER,
    VAULT,
    change,
    clearance,
    good_batch,
    only,
    previous_transaction,
)
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.prove_rules import HIGHEST_INDEX
from undercroft_appliance.keeper.proven import ProvenBatch
from undercroft_appliance.keeper.refusals import Refusal, RefusalCode
from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS
from undercroft_protocol.bitcoin.script import multisig_script, p2wsh_script
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.messages import BatchRequest, Coin, Output

GAP = 20


def proved(batch: BatchRequest, *, change_signed: int = -1) -> ProvenBatch:
    return prove(batch, QUORUM, BOOK, change_gap=GAP, change_signed=change_signed)


def refused(batch: BatchRequest) -> RefusalCode:
    with pytest.raises(Refusal) as caught:
        proved(batch)
    return caught.value.code


def with_coin(batch: BatchRequest, **changes: int) -> BatchRequest:
    return only(batch, inputs=(dataclasses.replace(batch.transactions[0].inputs[0], **changes),))


def test_a_good_transaction_is_put_together_from_what_was_found() -> None:
    (transaction,) = proved(good_batch()).transactions
    assert transaction.fee_sats == FEE_SATS
    assert transaction.leaves_sats == PAID_SATS + FEE_SATS
    assert [output.script for output in transaction.transaction.outputs] == [P2WPKH, DESCRIPTOR.script(1, 0)]
    assert transaction.transaction.version == 2
    assert transaction.inputs[0].amount_sats == COIN_SATS


def test_a_transaction_without_change_and_one_without_payees_are_good() -> None:
    whole = only(good_batch(), outputs=(clearance(amount_sats=COIN_SATS - FEE_SATS),))
    assert proved(whole).transactions[0].change == ()
    consolidation = only(good_batch(), outputs=(change(amount_sats=COIN_SATS - FEE_SATS),))
    assert proved(consolidation).transactions[0].leaves_sats == FEE_SATS


def test_attack_previous_transaction_that_is_none() -> None:
    assert refused(dataclasses.replace(good_batch(), previous=(bytes(80),))) is refusals.PREVIOUS_MALFORMED


def test_attack_previous_transaction_with_trailing_bytes() -> None:
    raw = good_batch().previous[0] + b"\x00"
    assert refused(dataclasses.replace(good_batch(), previous=(raw,))) is refusals.PREVIOUS_MALFORMED


def test_attack_previous_transaction_with_a_witness() -> None:
    plain = Transaction.parse(good_batch().previous[0], allow_witness=False)
    inputs = (dataclasses.replace(plain.inputs[0], witness=(b"x",)),)
    raw = dataclasses.replace(plain, inputs=inputs).serialize()
    assert refused(dataclasses.replace(good_batch(), previous=(raw,))) is refusals.PREVIOUS_MALFORMED


def test_attack_previous_transaction_twice() -> None:
    batch = good_batch()
    assert refused(dataclasses.replace(batch, previous=batch.previous * 2)) is refusals.PREVIOUS_REPEATED


def test_attack_previous_transaction_that_serves_nothing() -> None:
    batch = good_batch()
    extra = previous_transaction((COIN_SATS, P2WPKH), salt=99)
    assert refused(dataclasses.replace(batch, previous=(*batch.previous, extra))) is refusals.PREVIOUS_UNUSED


def test_attack_previous_transaction_left_out() -> None:
    assert refused(with_coin(good_batch(), previous=1)) is refusals.PREVIOUS_MISSING


@pytest.mark.parametrize("vout", [1, 0xFFFFFFFF])
def test_attack_output_index_beyond_the_previous_transaction(vout: int) -> None:
    assert refused(with_coin(good_batch(), vout=vout)) is refusals.OUTPUT_MISSING


@pytest.mark.parametrize(("field", "value"), [("branch", 1), ("index", 1)])
def test_attack_own_coin_named_at_another_place(field: str, value: int) -> None:
    assert refused(with_coin(good_batch(), **{field: value})) is refusals.FOREIGN_COIN


def test_attack_coin_of_another_threshold() -> None:
    loose = p2wsh_script(multisig_script(1, DESCRIPTOR.public_keys(0, 0)))
    raw = previous_transaction((COIN_SATS, loose), salt=1)
    assert refused(dataclasses.replace(good_batch(), previous=(raw,))) is refusals.FOREIGN_COIN


def test_attack_coin_with_one_cosigner_replaced() -> None:
    own, other, _ = DESCRIPTOR.public_keys(0, 0)
    foreign = p2wsh_script(multisig_script(2, (own, other, DESCRIPTOR.public_keys(0, 5)[2])))
    raw = previous_transaction((COIN_SATS, foreign), salt=1)
    assert refused(dataclasses.replace(good_batch(), previous=(raw,))) is refusals.FOREIGN_COIN


def test_attack_coin_that_is_not_multisig() -> None:
    raw = previous_transaction((COIN_SATS, P2WPKH), salt=1)
    assert refused(dataclasses.replace(good_batch(), previous=(raw,))) is refusals.FOREIGN_COIN


def test_attack_one_coin_twice_in_a_transaction() -> None:
    batch = good_batch()
    coin = batch.transactions[0].inputs[0]
    assert refused(only(batch, inputs=(coin, coin))) is refusals.OUTPOINT_REPEATED


def test_attack_one_coin_twice_beyond_any_cap() -> None:
    outputs = [(COIN_SATS, DESCRIPTOR.script(0, 0))] * 102
    coins = [Coin(0, vout, 0, 0) for vout in range(101)]
    batch = dataclasses.replace(good_batch(), previous=(previous_transaction(*outputs),))
    assert refused(only(batch, inputs=(*coins, coins[100]))) is refusals.OUTPOINT_REPEATED


def test_attack_one_coin_in_two_transactions_of_a_batch() -> None:
    batch = good_batch(2)
    first, second = batch.transactions
    second = dataclasses.replace(second, inputs=first.inputs)
    twice = dataclasses.replace(batch, transactions=(first, second), previous=batch.previous[:1])
    assert refused(twice) is refusals.OUTPOINT_REPEATED


def test_attack_clearance_that_cannot_be_read() -> None:
    garbage = Output(bytes(100), None)
    assert refused(only(good_batch(), outputs=(garbage, change()))) is refusals.CLEARANCE_MALFORMED


@pytest.mark.parametrize("key", [VAULT, STRANGER])
def test_attack_vault_or_stranger_clears_a_payee(key: SigningKey) -> None:
    assert refused(only(good_batch(), outputs=(clearance(key=key), change()))) is refusals.CLEARANCE_UNTRUSTED


def test_attack_clearance_with_one_bit_changed() -> None:
    good = clearance().clearance or b""
    for position in (len(good) - 1, len(good) - 70):
        bad = bytearray(good)
        bad[position] ^= 1
        outputs = (Output(bytes(bad), None), change())
        assert refused(only(good_batch(), outputs=outputs)) is refusals.CLEARANCE_UNTRUSTED


def test_attack_clearance_of_another_quorum() -> None:
    outputs = (clearance(quorum_id=b"\x99" * 32), change())
    assert refused(only(good_batch(), outputs=outputs)) is refusals.CLEARANCE_OTHER_QUORUM


def test_attack_one_clearance_twice_in_a_transaction() -> None:
    outputs = (clearance(amount_sats=1_000_000), clearance(amount_sats=1_000_000), change(amount_sats=7_000_000))
    assert refused(only(good_batch(), outputs=outputs)) is refusals.WITHDRAWAL_REPEATED


def test_attack_one_withdrawal_in_two_transactions_of_a_batch() -> None:
    batch = good_batch(2)
    first, second = batch.transactions
    second = dataclasses.replace(second, outputs=(first.outputs[0], second.outputs[1]))
    assert refused(dataclasses.replace(batch, transactions=(first, second))) is refusals.WITHDRAWAL_REPEATED


@pytest.mark.parametrize("index", [GAP + 1, 1_000_001, 0x7FFFFFFF])
def test_attack_change_where_nobody_finds_it(index: int) -> None:
    outputs = (clearance(), change(index))
    assert refused(only(good_batch(), outputs=outputs)) is refusals.CHANGE_INDEX


def test_change_may_lie_a_gap_above_what_is_known() -> None:
    outputs = (clearance(), change(GAP))
    assert proved(only(good_batch(), outputs=outputs)).transactions[0].change
    outputs = (clearance(), change(GAP + 7))
    assert proved(only(good_batch(), outputs=outputs), change_signed=7).transactions[0].change


def test_attack_a_made_up_coin_far_out_lifts_the_bound_for_the_change_of_another_transaction() -> None:
    """The first one's previous transaction was never mined; the second is real, and its change must not follow."""
    far = 900_000
    batch = good_batch(2)
    made_up = previous_transaction((COIN_SATS, DESCRIPTOR.script(0, far)), salt=99)
    first, second = batch.transactions
    first = dataclasses.replace(first, inputs=(dataclasses.replace(first.inputs[0], index=far),))
    second = dataclasses.replace(second, outputs=(second.outputs[0], change(far)))
    previous = (made_up, batch.previous[1])
    assert refused(dataclasses.replace(batch, previous=previous, transactions=(first, second))) is refusals.CHANGE_INDEX


def test_attack_a_coin_beyond_the_highest_index_of_all() -> None:
    far = HIGHEST_INDEX + 1
    batch = dataclasses.replace(
        with_coin(good_batch(), index=far), previous=(previous_transaction((COIN_SATS, DESCRIPTOR.script(0, far))),)
    )
    assert refused(batch) is refusals.COIN_INDEX


def test_attack_change_beyond_the_highest_index_of_all_whatever_was_signed_before() -> None:
    outputs = (clearance(), change(HIGHEST_INDEX + 1))
    with pytest.raises(Refusal) as caught:
        proved(only(good_batch(), outputs=outputs), change_signed=HIGHEST_INDEX)
    assert caught.value.code is refusals.CHANGE_INDEX


def test_attack_flood_of_change_outputs() -> None:
    outputs = (clearance(), *(change(index, 1_000_000) for index in range(3)))
    assert refused(only(good_batch(), outputs=outputs)) is refusals.CHANGE_COUNT


@pytest.mark.parametrize("outputs", [(clearance(amount_sats=293), change()), (clearance(), change(0, 329))])
def test_attack_dust(outputs: tuple[Output, ...]) -> None:
    assert refused(only(good_batch(), outputs=outputs)) is refusals.DUST


def test_attack_outputs_that_overflow_as_a_sum() -> None:
    outputs = (clearance(amount_sats=MAX_MONEY_SATS), change(0, MAX_MONEY_SATS))
    assert refused(only(good_batch(), outputs=outputs)) is refusals.AMOUNT_RANGE


def test_attack_inputs_of_more_than_there_can_ever_be() -> None:
    batch = good_batch(2)
    rich = tuple(previous_transaction((MAX_MONEY_SATS, DESCRIPTOR.script(0, at)), salt=at + 1) for at in range(2))
    inputs = (Coin(0, 0, 0, 0), Coin(1, 0, 0, 1))
    batch = dataclasses.replace(batch, previous=rich, transactions=batch.transactions[:1])
    assert refused(only(batch, inputs=inputs)) is refusals.AMOUNT_RANGE


def test_attack_more_goes_out_than_comes_in() -> None:
    outputs = (clearance(amount_sats=COIN_SATS + 1),)
    assert refused(only(good_batch(), outputs=outputs)) is refusals.OUTPUTS_EXCEED_INPUTS


@pytest.mark.parametrize("sequence", [0, 1, 0x00400001, 0xFFFFFFFC, 0xFFFFFFFF])
def test_attack_sequence_number(sequence: int) -> None:
    assert refused(only(good_batch(), sequence=sequence)) is refusals.SEQUENCE_NUMBER


@pytest.mark.parametrize("locktime", [HEIGHT + 2, 499_999_999, 500_000_000, 1_790_000_000])
def test_attack_locktime_in_the_future_or_a_time(locktime: int) -> None:
    assert refused(only(good_batch(), locktime=locktime)) is refusals.LOCKTIME


def test_attack_a_height_that_makes_a_time_look_like_a_height() -> None:
    batch = dataclasses.replace(only(good_batch(), locktime=500_000_000), height=600_000_000)
    assert refused(batch) is refusals.LOCKTIME


@pytest.mark.parametrize("locktime", [0, HEIGHT, HEIGHT + 1])
def test_a_locktime_up_to_the_next_block_is_good(locktime: int) -> None:
    assert proved(only(good_batch(), locktime=locktime)).transactions[0].transaction.locktime == locktime
