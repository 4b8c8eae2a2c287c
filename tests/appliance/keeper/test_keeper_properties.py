"""Whatever is done to a good PSBT or batch: a Refusal, or exactly what an independent reading of the bytes says.

Bounds, as `prove` and `prove_psbt` state them: no more memory than BYTES_PER_BYTE times what came in and a fixed part,
no more derived addresses than what came in has room to name.
"""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.builders import ALICE, DESCRIPTOR, HEIGHT, POLICY, QUORUM, UTC, Person, good_batch
from appliance.keeper.altered import DAMAGED_BYTES, DRAWS, Draw, altered_batch, altered_psbt
from appliance.keeper.psbt_support import RawPsbt
from appliance.keeper.second_reading import batch_meanings, proved_meaning, psbt_meaning
from undercroft_appliance.keeper.addresses import Address, AddressBook
from undercroft_appliance.keeper.bounds import check_coins
from undercroft_appliance.keeper.history import History
from undercroft_appliance.keeper.judge import SIGN, Standing, judge
from undercroft_appliance.keeper.ledger import Ledger
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.proven import ProvenBatch
from undercroft_appliance.keeper.psbt_door import ProvenPsbt, prove_psbt
from undercroft_appliance.keeper.refusals import Refusal
from undercroft_appliance.keeper.sign import digests_of
from undercroft_protocol.errors import CborError, MessageError
from undercroft_protocol.messages import BatchRequest

QUICK: Final = settings(max_examples=150, deadline=None)
DEEP: Final = settings(max_examples=1000, deadline=None)
BATCHES: Final = {count: good_batch(count).to_bytes() for count in (1, 2, 3)}
COUNTS: Final = st.sampled_from(sorted(BATCHES))
BYTES_PER_BYTE: Final = 20
FIXED_BYTES: Final = 200_000
LEAST_BYTES_OF_A_PLACE: Final = 9
"""A coin in a batch: a map of four numbers."""


class CountingBook(AddressBook):
    """Counts every address that is asked for, as if none were remembered."""

    def __init__(self, person: Person | None = None) -> None:
        super().__init__(DESCRIPTOR, None if person is None else person.xpub)
        self.asked = 0

    def at(self, branch: int, index: int) -> Address:
        self.asked += 1
        return super().at(branch, index)


BOOK: Final = CountingBook(ALICE)


def door(data: bytes) -> ProvenPsbt | None:
    """What the PSBT door makes of it; None if it is refused. Anything else that is raised is a finding."""
    try:
        return prove_psbt(data, BOOK, change_gap=POLICY.change_gap, change_signed=-1, height=HEIGHT)
    except Refusal:
        return None


def stages(data: bytes) -> tuple[BatchRequest, ProvenBatch] | None:
    """What reading and proving make of a batch; None if it is refused."""
    try:
        batch = BatchRequest.from_bytes(data)
        check_coins(batch, POLICY)
        return batch, prove(batch, QUORUM, BOOK, change_gap=POLICY.change_gap, change_signed=-1)
    except (CborError, MessageError, Refusal):
        return None


def check_psbt(draws: Sequence[Draw], flips: Sequence[Draw]) -> None:
    data = altered_psbt(draws, flips)
    found = door(data)
    if found is None:
        return
    proven = found.proven
    meaning = proved_meaning(proven)
    assert meaning == psbt_meaning(data, proven)
    signatures = [
        bytes(ALICE.key(coin.branch, coin.index).sign(digest, hasher=None))
        for coin, digest in zip(proven.inputs, digests_of(proven), strict=True)
    ]
    assert meaning == psbt_meaning(found.with_signatures(signatures), proven)


def check_batch(count: int, draws: Sequence[Draw], flips: Sequence[Draw]) -> None:
    data = altered_batch(BATCHES[count], draws, flips)
    found = stages(data)
    if found is None:
        return
    batch, proven = found
    assert [proved_meaning(one) for one in proven.transactions] == batch_meanings(data, proven.transactions)
    policy = dataclasses.replace(POLICY, quorum_id=QUORUM.id)
    standing = Standing(1000.0, UTC, Ledger(float("-inf")), History(), None)
    try:
        judged = judge(proven, policy, standing)
    except Refusal:
        return
    signed = [one.proven for one in judged.judgements if one.action == SIGN]
    assert batch.policy_hash == policy.hash
    assert sum(one.leaves_sats for one in signed) == sum(entry.amount_sats for entry in judged.ledger.entries)
    assert all(one.fee_sats <= policy.most_fee_sats for one in signed)


@given(DRAWS, DAMAGED_BYTES)
@example([], [])
@QUICK
def test_attack_altered_psbt_is_refused_or_means_what_embit_reads(draws: list[Draw], flips: list[Draw]) -> None:
    check_psbt(draws, flips)


@given(COUNTS, DRAWS, DAMAGED_BYTES)
@example(3, [], [])
@QUICK
def test_attack_altered_batch_is_refused_or_means_what_others_read(
    count: int, draws: list[Draw], flips: list[Draw]
) -> None:
    check_batch(count, draws, flips)


@pytest.mark.slow
@given(DRAWS, DAMAGED_BYTES)
@DEEP
def test_attack_altered_psbt_in_depth(draws: list[Draw], flips: list[Draw]) -> None:
    check_psbt(draws, flips)


@pytest.mark.slow
@given(COUNTS, DRAWS, DAMAGED_BYTES)
@DEEP
def test_attack_altered_batch_in_depth(count: int, draws: list[Draw], flips: list[Draw]) -> None:
    check_batch(count, draws, flips)


def within_bounds(data: bytes, enter: Callable[[bytes], object]) -> None:
    """Memory and derived addresses for one input."""
    BOOK.asked = 0
    tracemalloc.start()
    try:
        enter(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= FIXED_BYTES + BYTES_PER_BYTE * len(data)
    assert BOOK.asked * LEAST_BYTES_OF_A_PLACE <= len(data)


@given(DRAWS, DAMAGED_BYTES)
@settings(max_examples=60, deadline=None)
def test_attack_altered_psbt_takes_no_more_than_its_size_allows(draws: list[Draw], flips: list[Draw]) -> None:
    within_bounds(altered_psbt(draws, flips), door)


@given(COUNTS, DRAWS, DAMAGED_BYTES)
@settings(max_examples=60, deadline=None)
def test_attack_altered_batch_takes_no_more_than_its_size_allows(
    count: int, draws: list[Draw], flips: list[Draw]
) -> None:
    within_bounds(altered_batch(BATCHES[count], draws, flips), stages)


def test_large_good_input_takes_no_more_than_its_size_allows() -> None:
    within_bounds(RawPsbt.good(100).serialize(), door)
    within_bounds(good_batch(20).to_bytes(), stages)
