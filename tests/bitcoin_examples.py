"""Seeded quorums and payments of theirs, made with embit as the other implementation."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from embit import bip32
from embit.networks import NETWORKS
from embit.psbt import PSBT as EmbitPsbt  # noqa: N811 - the class is named so

from undercroft_demo.bdk_wallet import BdkWallet, with_private_key
from undercroft_protocol.bitcoin.descriptor import CosignerKey, QuorumDescriptor, account_path
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput

VECTORS = Path(__file__).parent / "vectors" / "bitcoin"

EMBIT_NETWORKS = {
    Network.MAINNET: NETWORKS["main"],
    Network.TESTNET: NETWORKS["test"],
    Network.SIGNET: NETWORKS["signet"],
    Network.REGTEST: NETWORKS["regtest"],
}


def vectors(name: str) -> Any:
    """The content of a vector file."""
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class ExampleQuorum:
    """A descriptor and embit's master keys of its cosigners, which never leave the tests."""

    descriptor: QuorumDescriptor
    masters: tuple[Any, ...]


def example_quorum(
    seed: int, network: Network = Network.REGTEST, threshold: int = 2, key_count: int = 3
) -> ExampleQuorum:
    """A quorum whose keys follow from the number alone."""
    rng = random.Random(seed)
    masters = tuple(
        bip32.HDKey.from_seed(rng.randbytes(32), version=EMBIT_NETWORKS[network]["xprv"]) for _ in range(key_count)
    )
    path = account_path(network)
    cosigners = tuple(
        CosignerKey(
            master.my_fingerprint,
            path,
            ExtendedPublicKey.parse(master.derive(list(path)).to_public().to_base58(), network),
        )
        for master in masters
    )
    return ExampleQuorum(QuorumDescriptor(network, threshold, cosigners), masters)


def example_previous(rng: random.Random, script: bytes, amount_sats: int, vout: int) -> Transaction:
    """A signed-looking transaction that pays the amount to the script at the given output index."""
    spent = TxInput(
        Outpoint(rng.randbytes(32), rng.randrange(4)),
        0xFFFFFFFE,
        witness=(rng.randbytes(71), rng.randbytes(33)),
    )
    others = [TxOutput(rng.randrange(1_000, 10_000_000), b"\x00\x14" + rng.randbytes(20)) for _ in range(vout)]
    return Transaction(2, (spent,), (*others, TxOutput(amount_sats, script)), rng.randrange(800_000))


def example_psbt(quorum: ExampleQuorum, seed: int, input_count: int = 2) -> Psbt:
    """An unsigned payment with change: inputs from branches 0 and 1, one foreign output, one change output."""
    rng = random.Random(seed)
    descriptor = quorum.descriptor
    places = [(rng.randrange(2), rng.randrange(1000)) for _ in range(input_count)]
    inputs, known = [], []
    for branch, index in places:
        vout = rng.randrange(3)
        previous = example_previous(rng, descriptor.script(branch, index), rng.randrange(100_000, 50_000_000), vout)
        inputs.append(TxInput(Outpoint(previous.txid, vout), 0xFFFFFFFD))
        script = descriptor.witness_script(branch, index)
        known.append(PsbtInput(previous, script, key_derivations(descriptor, branch, index)))
    outputs = (
        TxOutput(60_000, b"\x00\x14" + rng.randbytes(20)),
        TxOutput(30_000, descriptor.script(1, 7)),
    )
    change = PsbtOutput(descriptor.witness_script(1, 7), key_derivations(descriptor, 1, 7))
    transaction = Transaction(2, tuple(inputs), outputs, 0)
    return Psbt(transaction, tuple(known), (PsbtOutput(), change))


def signed_by_embit(psbt: Psbt, quorum: ExampleQuorum, *cosigners: int) -> Psbt:
    """What comes back when embit signs with the master keys of these cosigners."""
    other = EmbitPsbt.parse(psbt.serialize())
    for cosigner in cosigners:
        assert other.sign_with(quorum.masters[cosigner]) == len(psbt.inputs)
    return Psbt.parse(other.serialize())


def signed_by_bdk(psbt: Psbt, quorum: ExampleQuorum, cosigner: int) -> Psbt:
    """What comes back when a bdk wallet signs that holds one cosigner's private key."""
    pytest.importorskip("bdkpython")
    master = quorum.masters[cosigner]
    wallet = BdkWallet([with_private_key(quorum.descriptor, branch, master) for branch in (0, 1)], revealed=1000)
    return Psbt.parse_base64(wallet.sign(psbt.base64()))
