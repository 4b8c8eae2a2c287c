"""One withdrawal batch as bytes: ours and its reply beside the PSBT that a node writes and the signed one back.

The transaction is the same to the last byte: the node's wallet builds it, and what our batch says is proved to give it.
A PSBT goes over a plain line as it is, and through a camera as BBQr Z; ours goes squeezed, as our links carry it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import OwnOutput, Payee, ProvenTransaction
from undercroft_appliance.keeper.psbt_door import DEFAULT_CHANGE_GAP, prove_psbt
from undercroft_appliance.keeper.sign import sign
from undercroft_appliance.keeper.verify import verify
from undercroft_protocol.bitcoin.psbt import Psbt
from undercroft_protocol.bitcoin.transaction import Transaction
from undercroft_protocol.messages import (
    SIGNED,
    BatchReply,
    BatchRequest,
    Change,
    Clearance,
    Coin,
    Output,
    ReplyHeader,
    RequestHeader,
    TransactionRequest,
    Verdict,
    seal_reply,
    seal_request,
)
from undercroft_protocol.qr.bbqr import BbqrSource
from undercroft_protocol.qr.capacity import capacity_alphanumeric
from undercroft_protocol.qr.fast import FastSource
from undercroft_protocol.qr.stream import Kind
from undercroft_protocol.squeeze import squeeze

from .bench_node import SIGNER, Builder, Case
from .bench_peers import node_signer
from .bench_quorum import NOW, BenchQuorum, founded
from .goal_table import Goal, show
from .node import Node
from .played_keys import RISK, VAULT, played_key, public, signer, stated

_BITS_A_SECOND: Final = 115_200
_BITS_A_BYTE: Final = 10
"""8N1: a start bit, eight, a stop bit."""
_VERSION: Final = 27
_HEIGHT: Final = 900
_IDENTITY: Final = played_key(0x33)


@dataclass(frozen=True, slots=True)
class Carried:
    """What goes one way: ``size`` bytes as written, ``on_the_line`` as carried, ``frames`` of version 27."""

    size: int
    on_the_line: int
    frames: int

    @property
    def text(self) -> str:
        seconds = self.on_the_line * _BITS_A_BYTE / _BITS_A_SECOND
        return f"{self.size} B, {seconds:.1f} s, {self.frames} frames"


def goals(*, quick: bool) -> list[Goal]:
    """Two rows: to the appliance, and back. 100 inputs and 100 payees; ``quick`` has ten of each."""
    count = 10 if quick else 100
    with tempfile.TemporaryDirectory() as directory, Node.started(Path(directory)) as node, founded() as bench:
        builder = Builder(node, bench)
        builder.prepare(count)
        packed = builder.psbt(Case(count, count + 1))
        signed = node_signer(node, SIGNER, packed).run(None)
        request, reply = _messages(bench, packed)
    what = f"{count} inputs, {count} payees"
    return [
        _row(f"batch, {what}", request, packed),
        _row(f"reply, {what}", reply, signed),
    ]


def _row(what: str, message: bytes, psbt: bytes) -> Goal:
    ours = Carried(len(message), len(squeeze(message)), FastSource(message, version=_VERSION, session=bytes(4)).count)
    bbqr = BbqrSource(Kind.PSBT, psbt, characters=capacity_alphanumeric(_VERSION)).count
    theirs = Carried(len(psbt), len(psbt), bbqr)
    ratio = f"{theirs.on_the_line / ours.on_the_line:.1f}x, {theirs.frames / ours.frames:.1f}x"
    return Goal("bytes", what, "", "", f"node's PSBT: {theirs.text}", f"{ours.text} ({ratio} less)", None)


def _messages(bench: BenchQuorum, packed: bytes) -> tuple[bytes, bytes]:
    """The sealed batch for the transaction of this PSBT, and the sealed reply with its signatures."""
    book = bench.book()
    proven = prove_psbt(packed, book, change_gap=DEFAULT_CHANGE_GAP, change_signed=-1, height=None).proven
    batch = _batch(bench, proven, [known.previous for known in Psbt.parse(packed).inputs])
    again = _proved(bench, batch, book)
    # The same transaction, or the comparison says nothing.
    if again.transaction != proven.transaction:
        raise AssertionError("the batch gives another transaction than the node's PSBT")
    signatures = verify(sign(again, bench.keys), book).signatures
    request = seal_request(
        RequestHeader(bench.quorum.id, bytes(16), 1, NOW + 600),
        batch,
        public(VAULT),
        signer(VAULT),
    )
    reply = seal_reply(
        ReplyHeader(bench.quorum.id, bytes(16), 1, bytes(32), bench.policy.hash, bytes(32)),
        BatchReply(batch.batch_id, (Verdict(again.txid, SIGNED, None, signatures),)),
        public(_IDENTITY),
        signer(_IDENTITY),
    )
    return request, reply


def _proved(bench: BenchQuorum, batch: BatchRequest, book: AddressBook) -> ProvenTransaction:
    proven = prove(batch, bench.quorum, book, change_gap=bench.policy.change_gap, change_signed=-1)
    return proven.transactions[0]


def _batch(bench: BenchQuorum, proven: ProvenTransaction, previous: list[Transaction]) -> BatchRequest:
    coins = tuple(
        Coin(number, coin.outpoint.vout, coin.branch, coin.index) for number, coin in enumerate(proven.inputs)
    )
    outputs = tuple(_output(bench, number, output) for number, output in enumerate(proven.outputs))
    whole = proven.transaction
    request = TransactionRequest(coins, outputs, whole.inputs[0].sequence, whole.locktime)
    raw = tuple(one.serialize(with_witness=False) for one in previous)
    return BatchRequest(bytes(16), bench.policy.hash, _HEIGHT, raw, (request,))


def _output(bench: BenchQuorum, number: int, output: Payee | OwnOutput) -> Output:
    if isinstance(output, OwnOutput):
        return Output(None, Change(output.index, output.amount_sats))
    clearance = Clearance(bench.quorum.id, f"w-{number}", output.script, output.amount_sats, NOW + 3600, bytes(32))
    return Output(stated(clearance, RISK), None)


if __name__ == "__main__":
    show(goals(quick=False))
