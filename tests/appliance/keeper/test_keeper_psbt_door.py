"""The PSBT door: what a good PSBT becomes, and what goes back with our signatures in it."""

from __future__ import annotations

import dataclasses

import pytest
from embit.psbt import PSBT as EmbitPsbt  # noqa: N811 - the class is named so

from appliance.builders import (
    ALICE,
    BOB,
    BOOK,
    COIN_SATS,
    DESCRIPTOR,
    FEE_SATS,
    HEIGHT,
    P2WPKH,
    PAID_SATS,
    QUORUM,
    Person,
    PlainKeys,
    change,
    clearance,
    good_batch,
    only,
)
from appliance.keeper.psbt_support import CHANGE_SATS, GAP, RawPsbt, derivations, proved
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import OwnOutput, Payee
from undercroft_appliance.keeper.sign import sign
from undercroft_appliance.keeper.verify import verify
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.bitcoin.psbt_records import PsbtRecords
from undercroft_protocol.errors import PsbtError


def signatures(raw: RawPsbt, person: Person = ALICE) -> tuple[bytes, ...]:
    keys = PlainKeys(person)
    keys.unlock(person.envelope(QUORUM.id), QUORUM.id)
    return sign(proved(raw).proven, keys).signatures


def by_embit(raw: RawPsbt, person: Person) -> bytes:
    psbt = EmbitPsbt.parse(raw.serialize())
    assert psbt.sign_with(person.root) == len(raw.inputs)
    return bytes(psbt.serialize())


def test_a_psbt_and_a_batch_of_the_same_payment_become_the_same_value() -> None:
    payment = only(good_batch(), outputs=(clearance(), change()))
    (from_batch,) = prove(payment, QUORUM, BOOK, change_gap=GAP, change_signed=-1).transactions
    from_psbt = proved(RawPsbt.good()).proven
    uncleared = tuple(
        Payee(output.script, output.amount_sats) if isinstance(output, Payee) else output
        for output in from_batch.outputs
    )
    assert from_psbt == dataclasses.replace(from_batch, outputs=uncleared)


def test_what_a_psbt_says_is_replaced_by_what_was_found() -> None:
    proven = proved(RawPsbt.good(3)).proven
    assert proven.outputs == (
        Payee(P2WPKH, PAID_SATS),
        OwnOutput(DESCRIPTOR.script(1, 0), CHANGE_SATS + 2 * COIN_SATS, 1, 0),
    )
    assert proven.fee_sats == FEE_SATS
    assert proven.leaves_sats == PAID_SATS + FEE_SATS
    assert [(coin.branch, coin.index, coin.amount_sats) for coin in proven.inputs] == [
        (0, at, COIN_SATS) for at in range(3)
    ]
    assert proven.txid == proven.transaction.txid


def test_an_own_output_whose_place_is_not_said_is_a_payee() -> None:
    raw = RawPsbt.good()
    raw.outputs[1] = {}
    proven = proved(raw).proven
    assert proven.change == ()
    assert proven.leaves_sats == COIN_SATS


def test_an_output_to_a_receiving_address_of_ours_counts_as_if_it_left() -> None:
    raw = RawPsbt.good()
    raw.move_change(0, 5)
    proven = proved(raw).proven
    assert proven.own == (OwnOutput(DESCRIPTOR.script(0, 5), CHANGE_SATS, 0, 5),)
    assert proven.change == ()
    assert proven.leaves_sats == COIN_SATS


@pytest.mark.parametrize("index", [GAP, GAP + 7])
def test_change_may_lie_a_gap_above_what_is_known(index: int) -> None:
    raw = RawPsbt.good()
    raw.move_change(1, index)
    assert proved(raw, change_signed=7).proven.change[0].index == index


@pytest.mark.parametrize("sequence", [0xFFFFFFFD, 0xFFFFFFFE])
@pytest.mark.parametrize("locktime", [0, HEIGHT, HEIGHT + 1])
def test_good_sequence_numbers_and_locktimes(sequence: int, locktime: int) -> None:
    raw = RawPsbt.good()
    raw.change_input(sequence=sequence)
    raw.change_transaction(locktime=locktime)
    assert proved(raw).proven.transaction.locktime == locktime


def test_without_a_known_height_a_locktime_of_these_decades_is_good() -> None:
    raw = RawPsbt.good()
    raw.change_transaction(locktime=2_000_000)
    assert proved(raw, height=None).proven.transaction.locktime == 2_000_000


def test_the_registered_account_keys_may_stand_in_the_global_map_and_go_back() -> None:
    raw = RawPsbt.good()
    raw.globals = {
        b"\x01" + cosigner.xpub.serialize(): derivations(6, 0, 0)[b"\x06" + DESCRIPTOR.public_keys(0, 0)[at]][:20]
        for at, cosigner in enumerate(DESCRIPTOR.cosigners)
    }
    door = proved(raw)
    again = PsbtRecords.parse(door.with_signatures(signatures(raw)))
    assert {b"\x01" + xpub: origin for xpub, origin in again.xpubs.items()} == raw.globals


def test_version_0_and_sighash_all_may_be_said() -> None:
    raw = RawPsbt.good()
    raw.globals[b"\xfb"] = bytes(4)
    raw.inputs[0][b"\x03"] = b"\x01\x00\x00\x00"
    assert proved(raw).proven.fee_sats == FEE_SATS


def test_our_signature_goes_into_each_input_and_verifies() -> None:
    raw = RawPsbt.good(3)
    door = proved(raw)
    keys = PlainKeys(ALICE)
    keys.unlock(ALICE.envelope(QUORUM.id), QUORUM.id)
    signed = verify(sign(door.proven, keys), BOOK)
    psbt = Psbt.parse(door.with_signatures(signed.signatures))
    for at, found in enumerate(psbt.verified_signatures()):
        assert found == {ALICE.key(0, at).public_key.format(): signed.signatures[at] + b"\x01"}


def test_a_missing_witness_utxo_is_found_and_written() -> None:
    raw, without = RawPsbt.good(), RawPsbt.good()
    del without.inputs[0][b"\x01"]
    made = signatures(raw)
    assert proved(without).with_signatures(made) == proved(raw).with_signatures(made)


def test_a_cosigners_signature_stays_beside_ours() -> None:
    raw = RawPsbt.good(2)
    half = by_embit(raw, BOB)
    both = proved(half).with_signatures(signatures(raw))
    assert [set(found) for found in Psbt.parse(both).verified_signatures()] == [
        {person.key(0, at).public_key.format() for person in (ALICE, BOB)} for at in range(2)
    ]


def test_our_signature_that_is_there_already_stays_as_it_is() -> None:
    raw = RawPsbt.good(2)
    signed = proved(raw).with_signatures(signatures(raw))
    other = tuple(reversed(signatures(raw)))
    assert proved(signed).with_signatures(other) == signed


def test_records_in_any_order_go_back_in_one_order() -> None:
    raw, shuffled = RawPsbt.good(), RawPsbt.good()
    shuffled.inputs = [dict(reversed(one.items())) for one in shuffled.inputs]
    shuffled.outputs = [dict(reversed(one.items())) for one in shuffled.outputs]
    assert shuffled.serialize() != raw.serialize()
    made = signatures(raw)
    assert proved(shuffled).with_signatures(made) == proved(raw).with_signatures(made)


def test_there_is_one_signature_for_each_input() -> None:
    with pytest.raises(PsbtError, match="2 signatures"):
        proved(RawPsbt.good()).with_signatures(signatures(RawPsbt.good()) * 2)
