"""`make bench`: signing beside other signers, on the same transactions, in one run; ratios, and bytes on the line.

Ours is the whole way of a batch through an appliance (parse, prove, judge, sign, verify); theirs is parsing a PSBT,
signing, and writing it. Every signer signs the same transactions with the key of one owner of the same quorum.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pty
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from embit import bip32
from embit.networks import NETWORKS
from embit.psbt import PSBT as EmbitPsbt  # noqa: N811 - the class is named so
from nacl.signing import SigningKey

from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import SIGN, Standing, judge
from undercroft_appliance.keeper.ledger import Ledger
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, KernelEntropy, Keyring
from undercroft_appliance.keeper.sign import sign
from undercroft_appliance.keeper.verify import verify
from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor, account_path
from undercroft_protocol.bitcoin.extended_key import ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput, key_derivations
from undercroft_protocol.bitcoin.transaction import Outpoint, Transaction, TxInput, TxOutput
from undercroft_protocol.messages import (
    BatchRequest,
    Change,
    Clearance,
    Coin,
    Output,
    Owner,
    Policy,
    Quorum,
    TransactionRequest,
    policy_from_toml,
    sign_statement,
)

from .stage import POLICY

CASES: Final = ((1, 1), (10, 10), (100, 50))
"""Inputs and payees of the measured transactions."""
REPEATS: Final = 5
COIN_SATS: Final = 1_000_000
PAID_SATS: Final = 100_000
FEE_SATS: Final = 1_000
HEIGHT: Final = 900
NOW: Final = 1_790_000_000
VAULT: Final = SigningKey(b"\x11" * 32)
RISK: Final = SigningKey(b"\x22" * 32)
PASSPHRASE: Final = b"test passphrase of the bench\n"


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who signs: the name, and a call that signs the case once."""

    name: str
    run: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Bench:
    """One quorum of an appliance's real keyring and two keys of embit's."""

    keys: Keyring
    quorum: Quorum
    descriptor: QuorumDescriptor
    policy: Policy
    masters: Sequence[Any]

    def case(self, inputs: int, payees: int) -> tuple[BatchRequest, Psbt]:
        """The same payment as a batch for an appliance and as a PSBT for other signers."""
        rng = random.Random(inputs)
        descriptor = self.descriptor
        previous = [
            Transaction(
                2,
                (TxInput(Outpoint(rng.randbytes(32), 0), 0xFFFFFFFD),),
                (TxOutput(COIN_SATS, descriptor.script(0, index)), TxOutput(50_000, b"\x00\x14" + rng.randbytes(20))),
                0,
            )
            for index in range(inputs)
        ]
        scripts = [b"\x00\x14" + rng.randbytes(20) for _ in range(payees)]
        paid = min(PAID_SATS, (inputs * COIN_SATS - 100_000) // payees)
        change_sats = inputs * COIN_SATS - payees * paid - FEE_SATS * max(inputs, payees)
        cleared = [
            sign_statement(
                Clearance(self.quorum.id, f"w-{at}", script, paid, NOW + 3600, bytes(32)),
                bytes(RISK.verify_key),
                lambda data: bytes(RISK.sign(data).signature),
            )
            for at, script in enumerate(scripts)
        ]
        request = TransactionRequest(
            tuple(Coin(index, 0, 0, index) for index in range(inputs)),
            (*(Output(raw, None) for raw in cleared), Output(None, Change(0, change_sats))),
            0xFFFFFFFD,
            HEIGHT,
        )
        raw = tuple(one.serialize() for one in previous)
        batch = BatchRequest(bytes(16), self.policy.hash, HEIGHT, raw, (request,))
        unsigned = Transaction(
            2,
            tuple(TxInput(Outpoint(one.txid, 0), 0xFFFFFFFD) for one in previous),
            (*(TxOutput(paid, script) for script in scripts), TxOutput(change_sats, descriptor.script(1, 0))),
            HEIGHT,
        )
        known = tuple(
            PsbtInput(one, descriptor.witness_script(0, index), key_derivations(descriptor, 0, index))
            for index, one in enumerate(previous)
        )
        change = PsbtOutput(descriptor.witness_script(1, 0), key_derivations(descriptor, 1, 0))
        return batch, Psbt(unsigned, known, (*(PsbtOutput() for _ in scripts), change))

    def ours(self, body: bytes) -> object:
        """The stages of a batch, from its bytes to verified signatures."""
        batch = BatchRequest.from_bytes(body)
        gap = self.policy.change_gap
        proven = prove(batch, self.quorum, self.descriptor, change_gap=gap, change_signed=-1)
        ledger = Ledger.armed(0.0, None, (), self.policy.windows[-1].seconds)
        judged = judge(proven, self.policy, Standing(0.0, NOW, ledger, History(), None))
        signing = [one.proven for one in judged.judgements if one.action == SIGN]
        return [verify(sign(one, self.keys), self.keys.xpub) for one in signing]


def main() -> None:
    with Keyring(network=Network.REGTEST, entropy=KernelEntropy(), kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST) as keys:
        bench = _founded(keys)
        print("Best of", REPEATS, "runs each; microseconds per input, and times our own.\n")
        print(f"{'inputs':>6} {'payees':>6}  {'signer':<12} {'us/input':>9} {'ratio':>6}   bytes in")
        for inputs, payees in CASES:
            _measure(bench, inputs, payees)


def _measure(bench: Bench, inputs: int, payees: int) -> None:
    batch, psbt = bench.case(inputs, payees)
    body, packed = batch.to_bytes(), psbt.serialize()
    if len(bench.ours(body)) != 1:  # type: ignore[arg-type]
        raise AssertionError("the appliance's stages do not sign the bench's batch")
    signers = [
        Signer("undercroft", lambda: bench.ours(body)),
        Signer("embit", lambda: _embit(packed, bench.masters[0])),
    ]
    bdk = _bdk(bench, psbt)
    if bdk is not None:
        signers.append(bdk)
    best: dict[str, float] = {}
    # Turn by turn, so that whatever else the machine does falls on all alike.
    for _ in range(REPEATS):
        for signer in signers:
            started = time.perf_counter()
            signer.run()
            best[signer.name] = min(best.get(signer.name, float("inf")), time.perf_counter() - started)
    for signer in signers:
        micros = best[signer.name] * 1_000_000 / inputs
        size = len(body) if signer.name == "undercroft" else len(packed)
        ratio = best[signer.name] / best["undercroft"]
        print(f"{inputs:>6} {payees:>6}  {signer.name:<12} {micros:>9.0f} {ratio:>6.2f}   {size}")


def _embit(packed: bytes, master: Any) -> bytes:
    psbt = EmbitPsbt.parse(packed)
    if psbt.sign_with(master) != len(psbt.inputs):
        raise AssertionError("embit did not sign every input")
    return bytes(psbt.serialize())


def _bdk(bench: Bench, psbt: Psbt) -> Signer | None:
    """bdk's wallet with one cosigner's private key; None where there is no wheel of it."""
    try:
        bdkpython: Any = importlib.import_module("bdkpython")
    except ImportError:
        return None
    descriptor = bench.descriptor
    account = bench.masters[0].derive(list(account_path(Network.REGTEST)))
    public = account.to_public().to_base58()
    branches = [
        bdkpython.Descriptor(
            descriptor.text(branch).partition("#")[0].replace(public, account.to_base58()), bdkpython.NetworkKind.TEST
        )
        for branch in (0, 1)
    ]
    wallet = bdkpython.Wallet(*branches, bdkpython.Network.REGTEST, bdkpython.Persister.new_in_memory())
    wallet.reveal_addresses_to(bdkpython.KeychainKind.EXTERNAL, max(inputs for inputs, _ in CASES))
    options = bdkpython.SignOptions(
        trust_witness_utxo=False,
        assume_height=None,
        allow_all_sighashes=False,
        try_finalize=False,
        sign_with_tap_internal_key=False,
        allow_grinding=True,
    )
    text = psbt.base64()

    def run() -> object:
        parsed = bdkpython.Psbt(text)
        wallet.sign(parsed, options)
        return parsed.serialize()

    return Signer("bdk", run)


def _founded(keys: Keyring) -> Bench:
    """A keyring opened as an owner opens it, and two obviously-test cosigners."""
    master, slave = pty.openpty()
    try:
        keys.read_new_passphrase(slave, lambda _: _typed(master))
        draft = keys.create_key().envelope
        masters = [bip32.HDKey.from_seed(bytes([byte]) * 32, version=NETWORKS["regtest"]["xprv"]) for byte in (2, 3)]
        owners = [Owner("bench", "here", "region 1", draft.fingerprint, draft.xpub, draft.identity)]
        for number, root in enumerate(masters, start=2):
            account = root.derive(list(account_path(Network.REGTEST))).to_public()
            xpub = ExtendedPublicKey.parse(account.to_base58(), Network.REGTEST).serialize()
            identity = hashlib.sha256(bytes([number])).digest()
            owners.append(
                Owner(f"peer {number}", f"site {number}", f"region {number}", root.my_fingerprint, xpub, identity)
            )
        owners.sort(key=lambda owner: owner.xpub)
        quorum = Quorum("regtest", 2, tuple(owners), bytes(VAULT.verify_key), bytes(RISK.verify_key), NOW)
        keys.read_passphrase(slave, lambda _: _typed(master))
        keys.rebind(draft, quorum.id)
    finally:
        os.close(master)
        os.close(slave)
    return Bench(keys, quorum, quorum.descriptor(), policy_from_toml(POLICY, quorum.id), masters)


def _typed(master: int) -> None:
    os.write(master, PASSPHRASE)


if __name__ == "__main__":
    main()
