"""Transactions: one serialisation, and everything else refused by name."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from embit.transaction import Transaction as EmbitTransaction
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_examples import example_previous, vectors
from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS
from undercroft_protocol.bitcoin.transaction import (
    Outpoint,
    Transaction,
    TxInput,
    TxOutput,
    txid_from_hex,
    txid_to_hex,
)
from undercroft_protocol.errors import TransactionError

U32 = st.integers(0, 0xFFFFFFFF)
SCRIPTS = st.binary(max_size=300)
OUTPOINTS = st.builds(Outpoint, st.binary(min_size=32, max_size=32), U32)
WITNESSES = st.lists(st.binary(max_size=80), max_size=4).map(tuple)
INPUTS = st.builds(TxInput, OUTPOINTS, U32, SCRIPTS, WITNESSES)
OUTPUTS = st.builds(TxOutput, st.integers(0, MAX_MONEY_SATS // 4), SCRIPTS)
TRANSACTIONS = st.builds(
    Transaction,
    U32,
    st.lists(INPUTS, min_size=1, max_size=4).map(tuple),
    st.lists(OUTPUTS, min_size=1, max_size=4).map(tuple),
    U32,
)

GOOD = Transaction(
    2,
    (TxInput(Outpoint(bytes(range(32)), 1), 0xFFFFFFFD, witness=(b"", b"\x01\x02")),),
    (TxOutput(1000, b"\x00\x14" + bytes(20)), TxOutput(2000, b"")),
    0,
)
PLAIN = GOOD.serialize(with_witness=False)
WITH_WITNESS = GOOD.serialize()


@pytest.mark.parametrize("vector", vectors("transactions")["vectors"], ids=lambda v: v["txid"][:8])
def test_real_transactions_round_trip_with_their_txid(vector: dict[str, object]) -> None:
    data = bytes.fromhex(str(vector["hex"]))
    transaction = Transaction.parse(data)
    assert transaction.serialize() == data
    assert transaction.txid_hex == vector["txid"]
    assert [output.amount_sats for output in transaction.outputs] == vector["outputs_sats"]


@given(TRANSACTIONS)
def test_every_transaction_reads_back_as_itself(transaction: Transaction) -> None:
    assert Transaction.parse(transaction.serialize()) == transaction


@given(st.binary(max_size=200))
def test_random_bytes_give_a_transaction_error_and_nothing_else(data: bytes) -> None:
    try:
        transaction = Transaction.parse(data)
    except TransactionError:
        return
    assert transaction.serialize() == data


@given(st.integers(0, len(WITH_WITNESS) - 1), st.integers(0, 255))
def test_attack_a_changed_byte_is_refused_or_gives_another_transaction(at: int, value: int) -> None:
    data = WITH_WITNESS[:at] + bytes([value]) + WITH_WITNESS[at + 1 :]
    try:
        transaction = Transaction.parse(data)
    except TransactionError:
        return
    assert transaction.serialize() == data


@pytest.mark.parametrize("seed", range(5))
def test_txid_and_wtxid_agree_with_embit(seed: int) -> None:
    transaction = example_previous(random.Random(seed), b"\x51\x20" + bytes(32), 5_000 + seed, 2)
    other = EmbitTransaction.parse(transaction.serialize())
    assert transaction.txid_hex == other.txid().hex()
    assert other.serialize() == transaction.serialize()


def test_weight_counts_witness_bytes_once_and_the_rest_four_times() -> None:
    witness_bytes = len(WITH_WITNESS) - len(PLAIN)
    assert GOOD.weight == 4 * len(PLAIN) + witness_bytes
    assert GOOD.vsize == (GOOD.weight + 3) // 4
    assert GOOD.wtxid != GOOD.txid


def test_without_a_witness_wtxid_is_the_txid() -> None:
    bare = Transaction.parse(PLAIN)
    assert bare.wtxid == bare.txid == GOOD.txid


def test_outpoint_is_written_in_display_order_and_reads_back() -> None:
    outpoint = Outpoint(bytes(range(32)), 7)
    assert str(outpoint) == bytes(range(32))[::-1].hex() + ":7"
    assert Outpoint.parse(str(outpoint)) == outpoint
    assert txid_from_hex(txid_to_hex(outpoint.txid)) == outpoint.txid


HEX = "00" * 32


@pytest.mark.parametrize(
    "text",
    ["", HEX, HEX + ":", HEX + ":-1", HEX + ":01", HEX + ":4294967296", HEX + ":1:2", HEX + ":x", HEX + ":\u0661"],
)
def test_outpoint_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(TransactionError):
        Outpoint.parse(text)


@pytest.mark.parametrize("text", ["", "00" * 31, "0" * 63 + "g", " " + "0" * 63, "00" * 33])
def test_txid_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(TransactionError):
        txid_from_hex(text)


@pytest.mark.parametrize("data", [PLAIN, WITH_WITNESS], ids=["plain", "with witness"])
def test_attack_truncated_at_each_byte_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(TransactionError):
            Transaction.parse(data[:length])


@pytest.mark.parametrize("data", [PLAIN, WITH_WITNESS], ids=["plain", "with witness"])
def test_attack_trailing_byte_is_refused(data: bytes) -> None:
    with pytest.raises(TransactionError, match="trailing"):
        Transaction.parse(data + b"\x00")


def test_attack_count_in_a_longer_form_is_refused() -> None:
    with pytest.raises(TransactionError, match="shortest"):
        Transaction.parse(PLAIN[:4] + b"\xfd\x01\x00" + PLAIN[5:])


def test_attack_huge_input_count_is_refused_before_allocation() -> None:
    with pytest.raises(TransactionError, match="cannot fit"):
        Transaction.parse(PLAIN[:4] + b"\xfe\xff\xff\xff\x0f" + PLAIN[5:])


def test_attack_huge_witness_count_is_refused_before_allocation() -> None:
    head = WITH_WITNESS[: 4 + 2] + PLAIN[4:-4]
    with pytest.raises(TransactionError, match="cannot fit"):
        Transaction.parse(head + b"\xff" + b"\xff" * 8 + bytes(4))


def test_attack_witness_marker_without_a_witness_is_refused() -> None:
    data = PLAIN[:4] + b"\x00\x01" + PLAIN[4:-4] + b"\x00" + PLAIN[-4:]
    with pytest.raises(TransactionError, match="marker"):
        Transaction.parse(data)


def test_attack_unknown_witness_flag_is_refused() -> None:
    with pytest.raises(TransactionError, match="no inputs"):
        Transaction.parse(WITH_WITNESS[:5] + b"\x02" + WITH_WITNESS[6:])


def test_attack_witness_where_none_is_allowed_is_refused() -> None:
    with pytest.raises(TransactionError):
        Transaction.parse(WITH_WITNESS, allow_witness=False)
    assert Transaction.parse(PLAIN, allow_witness=False).txid == GOOD.txid


def test_attack_amount_above_all_money_is_refused() -> None:
    amount = (1000).to_bytes(8, "little")
    for bad in (MAX_MONEY_SATS + 1, (1 << 64) - 1):
        with pytest.raises(TransactionError, match="not a possible amount"):
            Transaction.parse(PLAIN.replace(amount, bad.to_bytes(8, "little")))


def test_attack_sum_of_outputs_above_all_money_is_refused() -> None:
    amount = (1000).to_bytes(8, "little")
    with pytest.raises(TransactionError, match="not a possible amount"):
        Transaction.parse(PLAIN.replace(amount, MAX_MONEY_SATS.to_bytes(8, "little")))


@pytest.mark.parametrize(
    "build",
    [
        lambda: replace(GOOD, inputs=()),
        lambda: replace(GOOD, outputs=()),
        lambda: replace(GOOD, version=-1),
        lambda: replace(GOOD, version=1 << 32),
        lambda: replace(GOOD, locktime=1 << 32),
        lambda: Outpoint(bytes(31), 0),
        lambda: Outpoint(bytes(32), -1),
        lambda: TxInput(Outpoint(bytes(32), 0), 1 << 32),
        lambda: TxOutput(-1, b""),
        lambda: TxOutput(MAX_MONEY_SATS + 1, b""),
    ],
)
def test_values_that_cannot_be_serialised_cannot_be_built(build: Callable[[], object]) -> None:
    with pytest.raises(TransactionError):
        build()
