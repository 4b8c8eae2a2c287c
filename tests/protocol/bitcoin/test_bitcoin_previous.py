"""Previous transactions are read as strictly as any transaction, and give the same outputs."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_examples import example_previous
from undercroft_protocol.bitcoin.amounts import MAX_MONEY_SATS
from undercroft_protocol.bitcoin.previous import PreviousTransaction
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.errors import TransactionError

SCRIPT = b"\x00\x20" + bytes(32)
SIGNED = example_previous(random.Random(1), SCRIPT, 5000, 2)
PLAIN = Transaction.parse(SIGNED.serialize(with_witness=False))


def large() -> Transaction:
    """More than 252 inputs, outputs, witness items, and bytes of a script."""
    rng = random.Random(2)
    inputs = [TxInput(Outpoint(rng.randbytes(32), at), 1, rng.randbytes(300 * (at == 5))) for at in range(300)]
    inputs[7] = replace(inputs[7], witness=tuple(rng.randbytes(at) for at in range(300)))
    outputs = tuple(TxOutput(at, rng.randbytes(at)) for at in range(300))
    return Transaction(1, tuple(inputs), outputs, 7)


@pytest.mark.parametrize("transaction", [SIGNED, PLAIN, large()], ids=["signed", "plain", "large"])
def test_txid_and_outputs_are_those_of_the_transaction(transaction: Transaction) -> None:
    previous = PreviousTransaction.parse(transaction.serialize())
    assert previous.txid == transaction.txid
    assert previous.output_count == len(transaction.outputs)
    for vout, output in enumerate(transaction.outputs):
        assert previous.output(vout) == (output.serialize(), output.amount_sats, output.script)


@pytest.mark.parametrize("vout", [-1, 3, 0xFFFFFFFF])
def test_an_output_that_is_not_there_is_refused(vout: int) -> None:
    with pytest.raises(TransactionError, match="no output"):
        PreviousTransaction.parse(SIGNED.serialize()).output(vout)


def test_attack_amount_that_cannot_be() -> None:
    data = SIGNED.serialize().replace((5000).to_bytes(8, "little"), (MAX_MONEY_SATS + 1).to_bytes(8, "little"))
    previous = PreviousTransaction.parse(data)
    assert previous.output(0)[1] == SIGNED.outputs[0].amount_sats
    with pytest.raises(TransactionError, match="not a possible amount"):
        previous.output(2)


def test_attack_cut_off_at_each_byte_or_longer_by_one() -> None:
    for transaction in (SIGNED, PLAIN):
        data = transaction.serialize()
        for damaged in (*(data[:length] for length in range(len(data))), data + b"\x00"):
            with pytest.raises(TransactionError):
                PreviousTransaction.parse(damaged)


def test_attack_witness_where_none_is_allowed() -> None:
    PreviousTransaction.parse(PLAIN.serialize(), allow_witness=False)
    with pytest.raises(TransactionError):
        PreviousTransaction.parse(SIGNED.serialize(), allow_witness=False)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(PLAIN.serialize()[:4] + b"\x00\x01" + PLAIN.serialize()[4:-4] + b"\x00" + bytes(4), id="no items"),
        pytest.param(SIGNED.serialize()[:4] + b"\x00\x02" + SIGNED.serialize()[6:], id="another flag"),
        pytest.param(PLAIN.serialize()[:4] + b"\xfd\x01\x00" + PLAIN.serialize()[5:], id="size not the shortest"),
        pytest.param(PLAIN.serialize()[:4] + b"\xff" + b"\xff" * 8 + PLAIN.serialize()[5:], id="countless inputs"),
        pytest.param(b"\x02\x00\x00\x00\x00\x00" + bytes(4), id="no inputs"),
        pytest.param(PLAIN.serialize()[:46] + b"\x00" + bytes(4), id="no outputs"),
        pytest.param(PLAIN.serialize()[:46] + b"\xfe\xff\xff\xff\xff" + bytes(20), id="countless outputs"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_attack_second_encodings_and_impossible_counts(data: bytes) -> None:
    with pytest.raises(TransactionError):
        PreviousTransaction.parse(data)


@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_attack_a_changed_byte_is_read_as_the_strict_parser_reads_it(at: int, flip: int, signed: bool) -> None:
    data = bytearray((SIGNED if signed else PLAIN).serialize())
    data[at % len(data)] ^= flip
    try:
        found = PreviousTransaction.parse(bytes(data))
    except TransactionError:
        with pytest.raises(TransactionError):
            Transaction.parse(bytes(data))
        return
    try:
        expected = Transaction.parse(bytes(data))
    except TransactionError as error:
        # Amounts are checked where an output is asked for.
        assert "not a possible amount" in error.detail
        return
    assert found.txid == expected.txid
    assert [found.output(vout)[0] for vout in range(found.output_count)] == [
        output.serialize() for output in expected.outputs
    ]
