"""What a PSBT or a batch means, read by embit, cbor2 and PyNaCl, without a line of ours.

Meaning: coins (outpoint, amount, sequence, script), outputs (script, amount), version, locktime, and the digests that
signatures would be over.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2
from embit import bip32
from embit.psbt import PSBT
from embit.script import Script, p2wsh
from embit.transaction import SIGHASH, TransactionInput, TransactionOutput
from embit.transaction import Transaction as EmbitTransaction
from nacl.signing import VerifyKey

from appliance.builders import QUORUM
from undercroft_appliance.keeper.proven import OwnOutput, Payee, ProvenTransaction
from undercroft_appliance.keeper.sign import digests_of

VERSION: Final = 2
_SIGN1_TAG: Final = 18
_ACCOUNTS: Final = [
    bip32.HDKey.from_string(text.partition("/")[0]) for text in QUORUM.descriptor().text().split("]")[1:]
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Everything that makes one payment another."""

    version: int
    locktime: int
    coins: tuple[tuple[bytes, int, int, int], ...]
    outputs: tuple[tuple[bytes, int], ...]
    digests: tuple[bytes, ...]

    @property
    def fee_sats(self) -> int:
        return sum(amount for _, _, _, amount in self.coins) - sum(amount for _, amount in self.outputs)


@functools.lru_cache(maxsize=256)
def witness_script(branch: int, index: int) -> Any:
    """2 of 3 sorted keys, by embit's derivation."""
    keys = sorted(account.derive([branch, index]).key.sec() for account in _ACCOUNTS)
    return Script(b"\x52" + b"".join(b"\x21" + key for key in keys) + b"\x53\xae")


def own_script(branch: int, index: int) -> bytes:
    return bytes(p2wsh(witness_script(branch, index)).data)


def proved_meaning(proven: ProvenTransaction) -> Meaning:
    """What the keeper would sign, after the checks that every proven value must stand."""
    assert proven.fee_sats >= 0
    assert all(one.script == own_script(one.branch, one.index) for one in proven.own)
    assert all(one.witness_script == witness_script(one.branch, one.index).data for one in proven.inputs)
    spent = zip(proven.inputs, proven.transaction.inputs, strict=True)
    coins = tuple((one.outpoint.txid, one.outpoint.vout, tx.sequence, one.amount_sats) for one, tx in spent)
    assert [tx.outpoint for tx in proven.transaction.inputs] == [one.outpoint for one in proven.inputs]
    outputs = tuple((one.script, one.amount_sats) for one in proven.outputs)
    assert outputs == tuple((one.script, one.amount_sats) for one in proven.transaction.outputs)
    digests = digests_of(proven)
    meaning = Meaning(proven.transaction.version, proven.transaction.locktime, coins, outputs, digests)
    assert meaning.fee_sats == proven.fee_sats
    return meaning


def psbt_meaning(data: bytes, proven: ProvenTransaction) -> Meaning:
    """The PSBT by embit; amounts out of whole previous transactions, whose scripts must be ours."""
    psbt = PSBT.parse(data)
    previous = [item.non_witness_utxo for item in psbt.inputs]
    assert all(one.txid() == spent.txid for one, spent in zip(previous, psbt.tx.vin, strict=True))
    return _meaning(psbt.tx, previous, proven)


def batch_meanings(data: bytes, proven: tuple[ProvenTransaction, ...]) -> list[Meaning]:
    """The batch by cbor2 and embit; clearances by PyNaCl."""
    batch = cbor2.loads(data)
    previous = [EmbitTransaction.parse(bytes(raw)) for raw in batch[4]]
    return [_batch_meaning(request, previous, one) for request, one in zip(batch[5], proven, strict=True)]


def _batch_meaning(request: Mapping[int, Any], previous: list[Any], proven: ProvenTransaction) -> Meaning:
    coins = request[1]
    inputs = [TransactionInput(previous[coin[1]].txid(), coin[2], sequence=request[3]) for coin in coins]
    outputs = []
    for output, ours in zip(request[2], proven.outputs, strict=True):
        clearance, change = output.get(1), output.get(2)
        if clearance is not None:
            said = _cleared(clearance)
            assert isinstance(ours, Payee)
            assert (said[1], said[2]) == (QUORUM.id, ours.withdrawal_id)
            outputs.append(TransactionOutput(said[4], Script(said[3])))
        else:
            assert isinstance(ours, OwnOutput)
            outputs.append(TransactionOutput(change[2], Script(own_script(1, change[1]))))
    transaction = EmbitTransaction(VERSION, inputs, outputs, request[4])
    return _meaning(transaction, [previous[coin[1]] for coin in coins], proven)


def _cleared(data: bytes) -> Mapping[int, Any]:
    """A clearance's content, if the risk service signed it (RFC 9052)."""
    protected, _, payload, signature = cbor2.loads(data).value
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    VerifyKey(QUORUM.risk_key).verify(signed, signature)
    content: Mapping[int, Any] = cbor2.loads(payload)
    return content


def _meaning(transaction: Any, previous: list[Any], proven: ProvenTransaction) -> Meaning:
    coins, digests = [], []
    for at, (spent, origin, ours) in enumerate(zip(transaction.vin, previous, proven.inputs, strict=True)):
        output = origin.vout[spent.vout]
        assert output.script_pubkey.data == own_script(ours.branch, ours.index)
        coins.append((bytes(reversed(spent.txid)), spent.vout, spent.sequence, output.value))
        script = witness_script(ours.branch, ours.index)
        digests.append(bytes(transaction.sighash_segwit(at, script, output.value, sighash=SIGHASH.ALL)))
    outputs = tuple((bytes(output.script_pubkey.data), int(output.value)) for output in transaction.vout)
    return Meaning(transaction.version, transaction.locktime, tuple(coins), outputs, tuple(digests))
