"""Looks for secrets in all the memory that another process can write to, through /proc/PID/mem.

Each secret is looked for as it is and reversed (as libsecp256k1 keeps numbers), whole and in halves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

_CHUNK_BYTES = 16 * 1024 * 1024
_OVERLAP_BYTES = 255


def forms(secret: bytes) -> set[bytes]:
    """What to look for: the secret's halves (any whole copy has them), as they are and reversed."""
    half = len(secret) // 2
    halves = (secret[:half], secret[half : 2 * half])
    return {form for part in halves for form in (part, part[::-1])}


def copies(pid: int, secrets: Mapping[str, bytes], guarded: range) -> tuple[Counter[str], Counter[str]]:
    """How many copies of each secret lie outside and inside the guarded addresses.

    Pages that even the ptracing parent cannot read (memfd_secret) count as holding none.
    """
    outside: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    wanted = [(name, form) for name, secret in secrets.items() for form in forms(secret)]
    for start, data in _readable(pid):
        for name, form in wanted:
            at = data.find(form)
            while at >= 0:
                (inside if start + at in guarded else outside)[name] += 1
                at = data.find(form, at + 1)
    return outside, inside


def _readable(pid: int) -> Iterator[tuple[int, bytes]]:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, permissions = line.split()[:2]
            start, end = (int(number, 16) for number in span.split("-"))
            if "rw" not in permissions:
                continue
            for at in range(start, end, _CHUNK_BYTES):
                try:
                    memory.seek(at)
                    yield at, memory.read(min(_CHUNK_BYTES + _OVERLAP_BYTES, end - at))
                except OSError:
                    continue
