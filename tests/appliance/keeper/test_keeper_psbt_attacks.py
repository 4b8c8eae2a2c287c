"""The PSBT door: one good PSBT, each time damaged in one place, and the code with which it is refused."""

from __future__ import annotations

import random
import struct

import pytest

from appliance.builders import BOOK, COIN_SATS, DESCRIPTOR, previous_transaction
from appliance.keeper.psbt_damages import (
    ATTACKS,
    GLOBAL,
    GOOD,
    INPUT,
    OUTPUT,
    PREVIOUS,
    TRANSACTION,
    cosigner_signs,
    damaged,
    rederived,
    rich,
    with_change,
)
from appliance.keeper.psbt_support import GAP, RawPsbt, proved
from undercroft_appliance.keeper import refusals
from undercroft_appliance.keeper.psbt_door import prove_psbt
from undercroft_appliance.keeper.refusals import Refusal, RefusalCode
from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS
from undercroft_protocol.bitcoin.hashes import double_sha256
from undercroft_protocol.bitcoin.psbt_records import MAX_INPUTS, MAX_PSBT_BYTES
from undercroft_protocol.bitcoin.transaction import Outpoint, TxInput


def refused(raw: RawPsbt | bytes, **how: int | None) -> RefusalCode:
    with pytest.raises(Refusal) as caught:
        proved(raw, **how)  # type: ignore[arg-type]
    return caught.value.code


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_psbt_with_one_thing_wrong(name: str) -> None:
    damage, code = ATTACKS[name]
    assert refused(damaged(damage)) is code


def test_the_psbt_that_is_damaged_above_is_good_and_no_two_attacks_have_one_name() -> None:
    assert proved(GOOD).proven.fee_sats > 0
    assert len(ATTACKS) == len(GLOBAL) + len(TRANSACTION) + len(INPUT) + len(OUTPUT)
    assert proved(damaged(with_change(2))).proven.change != ()
    assert proved(damaged(cosigner_signs())).proven.fee_sats > 0


def test_attack_one_coin_twice() -> None:
    raw = RawPsbt.good(2)
    first = raw.transaction.inputs[0]
    raw.change_transaction(inputs=(first, first))
    raw.inputs[1] = raw.inputs[0]
    assert refused(raw) is refusals.OUTPOINT_REPEATED


def test_attack_two_coins_of_more_than_there_can_ever_be() -> None:
    raw = damaged(rich, 2)
    assert refused(raw) is refusals.AMOUNT_RANGE


def test_attack_outputs_that_overflow_as_a_sum() -> None:
    raw = damaged(rich)
    data = raw.serialize()
    paid, change = (output.serialize() for output in raw.transaction.outputs)
    at = data.index(paid)
    for amounts in ((MAX_MONEY_SATS, 1), ((1 << 64) - 1, 1), (1 << 63, 1 << 63)):
        first, second = (struct.pack("<Q", amount) for amount in amounts)
        changed = data[:at] + first + paid[8:] + second + change[8:] + data[at + len(paid + change) :]
        assert refused(changed) is refusals.PSBT_MALFORMED


def test_attack_previous_transaction_with_an_amount_that_cannot_be() -> None:
    amount = struct.pack("<Q", MAX_MONEY_SATS + 1)
    made_up = PREVIOUS.replace(struct.pack("<Q", COIN_SATS), amount)
    raw = RawPsbt.good()
    raw.change_input(outpoint=Outpoint(double_sha256(made_up), 0))
    raw.inputs[0] |= {b"\x00": made_up, b"\x01": amount + b"\x22" + DESCRIPTOR.script(0, 0)}
    assert refused(raw) is refusals.PREVIOUS_MALFORMED


def test_attack_locktime_that_nobody_can_place_without_a_height() -> None:
    raw = RawPsbt.good()
    raw.change_transaction(locktime=2_000_001)
    assert refused(raw, height=None) is refusals.LOCKTIME


def test_attack_a_key_twice_in_any_map() -> None:
    good = RawPsbt.good()
    data = good.serialize()
    for value in (good.transaction.serialize(), PREVIOUS, DESCRIPTOR.witness_script(1, 0)):
        at = data.index(value)
        start = at - (3 if len(value) < 0xFD else 5)
        once = data[start : at + len(value)]
        assert refused(data[: at + len(value)] + once + data[at + len(value) :]) is refusals.PSBT_MALFORMED


def test_attack_sizes_that_are_not_the_shortest() -> None:
    data = RawPsbt.good().serialize()
    assert data[5:7] == b"\x01\x00"
    assert refused(data[:5] + b"\xfd\x01\x00" + data[6:]) is refusals.PSBT_MALFORMED
    script = DESCRIPTOR.witness_script(0, 0)
    at = data.index(script)
    assert refused(data[: at - 1] + b"\xfd\x69\x00" + data[at:]) is refusals.PSBT_MALFORMED


def test_attack_cut_off_at_each_byte() -> None:
    data = RawPsbt.good().serialize()
    for length in range(len(data)):
        assert refused(data[:length]) is refusals.PSBT_MALFORMED


def test_attack_sizes_and_counts_beyond_every_bound() -> None:
    good = RawPsbt.good().serialize()
    assert refused(good + bytes(MAX_PSBT_BYTES)) is refusals.PSBT_MALFORMED
    assert refused(b"psbt\xff\x01\x00\xff" + b"\xff" * 8) is refusals.PSBT_MALFORMED
    assert refused(b"psbt\xff\xff" + b"\xff" * 8) is refusals.PSBT_MALFORMED
    many = RawPsbt.good()
    spent = tuple(TxInput(Outpoint(bytes(32), at), 0xFFFFFFFD) for at in range(MAX_INPUTS + 1))
    many.change_transaction(inputs=spent)
    assert refused(many) is refusals.PSBT_MALFORMED
    unsigned = b"\x02\x00\x00\x00\xff" + b"\xff" * 8
    assert refused(b"psbt\xff\x01\x00" + bytes([len(unsigned)]) + unsigned + b"\x00") is refusals.PSBT_MALFORMED


@pytest.mark.parametrize("data", [b"", b"psbt", b"psbt\xfe", b"cHNidP8B", bytes(100), b"psbt\xff" + b"\xff" * 50])
def test_attack_bytes_that_are_nothing_at_all(data: bytes) -> None:
    assert refused(data) is refusals.PSBT_MALFORMED


def test_attack_a_made_up_coin_lifts_the_bound_of_change_only_as_far_as_the_gap() -> None:
    raw = RawPsbt.good()
    far = 900_000
    script = DESCRIPTOR.script(0, far)
    raw.spend(previous_transaction((COIN_SATS, script), salt=9), script)
    rederived(0, far)(raw)
    raw.inputs[0][b"\x05"] = DESCRIPTOR.witness_script(0, far)
    raw.move_change(1, far + GAP + 1)
    assert refused(raw) is refusals.CHANGE_INDEX


def test_attack_any_changed_byte_gives_a_refusal_or_the_same_payment() -> None:
    """What may change without notice is what nobody relies on; never what is signed."""
    data = RawPsbt.good(2).serialize()
    expected = proved(data).proven
    rng = random.Random(3)
    for _ in range(600):
        at, flip = rng.randrange(len(data)), rng.randrange(1, 256)
        try:
            found = prove_psbt(
                data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :],
                BOOK,
                change_gap=GAP,
                change_signed=-1,
                height=900,
            ).proven
        except Refusal:
            continue
        assert found.inputs == expected.inputs
        assert found.leaves_sats >= expected.leaves_sats or found.txid != expected.txid
