"""PSBTs over coins of the example quorum, and an appliance that signs them as a keeper would."""

from __future__ import annotations

from collections.abc import Callable

from exchange import OUTSIDER
from scripted_appliance import QUORUM, ScriptedAppliance, account_key
from undercroft_protocol.bitcoin.address import parse_address
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.psbt_records import MAGIC
from undercroft_protocol.bitcoin.sighash import SegwitV0Sighash
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput

AMOUNT_SATS = 100_000


def coin_transaction(index: int) -> Transaction:
    """A transaction that pays 0/``index`` of the quorum."""
    spent = TxInput(Outpoint((index + 1).to_bytes(32, "big"), 7), 0xFFFFFFFD)
    return Transaction(2, (spent,), (TxOutput(AMOUNT_SATS, QUORUM.descriptor().script(0, index)),), 0)


def unsigned_psbt(*indexes: int) -> Psbt:
    """A PSBT that spends the coins at 0/``indexes`` and pays an outsider and change at 1/0."""
    descriptor = QUORUM.descriptor()
    previous = [coin_transaction(index) for index in indexes]
    paid = TxOutput(60_000, parse_address(OUTSIDER, Network.REGTEST))
    change = TxOutput(AMOUNT_SATS * len(indexes) - 62_000, descriptor.script(1, 0))
    inputs = tuple(TxInput(Outpoint(one.txid, 0), 0xFFFFFFFD) for one in previous)
    spent = tuple(
        PsbtInput(one, descriptor.witness_script(0, index), key_derivations(descriptor, 0, index))
        for one, index in zip(previous, indexes, strict=True)
    )
    own = PsbtOutput(descriptor.witness_script(1, 0), key_derivations(descriptor, 1, 0))
    return Psbt(Transaction(2, inputs, (paid, change), 0), spent, (PsbtOutput(), own))


def signed_by(name: str, data: bytes) -> bytes:
    """The PSBT with an owner's signatures, by embit's keys."""
    psbt = Psbt.parse(data)
    sighash = SegwitV0Sighash(psbt.transaction)
    for at, known in enumerate(psbt.inputs):
        branch, index = known.derivations[0].path[-2:]
        key = account_key(name).derive([branch, index]).key
        signature = key.sign(sighash.digest(at, known.witness_script, AMOUNT_SATS), grind=True).serialize() + b"\x01"
        psbt = psbt.with_signatures(at, {key.get_public_key().serialize(): signature})
    return psbt.serialize()


class PsbtAppliance(ScriptedAppliance):
    """Answers a PSBT by what ``psbt`` makes of it; None: it signs."""

    def __init__(self, name: str, psbt: Callable[[bytes], bytes] | None = None) -> None:
        super().__init__(name)
        self.psbt = psbt or (lambda data: signed_by(name, data))

    def reply(self, message: bytes) -> bytes:
        return self.psbt(message) if message.startswith(MAGIC) else super().reply(message)

    def send(self, message: bytes, *, timeout: float) -> None:
        if message.startswith(MAGIC):
            self.heard.append(message)
            self.post(self.reply(message))
        else:
            super().send(message, timeout=timeout)
