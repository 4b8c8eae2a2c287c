"""The targets of `make fuzz` take their good inputs, and damaged ones, without the fuzzer."""

from __future__ import annotations

import random

import pytest

from appliance.builders import DESCRIPTOR, HEIGHT, QUORUM
from fuzz import corpus, run
from fuzz.targets import TARGETS
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.prove import prove
from undercroft_appliance.keeper.psbt_door import prove_psbt
from undercroft_protocol.messages import BatchRequest

ROUNDS = 200


def test_the_fuzzer_runs_every_target() -> None:
    assert sorted(TARGETS) == list(run.NAMES)


@pytest.mark.parametrize("name", run.NAMES)
def test_attack_damaged_bytes_raise_nothing_that_is_not_promised(name: str) -> None:
    rng = random.Random(name)
    for data in corpus.of(name):
        TARGETS[name](data)
        for _ in range(ROUNDS):
            damaged = bytearray(data)
            for _ in range(rng.randint(1, 4)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            TARGETS[name](bytes(damaged[: rng.randint(0, len(damaged))]))
            TARGETS[name](bytes(damaged))


def test_the_good_inputs_are_proved_so_that_their_mutations_get_far() -> None:
    for data in corpus.of("psbt"):
        door = prove_psbt(data, AddressBook(DESCRIPTOR, None), change_gap=20, change_signed=-1, height=HEIGHT)
        assert door.proven.own[0].is_change
    for data in corpus.of("batch"):
        batch = BatchRequest.from_bytes(data)
        proven = prove(batch, QUORUM, AddressBook(DESCRIPTOR, None), change_gap=20, change_signed=-1)
        assert len(proven.transactions) == len(batch.transactions)
