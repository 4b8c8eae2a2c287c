"""Other signers with the same key, and the turns in which all of them are measured.

Theirs is parsing a PSBT, signing every input, and writing it. None of them checks what an appliance checks.
"""

from __future__ import annotations

import base64
import gc
import importlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embit.psbt import PSBT as EmbitPsbt  # noqa: N811 - the class is named so

from undercroft_protocol.bitcoin.psbt import Psbt

from .bdk_wallet import BdkWallet
from .bench_quorum import BenchQuorum
from .node import Node

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who signs: the name, and a call that signs the case once.

    ``prepare`` makes what one call uses up; it is not measured. ``clock`` counts nanoseconds: of this process alone,
    or of the wall where another process works.
    """

    name: str
    run: Callable[[Any], Any]
    prepare: Callable[[], Any] = lambda: None
    clock: Callable[[], int] = time.process_time_ns


def best_of_turns(signers: Sequence[Signer], rounds: int, seconds: float) -> Mapping[str, float]:
    """The best time of each (seconds). Turn by turn, so that whatever else the machine does falls on all alike.

    At least two rounds, then until there were so many, or so many seconds are over.
    """
    best: dict[str, int] = {}
    started = time.monotonic()
    for number in range(rounds):
        if number >= 2 and time.monotonic() - started > seconds:
            break
        for signer in signers:
            prepared = signer.prepare()
            # The keeper collects garbage between two messages only; the same holds for all here.
            gc.collect()
            gc.freeze()
            gc.disable()
            begun = signer.clock()
            signer.run(prepared)
            taken = signer.clock() - begun
            gc.enable()
            best[signer.name] = min(best.get(signer.name, taken), taken)
    return {name: nanoseconds / _NANOSECONDS for name, nanoseconds in best.items()}


def signatures_of(packed: bytes) -> tuple[bytes, ...]:
    """The one signature of each input of a PSBT, with sighash byte."""
    return tuple(signature for known in Psbt.parse(packed).inputs for signature in known.partial_signatures.values())


def embit_signer(bench: BenchQuorum, packed: bytes) -> Signer:
    def run(_: object) -> bytes:
        psbt = EmbitPsbt.parse(packed)
        if psbt.sign_with(bench.master) != len(psbt.inputs):
            raise AssertionError("embit did not sign every input")
        return bytes(psbt.serialize())

    return Signer("embit", run)


def wally_signer(bench: BenchQuorum, packed: bytes) -> Signer:
    """libwally with its signing cache, and Core's low R."""
    wally: Any = importlib.import_module("wallycore")
    master = wally.bip32_key_from_base58(bench.master.to_base58())

    def run(_: object) -> bytes:
        psbt = wally.psbt_from_bytes(packed, 0)
        wally.psbt_signing_cache_enable(psbt, 0)
        wally.psbt_sign_bip32(psbt, master, wally.EC_FLAG_GRIND_R)
        return bytes(wally.psbt_to_bytes(psbt, 0))

    return Signer("wallycore", run)


def bdk_signer(bench: BenchQuorum, packed: bytes, revealed: int) -> Signer | None:
    """bdk's wallet with our private key, ``revealed`` addresses on; None where there is no wheel of it."""
    try:
        wallet = BdkWallet([bench.private_descriptor(branch) for branch in (0, 1)], revealed=revealed)
    except ImportError:
        return None
    text = base64.b64encode(packed).decode()
    return Signer("bdk", lambda _: base64.b64decode(wallet.sign(text)))


def node_signer(node: Node, wallet: str, packed: bytes) -> Signer:
    """The node's wallet by RPC; what it answers is also what our own answer is compared with."""
    text = base64.b64encode(packed).decode()

    def run(_: object) -> bytes:
        signed = node.rpc("walletprocesspsbt", text, True, "DEFAULT", True, False, wallet=wallet)
        return base64.b64decode(signed["psbt"])

    return Signer("node", run, clock=time.perf_counter_ns)


def without_missing(signers: Iterable[Signer | None]) -> list[Signer]:
    """Those that are there."""
    return [signer for signer in signers if signer is not None]
