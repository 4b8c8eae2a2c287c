"""Is the source of randomness alive? Asked of the very object that will feed keys, before it feeds one.

No test can tell good randomness from a good imitation; these find a source that was quietly replaced by zeros, a
counter, a short cycle or a fixed file. Their bounds fail a good source less than once in 10^8 starts (those of FIPS
140-2, section 4.9.1, would stop one good start in ten thousand).
"""

from __future__ import annotations

import itertools
from typing import Final

from undercroft_appliance.errors import SelfTestError

from .entropy import Entropy
from .memory import GuardedMemory

SAMPLE_BYTES: Final = 2500
"""20 000 bits, as in FIPS 140-2."""
LEAST_ONES: Final = 9_500
MOST_ONES: Final = 10_500
MOST_REPEATED: Final = 5
"""The same byte so many times in a row (NIST SP 800-90B, section 4.4.1: chance 2^-40)."""
_WINDOW_BYTES = 8
_PUBLIC_BYTES = 32


def check_entropy(memory: GuardedMemory, entropy: Entropy) -> None:
    """Raises SelfTestError when the source gives what randomness does not give.

    The samples are read into Python and thrown away: no key is ever made of them.
    """
    samples = []
    slot = memory.take(SAMPLE_BYTES)
    for _ in range(2):
        slot.wipe()
        entropy.fill(slot)
        samples.append(slot.read_public())
    slot.wipe()
    for sample in samples:
        _check_balance(sample)
        _check_repetition(sample)
    # Attack: the random generator of keys is replaced by a weak one, and nobody notices for years (signers.md 94).
    _check_windows(samples)
    if entropy.public(_PUBLIC_BYTES) == entropy.public(_PUBLIC_BYTES):
        raise SelfTestError("salts repeat")


def _check_balance(sample: bytes) -> None:
    ones = int.from_bytes(sample, "big").bit_count()
    if not LEAST_ONES < ones < MOST_ONES:
        raise SelfTestError(f"randomness has {ones} ones in {8 * len(sample)} bits")


def _check_repetition(sample: bytes) -> None:
    run = 1
    for before, byte in itertools.pairwise(sample):
        run = run + 1 if byte == before else 1
        if run > MOST_REPEATED:
            raise SelfTestError(f"randomness repeats a byte more than {MOST_REPEATED} times")


def _check_windows(samples: list[bytes]) -> None:
    """No eight bytes come twice in all samples: neither a cycle nor the same again."""
    seen: set[bytes] = set()
    for sample in samples:
        for at in range(len(sample) - _WINDOW_BYTES + 1):
            window = sample[at : at + _WINDOW_BYTES]
            if window in seen:
                raise SelfTestError("randomness repeats itself")
            seen.add(window)
