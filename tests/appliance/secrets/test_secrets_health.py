"""A source of randomness that was quietly replaced feeds no key: the appliance does not start."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable

import pytest

from undercroft_appliance.errors import SelfTestError
from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, KernelEntropy, Keyring
from undercroft_appliance.keeper.secrets.health import SAMPLE_BYTES, check_entropy
from undercroft_appliance.keeper.secrets.memory import GuardedMemory, Slot
from undercroft_protocol.bitcoin.network import Network


class Source(KernelEntropy):
    """Gives what a function of the number of bytes gives."""

    def __init__(self, give: Callable[[int], bytes]) -> None:
        self._give = give

    def fill(self, slot: Slot) -> None:
        slot.store_public(self._give(slot.size))


def bytewise(numbers: itertools.count[int]) -> Callable[[int], bytes]:
    return lambda size: bytes(next(numbers) & 0xFF for _ in range(size))


def wordwise(width: int) -> Callable[[int], bytes]:
    numbers = itertools.count()
    return lambda size: b"".join(next(numbers).to_bytes(width, "big") for _ in range(-(-size // width)))[:size]


def cycle(period: int) -> Callable[[int], bytes]:
    numbers = itertools.cycle(hashlib.shake_256(b"a cycle").digest(period))
    return lambda size: bytes(itertools.islice(numbers, size))


def biased(size: int) -> bytes:
    generator = random.Random(1)
    return bytes(generator.getrandbits(8) | generator.getrandbits(8) & generator.getrandbits(8) for _ in range(size))


def stutters(size: int) -> bytes:
    data = hashlib.shake_256(b"a stutter").digest(size)
    return data[:1000] + bytes([data[1000]]) * 6 + data[1006:]


WEAK: dict[str, Callable[[int], bytes]] = {
    "zeros": bytes,
    "ones": lambda size: b"\xff" * size,
    "one byte": lambda size: b"\x5a" * size,
    "a counter of bytes": bytewise(itertools.count()),
    "a counter in steps": bytewise(itertools.count(7, 37)),
    "a counter of two bytes": wordwise(2),
    "a counter of four bytes": wordwise(4),
    "a cycle of 32 bytes": cycle(32),
    "a cycle of 2000 bytes": cycle(2000),
    "a cycle of 4900 bytes": cycle(4900),
    "the same each time": hashlib.shake_256(b"a file").digest,
    "too many ones": biased,
    "a source that stutters": stutters,
}


@pytest.mark.parametrize("name", WEAK)
def test_attack_a_weak_source_of_randomness_stops_the_boot(memory: GuardedMemory, name: str) -> None:
    with pytest.raises(SelfTestError, match="randomness"):
        check_entropy(memory, Source(WEAK[name]))
    with pytest.raises(SelfTestError, match="randomness"):
        Keyring(network=Network.REGTEST, entropy=Source(WEAK[name]), kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST)


def test_attack_salts_that_repeat_stop_the_boot(memory: GuardedMemory) -> None:
    class SaltsRepeat(KernelEntropy):
        def public(self, size: int) -> bytes:
            return b"\x07" * size

    with pytest.raises(SelfTestError, match="salts"):
        check_entropy(memory, SaltsRepeat())


def test_a_good_source_passes_and_its_samples_are_wiped() -> None:
    with GuardedMemory() as memory:
        check_entropy(memory, KernelEntropy())
        assert Slot(memory.address, memory.size).read_public() == bytes(memory.size)


def test_the_source_that_feeds_keys_is_the_one_that_was_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    fill = KernelEntropy.fill

    class Watched(KernelEntropy):
        def fill(self, slot: Slot) -> None:
            sizes.append(slot.size)
            fill(self, slot)

    watched = Watched()
    with Keyring(network=Network.REGTEST, entropy=watched, kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST) as keyring:
        assert sizes == [SAMPLE_BYTES] * 2
        keyring.draw_entropy()
    assert sizes == [SAMPLE_BYTES] * 2 + [32]
