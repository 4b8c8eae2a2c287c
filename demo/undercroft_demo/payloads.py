"""Bytes as they cross a link: a batch of PSBTs (BIP 174) of the usual kinds, made up, the same for the same seed.

Hashes, keys and amounts are random, all around them is as wallets write it, so that it packs as real batches do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

_HARD: Final = 1 << 31
_SEQUENCE: Final = 0xFFFFFFFD
_GLOBAL_TRANSACTION, _PREVIOUS, _SPENT_OUTPUT, _WITNESS_SCRIPT, _INPUT_KEY = b"\x00", b"\x00", b"\x01", b"\x05", b"\x06"
_OUTPUT_SCRIPT, _OUTPUT_KEY = b"\x01", b"\x02"
_COSIGNERS: Final = 3


def _compact(value: int) -> bytes:
    if value < 0xFD:
        return bytes((value,))
    return b"\xfd" + value.to_bytes(2, "little") if value <= 0xFFFF else b"\xfe" + value.to_bytes(4, "little")


def _prefixed(data: bytes) -> bytes:
    return _compact(len(data)) + data


def _map(records: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"".join(_prefixed(key) + _prefixed(value) for key, value in records) + b"\0"


@dataclass(frozen=True, slots=True)
class _Out:
    """An output; ``records``: its map in the PSBT."""

    script: bytes
    sats: int
    records: tuple[tuple[bytes, bytes], ...] = ()

    def bytes(self) -> bytes:
        return self.sats.to_bytes(8, "little") + _prefixed(self.script)


@dataclass(frozen=True, slots=True)
class _Wallet:
    """One wallet: its fingerprints stay, its keys change from coin to coin."""

    rng: random.Random
    cosigners: int
    fingerprints: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fingerprints.extend(self.rng.randbytes(4) for _ in range(self.cosigners))

    def own(self, branch: int) -> tuple[bytes, bytes | None, tuple[tuple[bytes, bytes], ...]]:
        """The script of a coin, the witness script behind it, the keys with their paths (without record types)."""
        index = self.rng.randrange(2000)
        account = (48 | _HARD, _HARD, _HARD, 2 | _HARD) if self.cosigners > 1 else (84 | _HARD, _HARD, _HARD)
        path = b"".join(step.to_bytes(4, "little") for step in (*account, branch, index))
        keys = sorted(_public_key(self.rng) for _ in range(self.cosigners))
        paths = tuple(zip(keys, (fingerprint + path for fingerprint in self.fingerprints), strict=True))
        if self.cosigners == 1:
            return b"\x00\x14" + self.rng.randbytes(20), None, paths
        inner = b"\x52" + b"".join(_prefixed(key) for key in keys) + b"\x53\xae"
        return b"\x00\x20" + self.rng.randbytes(32), inner, paths

    def change(self) -> _Out:
        script, inner, keys = self.own(1)
        records = () if inner is None else ((_OUTPUT_SCRIPT, inner),)
        return _Out(script, _sats(self.rng), (*records, *((_OUTPUT_KEY + key, path) for key, path in keys)))


def _public_key(rng: random.Random) -> bytes:
    return bytes((rng.choice((2, 3)),)) + rng.randbytes(32)


def _sats(rng: random.Random) -> int:
    # Some amounts are round, most are not.
    return rng.randrange(1, 2000) * 10_000 if rng.random() < 0.2 else rng.randrange(20_000, 400_000_000)


def _foreign(rng: random.Random) -> _Out:
    kind = rng.random()
    if kind < 0.6:
        script = b"\x00\x14" + rng.randbytes(20)
    elif kind < 0.75:
        script = b"\x51\x20" + rng.randbytes(32)
    elif kind < 0.9:
        script = b"\xa9\x14" + rng.randbytes(20) + b"\x87"
    else:
        script = b"\x76\xa9\x14" + rng.randbytes(20) + b"\x88\xac"
    return _Out(script, _sats(rng))


def _transaction(outpoints: Sequence[bytes], outputs: Sequence[_Out], witnesses: Sequence[bytes] = ()) -> bytes:
    inputs = b"".join(one + b"\0" + _SEQUENCE.to_bytes(4, "little") for one in outpoints)
    marker = b"\x00\x01" if witnesses else b""
    body = _compact(len(outpoints)) + inputs + _compact(len(outputs)) + b"".join(one.bytes() for one in outputs)
    return b"\x02\0\0\0" + marker + body + b"".join(witnesses) + bytes(4)


def _previous(rng: random.Random, paid: _Out) -> bytes:
    """The whole transaction a coin comes from, with the signatures it was paid with."""
    signed = [
        b"\x02" + _prefixed(b"\x30\x44\x02\x20" + rng.randbytes(32) + b"\x02\x20" + rng.randbytes(32) + b"\x01")
        + _prefixed(_public_key(rng))
        for _ in range(rng.choice((1, 1, 2)))
    ]  # fmt: skip
    outputs = [paid, *(_foreign(rng) for _ in range(rng.choice((1, 1, 1, 2, 6))))]
    return _transaction([_outpoint(rng) for _ in signed], outputs, signed)


def _outpoint(rng: random.Random) -> bytes:
    return rng.randbytes(32) + rng.choice((0, 0, 1, 1, 2, 5)).to_bytes(4, "little")


def _psbt(wallet: _Wallet, *, inputs: int, payees: int, previous: bool = False) -> bytes:
    rng = wallet.rng
    outputs = [_foreign(rng) for _ in range(payees)]
    outputs.insert(rng.randrange(payees + 1), wallet.change())
    maps = []
    for _ in range(inputs):
        script, inner, keys = wallet.own(rng.choice((0, 0, 1)))
        paid = _Out(script, _sats(rng))
        records = [(_PREVIOUS, _previous(rng, paid))] if previous else []
        records.append((_SPENT_OUTPUT, paid.bytes()))
        if inner is not None:
            records.append((_WITNESS_SCRIPT, inner))
        maps.append(_map([*records, *((_INPUT_KEY + key, path) for key, path in keys)]))
    unsigned = _transaction([_outpoint(rng) for _ in range(inputs)], outputs)
    return b"".join(
        (b"psbt\xff", _map([(_GLOBAL_TRANSACTION, unsigned)]), *maps, *(_map(one.records) for one in outputs))
    )


def single_key(rng: random.Random) -> bytes:
    """A PSBT of a wallet with one key, one to four coins."""
    return _psbt(_Wallet(rng, 1), inputs=rng.choice((1, 2, 2, 3, 4)), payees=rng.choice((1, 1, 2)))


def multisig(rng: random.Random) -> bytes:
    """A PSBT of a 2-of-3 wallet, two to six coins."""
    return _psbt(_Wallet(rng, _COSIGNERS), inputs=rng.randrange(2, 7), payees=rng.choice((1, 1, 2)))


def with_previous(rng: random.Random) -> bytes:
    """A PSBT of a wallet with one key that carries whole previous transactions."""
    return _psbt(_Wallet(rng, 1), inputs=rng.choice((1, 2, 2, 3)), payees=1, previous=True)


def payout(rng: random.Random) -> bytes:
    """A PSBT that pays many from a few coins of a 2-of-3 wallet."""
    return _psbt(_Wallet(rng, _COSIGNERS), inputs=rng.choice((1, 2)), payees=rng.randrange(30, 90))


KINDS: Final[tuple[Callable[[random.Random], bytes], ...]] = (single_key, multisig, with_previous, payout)


def psbt_batch(size: int, seed: int) -> bytes:
    """PSBTs of all kinds in turn, one after the other, ``size`` bytes together (the last one is cut there)."""
    return batch_of(KINDS, size, seed)


def batch_of(kinds: Sequence[Callable[[random.Random], bytes]], size: int, seed: int) -> bytes:
    """As ``psbt_batch``, of these kinds only."""
    rng = random.Random(seed)
    batch = bytearray()
    while len(batch) < size:
        batch += kinds[rng.randrange(len(kinds))](rng)
    return bytes(batch[:size])
